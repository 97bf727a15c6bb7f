"""An upper bound for clinics too large for the lattice: each antibiotic on its own, at a price.

Shapes: K antibiotics, T steps, n cells, M cohorts. Cross-resistance left out never lowers what can
be reached (epsilon 0); a price on treatments relaxes that a patient gets one antibiotic at most
(Lagrange). Each antibiotic is then a dynamic programme of its own; the prices of the steps are
lowered or raised until the bound no longer improves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.lattice import Axis, counts
from abx_amr.planning.play import Path, next_pressure, path_of
from abx_amr.planning.problem import Problem
from abx_amr.planning.programme import Programme
from abx_amr.planning.progress import OnProgress, counting

Floats = NDArray[np.float64]
_HALVINGS, _ROUNDS = 20, 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxation:
    """The bound, and the values from which a policy is made.

    Attributes:
        upper: No policy is worth more.
        programmes: Each antibiotic on its own.
        values: Of each antibiotic, at the best prices, (T + 1, n).
        prices: Of one treatment, (T,).
    """

    upper: float
    programmes: tuple[Programme, ...]
    values: tuple[Floats, ...]
    prices: Floats


def relax(problem: Problem, *, on_progress: OnProgress | None = None) -> Relaxation:
    """Return the bound of a clinic with epsilon taken as 0.

    Args:
        problem: The clinic.
        on_progress: Told how many rounds of prices are done.
    """
    alone = tuple(Programme(_alone(problem, j)) for j in range(len(problem.antibiotics)))
    steps = problem.num_steps
    weight = (1 - problem.lambda_weight) / problem.num_patients
    base = (1 - problem.lambda_weight) * float(problem.share @ problem.untreated) * steps
    highest = weight * float(np.max(problem.gain + problem.harm.max()))
    best = Relaxation(upper=np.inf, programmes=alone, values=(), prices=np.zeros(steps))

    def bound(prices: Floats) -> Floats:
        """Return how many more treatments than patients the steps see; keep the best bound."""
        nonlocal best
        upper = base + problem.num_patients * float(prices.sum())
        used, values = np.zeros(steps), []
        for programme in alone:
            table, treated = _priced(programme, prices)
            values.append(table)
            used += treated
            upper += float(table[0, programme.axes[0].start]) + programme.community_at_reset
        if upper < best.upper:
            best = Relaxation(
                upper=upper, programmes=alone, values=tuple(values), prices=prices.copy()
            )
        return used - problem.num_patients

    low, high = 0.0, max(highest, 0.0)
    for _ in counting(on_progress, "one price, round", range(_HALVINGS)):  # for all steps
        middle = (low + high) / 2
        if bound(np.full(steps, middle)).sum() > 0:
            low = middle
        else:
            high = middle
    prices = best.prices.copy()
    for n in counting(on_progress, "a price per step, round", range(_ROUNDS)):
        excess = bound(prices)
        pace = 0.5 * highest / problem.num_patients / (1 + n)
        prices = np.clip(prices + pace * excess, 0.0, highest)
    return best


def _alone(problem: Problem, j: int) -> Problem:
    """Return the clinic with antibiotic j only, not counting what no treatment is worth."""
    one = slice(j, j + 1)
    return replace(
        problem,
        antibiotics=problem.antibiotics[one],
        leak=problem.leak[one],
        flatness=problem.flatness[one],
        residual=problem.residual[one],
        initial=problem.initial[one],
        cross=np.ones((1, 1)),
        harm=problem.harm[one],
        untreated=np.zeros_like(problem.untreated),
        epsilon=0.0,
    )


def _priced(programme: Programme, prices: Floats) -> tuple[Floats, Floats]:
    """Return the values (T + 1, n) at these prices, and expected treatments by step, (T,).

    Treatments are counted along the most likely path: each step's expectation over cohorts, the
    pressure moved by its rounded value. They steer the prices; the bound does not rest on them.
    """
    problem, plan, (axis,) = programme.problem, programme.plan, programme.axes
    n, steps = len(axis.positions), problem.num_steps
    community = programme.community[-1]
    values = np.zeros((steps + 1, n))
    now = plan.worth[:, None] - plan.slopes[:, :1] * axis.level[None]  # (A, n)
    given = plan.choices[plan.choice_of, 0]
    decided = np.empty((steps, n))
    for step in range(steps - 1, -1, -1):
        ahead = values[step + 1] + problem.report_weight(step + 1) * community
        score = now - prices[step] * given[:, None] + ahead[axis.following[plan.choice_of]]
        decided[step] = 0.0
        for m, chance in enumerate(plan.chances):
            ways = slice(plan.begins[m], plan.begins[m + 1])
            best = score[ways].argmax(axis=0)
            values[step] += chance * np.take_along_axis(score[ways], best[None], axis=0)[0]
            decided[step] += chance * given[ways][best]
    return values, _usage(axis, decided)


def _usage(axis: Axis, decided: Floats) -> Floats:
    used = np.empty(len(decided))
    cell, carried = axis.start, 0.0
    for step, row in enumerate(decided):
        used[step] = row[cell]
        carried += row[cell]
        whole = int(carried + 1e-9)
        carried -= whole
        cell = int(axis.following[min(whole, len(axis.following) - 1), cell])
    return used


def index_path(problem: Problem, relaxation: Relaxation) -> Path:
    """Return the episode of the policy that takes each antibiotic's value as its own matter.

    For patients of one type; played with the clinic's own pressures, cross-resistance included: its
    value is a lower bound.
    """
    choices = counts(problem.num_patients, len(problem.antibiotics))
    weight = (1 - problem.lambda_weight) / problem.num_patients
    alone = relaxation.programmes

    def choose(step: int, pressure: Floats) -> NDArray[np.int64]:
        level = problem.level(pressure)
        after = next_pressure(problem, pressure, choices)
        score = weight * (
            choices * (problem.gain[0] + problem.harm - problem.slope[0] * level)
        ).sum(axis=1)
        for j, programme in enumerate(alone):
            positions = programme.axes[0].positions
            value = relaxation.values[j][step + 1]
            value = value + problem.report_weight(step + 1) * programme.community[-1]
            score = score + np.interp(after[:, j], positions, value)
        best: NDArray[np.int64] = choices[int(score.argmax())]
        return best

    return path_of(problem, choose)
