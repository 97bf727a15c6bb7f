"""Racing over seeds: every point gets few seeds, those that do well get more, until they are spent.

Points are compared on seeds that all of them have (F-race and irace's idea, for mean - lambda * std
over seeds): a paired bootstrap says how often a point is better than the leader, and one that
hardly ever is gets no further seed. Of the others, the best `1 / reduction` of each rung come to
the next, which doubles their seeds (asynchronous successive halving), so that nobody waits for
anybody. All of it follows from what the trainings gave: whoever asks comes to the same.

López-Ibáñez et al., "The irace package", Operations Research Perspectives 3 (2016); Li et al., "A
system for massively parallel hyperparameter tuning", MLSys 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from abx_amr.rng import stream
from abx_amr.studies.objective import default_min_successful_seeds, robust_score

if TYPE_CHECKING:
    from abx_amr.studies.objective import Direction
    from abx_amr.studies.records.races import RaceRules

Floats = NDArray[np.float64]

RESAMPLES = 1000
#: Of as many points as this, at least, the spread between and within points can be told apart.
FEWEST_POINTS = 4


@dataclass(frozen=True, kw_only=True)
class RacePoint:
    """A point in a race.

    Attributes:
        number: Of its trial.
        returns: Of each of its seeds that has ended, in their order; None for one that failed.
        reserved: Trainings that are its own, those that have ended included.
        is_claimed: Whether a worker is at those it lacks.
        is_out: Whether it gets no further seed, since the leader is better.
        is_closed: Whether it gets no further seed, since the budget was spent once (and has grown).
    """

    number: int
    returns: Sequence[float | None]
    reserved: int
    is_claimed: bool = False
    is_out: bool = False
    is_closed: bool = False

    @property
    def n_seeds(self) -> int:
        """How many of its trainings have ended."""
        return len(self.returns)

    @property
    def is_at_work(self) -> bool:
        """Whether trainings are reserved for it that have not ended."""
        return self.reserved > self.n_seeds


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done next: more seeds for a point, or (None) the first of a new one."""

    number: int | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class RaceStanding:
    """How far a race is.

    Attributes:
        rules: How seeds are given out.
        points: By number of the trial.
        penalty_weight: Lambda.
        direction: Of the objective.
        most_points: How many points there are to be had, None for any number.
        most_seeds: How many seeds a point may have.
    """

    rules: RaceRules
    points: Mapping[int, RacePoint]
    penalty_weight: float
    direction: Direction
    most_points: int | None = None
    most_seeds: int = 8000

    @property
    def _sign(self) -> float:
        """What turns a race to the bottom into one to the top."""
        return 1.0 if self.direction == "maximize" else -1.0

    @property
    def n_spent(self) -> int:
        """Trainings that have ended."""
        return sum(point.n_seeds for point in self.points.values())

    @property
    def n_reserved(self) -> int:
        """Trainings that have ended or are somebody's."""
        return sum(point.reserved for point in self.points.values())

    @property
    def is_spent(self) -> bool:
        """Whether every training of the budget has ended, and those that were reserved beside."""
        is_at_work = any(point.is_at_work for point in self.points.values())
        return self.n_spent >= self.rules.trainings and not is_at_work

    def value(self, number: int, *, n_seeds: int | None = None) -> float:
        """Return mean - lambda * std of a point, to maximise; -inf where too few seeds succeeded.

        Args:
            number: Of its trial.
            n_seeds: Only its first seeds (default: all).
        """
        returns = self.points[number].returns[:n_seeds]
        found = [self._sign * value for value in returns if value is not None]
        if not returns or len(found) < default_min_successful_seeds(len(returns)):
            return -math.inf
        return robust_score(found, penalty_weight=self.penalty_weight)

    @cached_property
    def shrunken(self) -> Mapping[int, float]:
        """Each point's value, drawn to the middle of all the more the fewer seeds it has.

        By the variance of points (their quartiles) and of seeds (pooled over the better half):
        v' = m + (v - m) t / (t + s / n). A value of two seeds is thus never the best by luck alone.
        To maximise; points without a value are left out.
        """
        values = {
            number: self.value(number) for number, point in self.points.items() if point.n_seeds
        }
        finite = {number: value for number, value in values.items() if math.isfinite(value)}
        if len(finite) < FEWEST_POINTS:
            return values
        better = sorted(finite, key=lambda number: -finite[number])[: max(3, len(finite) // 2)]
        variances = [self._variance(number) for number in better]
        known = [variance for variance in variances if variance is not None]
        if not known:
            return values
        of_seeds = math.fsum(known) / len(known)
        shares = {number: of_seeds / self.points[number].n_seeds for number in finite}
        low, middle, high = np.quantile([*finite.values()], [0.25, 0.5, 0.75])
        noise = math.fsum(shares.values()) / len(shares)
        of_points = max(((high - low) / 1.349) ** 2 - noise, 1e-6 * of_seeds)  # of a normal's
        if of_points <= 0:  # every seed of every point gave the same
            return values
        return {
            number: float(middle + (value - middle) * of_points / (of_points + shares[number]))
            if number in finite
            else value
            for number, value in values.items()
        }

    @property
    def leader(self) -> int | None:
        """The point with the best shrunken value that is not out; the earliest of equals."""
        shrunken = self.shrunken
        alive = [number for number in shrunken if not self.points[number].is_out]
        alive = alive or list(shrunken)
        return max(alive, key=lambda number: (shrunken[number], -number)) if alive else None

    @property
    def ranking(self) -> list[int]:
        """All points that have a value, the best first."""
        shrunken = self.shrunken
        finite = [number for number, value in shrunken.items() if math.isfinite(value)]
        return sorted(finite, key=lambda number: (-shrunken[number], number))

    @property
    def losers(self) -> list[int]:
        """Points that are out: hardly ever better than the leader on seeds that both have."""
        leader = self.leader
        if leader is None:
            return []
        return [
            number
            for number, point in self.points.items()
            if number != leader
            and point.n_seeds
            and not (point.is_out or point.is_closed or point.is_at_work)
            and point.n_seeds <= self.points[leader].n_seeds
            and self.chance_against(number, leader) < self.rules.level
        ]

    def chance_against(self, number: int, leader: int) -> float:
        """Return in which share of resamples of their common seeds a point is no worse.

        1 where no seed of both has succeeded but the point may still have a value.
        """
        if not math.isfinite(self.value(number)):
            return 0.0
        pairs = [
            (self._sign * own, self._sign * other)
            for own, other in zip(
                self.points[number].returns, self.points[leader].returns, strict=False
            )
            if own is not None and other is not None
        ]
        if not pairs:
            return 1.0
        own, other = np.array(pairs).T
        rows = _resamples(len(pairs))
        difference = self._scores(own[rows]) - self._scores(other[rows])
        return float((difference >= 0).mean())

    def next_step(self) -> Step | None:
        """Return what a worker is to do; None where there is but to wait, or nothing."""
        abandoned = [p for p in self.points.values() if p.is_at_work and not p.is_claimed]
        if abandoned:
            return Step(number=abandoned[0].number, seeds=abandoned[0].reserved)
        left = self.rules.trainings - self.n_reserved
        if left <= 0:
            return None
        promoted = self._promoted()
        if promoted is not None:
            return self._doubled(promoted, left)
        may_draw = self.most_points is None or len(self.points) < self.most_points
        if may_draw and (left >= self.rules.first_seeds or not self.points):
            return Step(number=None, seeds=min(self.rules.first_seeds, left))
        return self._rest_to_the_best(left)

    def _promoted(self) -> int | None:
        """Return the point that is to have twice its seeds, of the highest rung that has one."""
        sizes = {point.n_seeds for point in self.points.values() if point.n_seeds}
        for n_seeds in sorted(sizes, reverse=True):
            values = {
                number: self.value(number, n_seeds=n_seeds)
                for number, point in self.points.items()
                if point.n_seeds >= n_seeds
            }
            best = sorted(values, key=lambda number, of=values: (-of[number], number))  # type: ignore[misc]
            for number in best[: len(values) // self.rules.reduction]:
                point = self.points[number]
                if point.n_seeds == n_seeds and self._is_free(point):
                    return number
        return None

    def _rest_to_the_best(self, left: int) -> Step | None:
        """Double the seeds of the best point that is free, as far as the budget goes.

        Where what is left is too little for a new point, or there is none to be had.
        """
        ranked = [*self.ranking, *self.points]
        free = [number for number in ranked if self._is_free(self.points[number])]
        return self._doubled(free[0], left) if free else None

    def _is_free(self, point: RacePoint) -> bool:
        """Say whether a point may have more seeds now."""
        is_ended = point.is_out or point.is_closed or point.is_at_work
        return not is_ended and point.n_seeds < self.most_seeds

    def _doubled(self, number: int, left: int) -> Step:
        n_seeds = self.points[number].n_seeds
        return Step(number=number, seeds=min(2 * n_seeds, n_seeds + left, self.most_seeds))

    def _scores(self, rows: Floats) -> Floats:
        scores: Floats = rows.mean(axis=1) - self.penalty_weight * rows.std(axis=1)
        return scores

    def _variance(self, number: int) -> float | None:
        found = [value for value in self.points[number].returns if value is not None]
        return float(np.var(found, ddof=1)) if len(found) > 1 else None


@lru_cache(maxsize=64)
def _resamples(n_seeds: int) -> NDArray[np.int64]:
    """Return which of n seeds are in each resample, (RESAMPLES, n)."""
    drawn = stream(n_seeds, "race", "bootstrap")
    return drawn.integers(0, n_seeds, size=(RESAMPLES, n_seeds))
