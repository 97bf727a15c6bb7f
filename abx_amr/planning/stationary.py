"""What a perfect learner with a discount factor does: the best stationary policy and its episode.

Shapes: K antibiotics. A learner bootstraps at the time limit, so that what it optimises is the
endless discounted return; what it is worth is the undiscounted return of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.play import best_counts, path_of
from abx_amr.planning.programme import Box, Programme
from abx_amr.planning.progress import OnProgress, counting, rounds
from abx_amr.rng import stream

Floats = NDArray[np.float64]

GAMMAS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.997, 0.998, 0.999)
WARNING_SHARE = 0.05
SETTLED, MEASURED = 1500, 1000  # steps until the equilibrium, and over which it is measured
_CLOSE = 1e-5  # how far from the optimum of the discounted return a policy may be


@dataclass(frozen=True, kw_only=True)
class Stationary:
    """The best stationary policy of a discount factor.

    Attributes:
        gamma: The discount factor.
        episode_return: Undiscounted expected return of an episode.
        equilibrium_amr: Mean level over antibiotics and time in the long run.
    """

    gamma: float
    episode_return: float
    equilibrium_amr: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What discounting and the end of the episode cost or give a perfect learner.

    Attributes:
        rows: One per discount factor.
        never: Return of never treating.
        optimum: Return of the optimum.
        sustained: The highest return of a stationary policy among the rows.
        gamma: The agent's discount factor, if it has one.
    """

    rows: tuple[Stationary, ...]
    never: float
    optimum: float
    sustained: float
    gamma: float | None

    @property
    def spend_down(self) -> float:
        """What the optimum gains by using up the antibiotics before the episode ends."""
        return self.optimum - self.sustained

    def loss(self, row: Stationary) -> float:
        """Return what the discount factor alone costs."""
        return self.sustained - row.episode_return

    def share(self, row: Stationary) -> float | None:
        """Return the loss as a share of the range from never treating to the optimum."""
        width = self.optimum - self.never
        return None if width < 1e-9 else self.loss(row) / width

    @property
    def own(self) -> Stationary | None:
        """The row of the agent's discount factor."""
        return next((row for row in self.rows if row.gamma == self.gamma), None)

    @property
    def warning(self) -> str | None:
        """One line where the agent's discount factor costs more than 5 % of the range."""
        row = self.own
        share = None if row is None else self.share(row)
        if row is None or share is None or share <= WARNING_SHARE:
            return None
        enough = [r.gamma for r in self.rows if (self.share(r) or 0.0) <= WARNING_SHARE]
        cure = f"; gamma {min(enough):g} costs less" if enough else ""
        return (
            f"gamma {row.gamma:g} alone costs a perfect learner {self.loss(row):.1f}"
            f" ({share:.0%} of the range from never treating to the optimum) and lets AMR settle"
            f" at {row.equilibrium_amr:.2f}{cure}"
        )


def audit(
    programme: Programme,
    *,
    never: float,
    optimum: float,
    gamma: float | None = None,
    gammas: Sequence[float] = GAMMAS,
) -> Audit:
    """Return what discount factors imply, the agent's own among them."""
    asked = sorted({*gammas} | ({gamma} if gamma is not None and gamma < 1 else set()))
    rows = tuple(stationary(programme, one) for one in asked)
    return Audit(
        rows=rows,
        never=never,
        optimum=optimum,
        sustained=max(row.episode_return for row in rows),
        gamma=gamma,
    )


def discounted_values(
    programme: Programme, gamma: float, on_progress: OnProgress | None = None
) -> Floats:
    """Return the judgement of cells one step later: gamma * value + their report of AMR.

    Policy iteration where there is no chance, else value iteration until the policy is within 1e-5
    of the optimum (MacQueen's bounds).
    """
    zero = np.zeros(3, np.int64)
    if programme.problem.is_homogeneous:
        value = programme.discounted(gamma, on_progress)
        return programme.ahead_of(Box(low=zero, values=value), 1.0, gamma)
    high = np.array(programme.shape)
    box = Box(low=zero, values=np.zeros(programme.shape))
    for _ in rounds(on_progress, "round"):
        after = programme.back(box, low=zero, high=high, gamma=gamma)
        change = after.values - box.values
        if np.ptp(change) * gamma / (1 - gamma) < _CLOSE:
            break
        # the middle of the bounds: the same policy, fewer steps
        middle = gamma / (1 - gamma) * (change.max() + change.min()) / 2
        box = Box(low=zero, values=after.values + middle)
    return programme.ahead_of(after, 1.0, gamma)


def stationary(
    programme: Programme, gamma: float, *, on_progress: OnProgress | None = None
) -> Stationary:
    """Return what the best stationary policy of a discount factor is worth in an episode."""
    judged = discounted_values(programme, gamma, on_progress)
    problem = programme.problem
    low = np.zeros(3, np.int64)
    if problem.is_homogeneous:
        choices = programme.plan.choices
        known: dict[bytes, NDArray[np.int64]] = {}

        def choose(step: int, pressure: Floats) -> NDArray[np.int64]:
            cells = programme.cells_of(pressure)
            key = cells.tobytes()
            if key not in known:
                values = programme.choice_values(judged, low, cells)
                level = problem.level(pressure)[None]
                known[key] = best_counts(problem, choices, values, level)[0]
            return known[key]

        path = path_of(problem, choose, steps=max(problem.num_steps, SETTLED + MEASURED))
        returned = float(path.rewards[: problem.num_steps].sum())
        levels = problem.level(path.pressure[SETTLED:])
        return Stationary(
            gamma=gamma, episode_return=returned, equilibrium_amr=float(levels.mean())
        )
    value = Box(low=low, values=np.zeros(programme.shape))
    for step in counting(on_progress, "step", range(problem.num_steps - 1, -1, -1)):
        value = programme.follow(judged, value, weight=problem.report_weight(step + 1))
    return Stationary(
        gamma=gamma,
        episode_return=float(value.values[programme.start]) + programme.community_at_reset,
        equilibrium_amr=_sampled_equilibrium(programme, judged),
    )


def _sampled_equilibrium(programme: Programme, judged: Floats) -> float:
    """Return the mean level of one long episode with cohorts drawn at random."""
    plan, problem = programme.plan, programme.problem
    draws = stream(0, "planning", "equilibrium")
    cohorts = draws.choice(len(plan.chances), size=SETTLED + MEASURED, p=plan.chances)
    pressure = problem.initial[None].copy()
    total = 0.0
    for step, m in enumerate(cohorts):
        level = problem.level(pressure)[0]
        values = programme.choice_values(
            judged, np.zeros(3, np.int64), programme.cells_of(pressure)
        )
        ways = slice(plan.begins[m], plan.begins[m + 1])
        score = plan.worth[ways] - plan.slopes[ways] @ level + values[0, plan.choice_of[ways]]
        given = plan.choices[plan.choice_of[ways][score.argmax()]]
        doses = given @ problem.cross
        pressure = np.maximum(0.0, pressure + doses - problem.leak)
        if step >= SETTLED:
            total += float(problem.level(pressure).mean())
    return total / MEASURED
