"""Racing over seeds: every point gets few seeds, those that do well get more, until they are spent.

Points are compared on seeds that all of them have (F-race and irace's idea, for mean - lambda * std
over seeds): a paired bootstrap says how often a point is better than the leader, and one that
hardly ever is gets no further seed. Of the others, the best `1 / reduction` of each rung come to
the next, which doubles their seeds (asynchronous successive halving), so that nobody waits for
anybody. All of it follows from what the trainings gave: whoever asks comes to the same.

Where trainings are of two lengths, every point begins with short ones. At first each then goes on
to the end of its trainings, as if there were no short ones; once the ranks after short trainings
are known to tell those after whole ones (see `race_lengths`), only the best `1 / reduction` do.

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
from abx_amr.studies.race_lengths import Foresight
from abx_amr.studies.race_shrinking import shrunken

if TYPE_CHECKING:
    from abx_amr.studies.objective import Direction
    from abx_amr.studies.records.races import RaceRules

Floats = NDArray[np.float64]

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class RacePoint:
    """A point in a race.

    Attributes:
        number: Of its trial.
        returns: Of each of its seeds that has ended, in their order; None for one that failed.
        reserved: Trainings that are its own, those that have ended included.
        length: What the budget counts for each that has ended: 1, or its episodes.
        reserved_length: And for each that is its own.
        shorter: Returns of its first seeds when they had been trained for less, if they had.
        is_chosen: Whether it goes on to the end of its trainings since it was among the best then.
        is_claimed: Whether a worker is at those it lacks.
        is_out: Whether it gets no further seed, since the leader is better.
        is_closed: Whether it gets no further seed, since the budget was spent once (and has grown).
    """

    number: int
    returns: Sequence[float | None]
    reserved: int
    length: int = 1
    reserved_length: int = 1
    shorter: Sequence[float | None] = ()
    is_chosen: bool = False
    is_claimed: bool = False
    is_out: bool = False
    is_closed: bool = False

    @property
    def n_seeds(self) -> int:
        """How many of its trainings have ended."""
        return len(self.returns)

    @property
    def spent(self) -> int:
        """What the budget counts for its trainings that have ended."""
        return self.n_seeds * self.length

    @property
    def all_reserved(self) -> int:
        """What the budget counts for all that are its own."""
        return self.reserved * self.reserved_length

    @property
    def is_at_work(self) -> bool:
        """Whether trainings are reserved for it that have not ended."""
        return self.all_reserved > self.spent


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done next: more for a point, or (None) the first seeds of a new one.

    `length` is what the budget counts for a training of so many seeds; `is_chosen` says that a
    point goes on to the end of its trainings since it is among the best after short ones.
    """

    number: int | None
    seeds: int
    length: int = 1
    is_chosen: bool = False


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
        """What the budget counts for trainings that have ended."""
        return sum(point.spent for point in self.points.values())

    @property
    def n_reserved(self) -> int:
        """What it counts for those that have ended or are somebody's."""
        return sum(point.all_reserved for point in self.points.values())

    @property
    def is_spent(self) -> bool:
        """Whether every training of the budget has ended, and those that were reserved beside."""
        is_at_work = any(point.is_at_work for point in self.points.values())
        return self.n_spent >= self.rules.budget and not is_at_work

    def value(self, number: int, *, n_seeds: int | None = None) -> float:
        """Return mean - lambda * std of a point, to maximise; -inf where too few seeds succeeded.

        Args:
            number: Of its trial.
            n_seeds: Only its first seeds (default: all).
        """
        return self._worth(self.points[number].returns[:n_seeds])

    def _worth(self, returns: Sequence[float | None]) -> float:
        found = [self._sign * value for value in returns if value is not None]
        if not returns or len(found) < default_min_successful_seeds(len(returns)):
            return -math.inf
        return robust_score(found, penalty_weight=self.penalty_weight)

    @cached_property
    def foresight(self) -> Foresight:
        """How well short trainings have told the value of whole ones so far."""
        return Foresight(
            [
                (self._worth(point.shorter), self.value(number, n_seeds=len(point.shorter)))
                for number, point in self.points.items()
                if point.shorter and not point.is_chosen
            ]
        )

    @cached_property
    def likely(self) -> Mapping[int, float]:
        """Each point's shrunken value, or what its short trainings let expect; to maximise.

        Points that have ended no training are left out, and those of short trainings alone while
        these are not known to tell anything.
        """
        short = {number: self.value(number) for number in self._whose_are_short}
        foresight = self.foresight
        return {
            **self.shrunken,
            **{
                number: foresight.of(value)
                for number, value in short.items()
                if foresight.is_supported or not math.isfinite(value)
            },
        }

    @cached_property
    def shrunken(self) -> Mapping[int, float]:
        """Each point's value, drawn to the middle of all the more the fewer seeds it has.

        To maximise; points without a value of whole trainings are left out.
        """
        whole = self._whose_are_whole
        return shrunken(
            {number: self.value(number) for number in whole},
            {number: self.points[number].returns for number in whole},
        )

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
            and number in self.shrunken
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

    @property
    def _whose_are_short(self) -> list[int]:
        """Points that have short trainings alone, of those that are to have whole ones."""
        return [
            number
            for number, point in self.points.items()
            if point.n_seeds and point.length < self.rules.whole
        ]

    @property
    def _whose_are_whole(self) -> list[int]:
        """Points that have whole trainings."""
        return [
            number
            for number, point in self.points.items()
            if point.n_seeds and point.length == self.rules.whole
        ]

    def next_step(self) -> Step | None:
        """Return what a worker is to do; None where there is but to wait, or nothing."""
        abandoned = [p for p in self.points.values() if p.is_at_work and not p.is_claimed]
        if abandoned:
            first = abandoned[0]
            return Step(
                number=first.number,
                seeds=first.reserved,
                length=first.reserved_length,
                is_chosen=first.is_chosen,
            )
        rules = self.rules
        left = rules.budget - self.n_reserved
        if left <= 0:
            return None
        promoted = self._promoted()
        if promoted is not None and left >= rules.whole:
            return self._doubled(promoted, left)
        lengthened = self._lengthened(left)
        if lengthened is not None:
            return lengthened
        if left >= rules.first_seeds * rules.whole or not self.points:
            begun = self._begun(left)
            if begun is not None:
                return begun
        return self._rest_to_the_best(left)

    def _promoted(self) -> int | None:
        """Return the point that is to have twice its seeds, of the highest rung that has one."""
        points = {number: self.points[number] for number in self._whose_are_whole}
        sizes = {point.n_seeds for point in points.values()}
        for n_seeds in sorted(sizes, reverse=True):
            values = {
                number: self.value(number, n_seeds=n_seeds)
                for number, point in points.items()
                if point.n_seeds >= n_seeds
            }
            best = sorted(values, key=lambda number, of=values: (-of[number], number))  # type: ignore[misc]
            for number in best[: len(values) // self.rules.reduction]:
                point = self.points[number]
                if point.n_seeds == n_seeds and self._is_free(point):
                    return number
        return None

    def _lengthened(self, left: int) -> Step | None:
        """Let a point whose trainings are short go on to their end, where the budget has room.

        One of the best `1 / reduction` after short trainings, where those are known to tell; else
        whichever is the first.
        """
        if self.rules.episodes is None:
            return None
        is_chosen = self.foresight.is_supported
        values = {
            number: self._worth(point.shorter or point.returns[: self.rules.first_seeds])
            for number, point in self.points.items()
            if point.shorter or (point.n_seeds and point.length < self.rules.whole)
        }
        ranked = [*values]
        if is_chosen:
            best = sorted(values, key=lambda number: (-values[number], number))
            ranked = best[: len(values) // self.rules.reduction]
        for number in ranked:
            point = self.points[number]
            cost = point.n_seeds * self.rules.whole - point.spent
            is_able = math.isfinite(values[number]) and point.length < self.rules.whole
            if is_able and self._is_free(point) and cost <= left:
                return Step(
                    number=number,
                    seeds=point.n_seeds,
                    length=self.rules.whole,
                    is_chosen=is_chosen,
                )
        return None

    def _begun(self, left: int) -> Step | None:
        """Begin a new point, with as many seeds as the budget has room for."""
        if self.most_points is not None and len(self.points) >= self.most_points:
            return None
        seeds = min(self.rules.first_seeds, left // self.rules.short)
        return Step(number=None, seeds=seeds, length=self.rules.short)

    def _rest_to_the_best(self, left: int) -> Step | None:
        """Double the seeds of the best point that is free, as far as the budget goes.

        Where what is left is too little for a new point, or there is none to be had. What is too
        little for a whole training goes into short ones.
        """
        ranked = [*self.ranking, *self.points]
        free = [number for number in ranked if self._is_free(self.points[number])]
        whole = [number for number in free if self.points[number].length == self.rules.whole]
        if left >= self.rules.whole:
            if whole:
                return self._doubled(whole[0], left)
            if any(point.is_at_work for point in self.points.values()):
                return None
        begun = self._begun(left)
        if begun is not None:
            return begun
        short = [number for number in free if number not in whole]
        return self._doubled(short[0], left) if short else None

    def _is_free(self, point: RacePoint) -> bool:
        """Say whether a point may have more seeds now."""
        is_ended = point.is_out or point.is_closed or point.is_at_work
        return not is_ended and point.n_seeds < self.most_seeds

    def _doubled(self, number: int, left: int) -> Step:
        point = self.points[number]
        seeds = min(2 * point.n_seeds, point.n_seeds + left // point.length, self.most_seeds)
        return Step(number=number, seeds=seeds, length=point.length, is_chosen=point.is_chosen)

    def _scores(self, rows: Floats) -> Floats:
        scores: Floats = rows.mean(axis=1) - self.penalty_weight * rows.std(axis=1)
        return scores


@lru_cache(maxsize=64)
def _resamples(n_seeds: int) -> NDArray[np.int64]:
    """Return which of n seeds are in each resample, (RESAMPLES, n)."""
    drawn = stream(n_seeds, "race", "bootstrap")
    return drawn.integers(0, n_seeds, size=(RESAMPLES, n_seeds))
