"""Which of the searched values matter, as the trials of a study tell it.

PED-ANOVA (Watanabe, Bansal, Hutter 2023, arXiv 2304.10255), as Optuna computes it: how much the
values of the best points are distributed otherwise than those of the points that they are among.
Told twice, among all points and among the good ones: what must not be wrong, and what still makes a
difference where nothing is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abx_amr.errors import counted
from abx_amr.studies.objective import (
    Direction,
    SeedOutcome,
    default_min_successful_seeds,
    score_outcomes,
)
from abx_amr.studies.parameters import path_of
from abx_amr.studies.points import drawn_from
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.stored import quiet_optuna

#: Points below which importance is told with a caveat, and below which it is not told.
ENOUGH, LEAST = 30, 8
#: Which share of the points are the good ones where no race tells.
_GOOD = 0.25


@dataclass(frozen=True, kw_only=True)
class ValuedPoint:
    """A point, what it is worth by all its seeds, and what each seed gave in their order."""

    point: Mapping[str, Any]  #: configuration path -> value
    value: float
    returns: Sequence[float | None] = ()


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Configuration path -> share of the importance (of 1), among these points."""

    of: str
    n_points: int
    shares: Mapping[str, float]

    def as_record(self) -> dict[str, Any]:
        """Return what the summary of a study has of it."""
        return {"of": self.of, "n_points": self.n_points, "shares": dict(self.shares)}


def importance_of(
    points: Sequence[ValuedPoint],
    space: SearchSpace,
    *,
    direction: Direction,
    penalty_weight: float = 0.2,
    first_seeds: int | None = None,
) -> list[Importance]:
    """Return the importance of what is searched among all points and among the good ones.

    A key that counts at some points only is ranked among these, by how many they are. A set of
    fewer than LEAST points is left out.

    Args:
        points: Those that have ended, and in a race all that have had their first seeds.
        space: What is searched.
        direction: Of the study.
        penalty_weight: Lambda of the study's objective.
        first_seeds: How many seeds each point of a race begins with: all points are compared by
            these, and the survivors by the largest number of seeds that LEAST of them have; None
            without a race: all points, and the best quarter of them.
    """
    if first_seeds is None:
        valued = [each for each in points if math.isfinite(each.value)]
        quarter = f"the best quarter of {len(valued)}"
        found = [
            _shares(valued, space, direction=direction, of=counted(len(valued), "trial")),
            _shares(valued, space, direction=direction, of=quarter, region=_GOOD),
        ]
        return [one for one in found if one is not None]

    def among(seeds: int, noun: str) -> Importance | None:
        scored = [
            ValuedPoint(
                point=each.point,
                value=_score(each.returns[:seeds], direction, penalty_weight),
            )
            for each in points
            if len(each.returns) >= seeds
        ]
        reached = [each for each in scored if math.isfinite(each.value)]
        of = f"{counted(len(reached), noun)} by {counted(seeds, 'seed')}"
        return _shares(reached, space, direction=direction, of=of)

    later = sorted({len(p.returns) for p in points if len(p.returns) > first_seeds}, reverse=True)
    survivors = (among(seeds, "survivor") for seeds in later)
    found = [among(first_seeds, "point"), next((one for one in survivors if one), None)]
    return [one for one in found if one is not None]


def _score(returns: Sequence[float | None], direction: Direction, penalty_weight: float) -> float:
    return score_outcomes(
        [SeedOutcome(number, value) for number, value in enumerate(returns)],
        penalty_weight=penalty_weight,
        direction=direction,
        min_successful_seeds=default_min_successful_seeds(len(returns)),
    ).value


def _shares(
    points: Sequence[ValuedPoint],
    space: SearchSpace,
    *,
    direction: Direction,
    of: str,
    region: float = 1.0,
) -> Importance | None:
    """Return the importance among points, None for too few of them.

    Args:
        points: The points, each with a finite value.
        space: What is searched.
        direction: Of the study.
        of: Which points these are, in words.
        region: The share of them, the best, that the very best are held against.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    quiet_optuna()
    study = optuna.create_study(direction=direction)
    for each in points:
        try:
            params = drawn_from(each.point, space)
        except ValueError:
            continue  # of another space: another program has added it
        if space.is_point(params):
            distributions = {name: space[name] for name in params}
            trial = optuna.create_trial(
                params=params, distributions=distributions, value=each.value
            )
            study.add_trial(trial)
    trials = study.get_trials(deepcopy=False)
    n_points = math.ceil(region * len(trials))
    if n_points < LEAST or len({trial.value for trial in trials}) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few points where a key counts
        found = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(region_quantile=region)
        )
    shares: dict[str, float] = {}
    for name, share in found.items():  # of all ways in which a key is searched
        shares[path_of(name)] = shares.get(path_of(name), 0.0) + float(share)
    return Importance(of=of, n_points=n_points, shares=shares) if len(shares) > 1 else None
