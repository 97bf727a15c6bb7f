"""Forwards through an episode: what choices are worth, what they do to pressure, exactly.

Shapes: E episodes, T steps, K antibiotics, P patients, C choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.planning.lattice import counts
from abx_amr.planning.problem import NotComputable, Problem
from abx_amr.planning.progress import OnProgress, counting

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MOST_COMBINATIONS = 20_000
_TIE = 1e-12  # what is better by less is not better: fewer treatments win


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """An episode without chance.

    Attributes:
        given: Patients treated with each antibiotic, (T, K).
        pressure: Before the first step and after each, (T + 1, K).
        rewards: Expected, (T,).
        individual: The clinical part of the expected return.
        mean_amr: Expected reported level, the mean over antibiotics and steps.
    """

    given: Ints
    pressure: Floats
    rewards: Floats
    individual: float
    mean_amr: float

    @property
    def expected_return(self) -> float:
        """The undiscounted expected return."""
        return float(self.rewards.sum())


def next_pressure(problem: Problem, pressure: ArrayLike, given: ArrayLike) -> Floats:
    """Return max(0, p + doses - leak) for counts of treatments (..., K)."""
    doses = np.asarray(given, dtype=np.float64) @ problem.cross
    after: Floats = np.maximum(0.0, np.asarray(pressure) + doses - problem.leak)
    after[after < 1e-9] = 0.0  # a rounding error is no pressure
    return after


def path_of(
    problem: Problem,
    choose: Callable[[int, Floats], ArrayLike],
    *,
    steps: int | None = None,
    on_progress: OnProgress | None = None,
) -> Path:
    """Return the episode of a clinic without chance in which `choose(step, pressure)` treats.

    Args:
        problem: With patients of one type.
        choose: Steps made, pressures (K,) -> patients treated with each antibiotic, (K,).
        steps: Length; None: an episode.
        on_progress: Told how many steps are made.
    """
    length = problem.num_steps if steps is None else steps
    k = len(problem.antibiotics)
    given = np.zeros((length, k), dtype=np.int64)
    pressure = np.empty((length + 1, k))
    pressure[0] = problem.initial
    for step in counting(on_progress, "step", range(length)):
        given[step] = choose(step, pressure[step])
        pressure[step + 1] = next_pressure(problem, pressure[step], given[step])
    level = problem.level(pressure)
    reported = reported_levels(problem, level)
    individual = _individual(problem, given, level)
    weight = problem.lambda_weight
    community = -problem.community_share * reported.sum(axis=1)
    return Path(
        given=given,
        pressure=pressure,
        rewards=weight * community + (1 - weight) * individual,
        individual=float(individual.sum()),
        mean_amr=float(reported.mean()),
    )


def replay(problem: Problem, given: ArrayLike) -> Path:
    """Return the episode of these treatments, (T, K), given to whoever comes."""
    rows = np.asarray(given, dtype=np.int64)
    return path_of(problem, lambda step, pressure: rows[step], steps=len(rows))


def reported_levels(problem: Problem, level: Floats) -> Floats:
    """Return the expected visible levels after each step, (T, K), of true levels (T + 1, K)."""
    steps = np.arange(1, len(level))
    seen: Floats = problem.reported(level)[steps - steps % problem.update_every]
    return seen


def _individual(problem: Problem, given: Ints, level: Floats) -> Floats:
    """Return the clinical part (T,) of treatments that do not depend on who comes."""
    gain, slope, untreated = (
        problem.share @ each for each in (problem.gain, problem.slope, problem.untreated)
    )
    each = gain + problem.harm - slope * level[:-1]
    individual: Floats = untreated + (given * each).sum(axis=1) / problem.num_patients
    if problem.epsilon > 0:
        individual = individual - problem.epsilon * _deltas(problem, given, level)
    return individual


def _deltas(problem: Problem, given: Ints, level: Floats) -> Floats:
    """Return the mean over patients of the marginal effects of the last doses, (T,)."""
    if not given.any():
        return np.zeros(len(given))
    if not problem.sees_amr:
        raise NotComputable("epsilon > 0 is computed only where AMR is reported exactly")
    share = np.clip((level[1:] - problem.residual) / (1 - problem.residual), 0.0, 1.0 - 2e-10)
    seen = 2 * problem.flatness * np.arctanh(share)
    doses = given @ problem.cross
    after = problem.level(np.maximum(0.0, seen + doses - problem.leak))
    without = problem.level(np.maximum(0.0, seen + doses - 1 - problem.leak))
    total: Floats = (given * (after - without)).sum(axis=1) / problem.num_patients
    return total


@lru_cache(maxsize=4)
def _combinations(num_patients: int, k: int) -> tuple[Ints, Ints]:
    """Return every treatment of every patient, (N, P), and its choice, (N,)."""
    if (k + 1) ** num_patients > _MOST_COMBINATIONS:
        raise NotComputable(
            f"the optimal policy is not played for {num_patients} different patients"
            f" and {k} antibiotics"
        )
    rows = np.array(list(product(range(k + 1), repeat=num_patients)), dtype=np.int64)
    index = {tuple(row): c for c, row in enumerate(counts(num_patients, k).tolist())}
    totals = np.stack([(rows == j).sum(axis=1) for j in range(k)], axis=1)
    return rows, np.array([index[tuple(row)] for row in totals.tolist()])


def best_counts(problem: Problem, choices: Ints, values: Floats, level: Floats) -> Ints:
    """Return the best counts (E, K) for patients of one type.

    Args:
        problem: The clinic.
        choices: Counts of each choice, (C, K).
        values: What comes after each choice, (E, C).
        level: AMR before the step, (E, K).
    """
    each = problem.gain[0] + problem.harm - problem.slope[0] * level
    weight = (1 - problem.lambda_weight) / problem.num_patients
    score = values + weight * (each @ choices.T)
    return choices[_first_best(score, choices.sum(axis=1))]


def best_actions(
    problem: Problem, values: Floats, level: Floats, gain: Floats, slope: Floats
) -> Ints:
    """Return the best treatment of each patient, (E, P); K is none.

    Args:
        problem: The clinic.
        values: What comes after each choice, (E, C), in the order of `counts`.
        level: AMR before the step, (E, K).
        gain: Of each patient, (E, P).
        slope: Of each patient, (E, P).
    """
    episodes, patients = gain.shape
    k = level.shape[1]
    weight = (1 - problem.lambda_weight) / problem.num_patients
    each = weight * (gain[:, :, None] + problem.harm - slope[:, :, None] * level[:, None, :])
    if k == 1:
        order = np.argsort(-each[:, :, 0], axis=1, kind="stable")
        ranked = np.take_along_axis(each[:, :, 0], order, axis=1)
        sums = np.concatenate([np.zeros((episodes, 1)), ranked.cumsum(axis=1)], axis=1)
        number = _first_best(values + sums, np.arange(patients + 1))
        actions = np.ones((episodes, patients), dtype=np.int64)
        treated = np.arange(patients)[None] < number[:, None]
        np.put_along_axis(actions, order, np.where(treated, 0, 1), axis=1)
        return actions
    rows, choice = _combinations(patients, k)
    with_none = np.concatenate([each, np.zeros((episodes, patients, 1))], axis=2)
    score = values[:, choice]
    for p in range(patients):
        score = score + with_none[:, p, rows[:, p]]
    return rows[_first_best(score, (rows < k).sum(axis=1))]


def _first_best(score: Floats, treated: Ints) -> Ints:
    """Return the best column of each row; of equals one with the fewest treatments."""
    scale = np.maximum(
        1.0, np.abs(score).max(axis=1, keepdims=True, initial=0, where=score > -1e300)
    )
    near = score >= score.max(axis=1, keepdims=True) - _TIE * scale
    found: Ints = np.where(near, treated, treated.max() + 1).argmin(axis=1)
    return found


def never(problem: Problem) -> float:
    """Return what never treating is worth in an episode."""
    return replay(
        problem, np.zeros((problem.num_steps, len(problem.antibiotics)), np.int64)
    ).expected_return
