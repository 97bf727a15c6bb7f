"""A study's final: what its search found, compared on fresh seeds, then valued on held-out ones.

The best points of the search and the default train on fresh seeds; the winner by mean - lambda *
std, and the default, then on held-out seeds. All of it follows from the finished trials and from
what the trainings gave, so that every worker comes to the same work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abx_amr.studies.first_points import default_point
from abx_amr.studies.objective import (
    SeedOutcome,
    TrialScore,
    default_min_successful_seeds,
    score_outcomes,
)
from abx_amr.studies.progress import progress_of
from abx_amr.studies.race_standing import race_of
from abx_amr.studies.records import (
    DEFAULT,
    FinalAttributes,
    FinalSize,
    FinalUnit,
    Point,
    TrialRecord,
)
from abx_amr.studies.settings import FIRST_HELD_OUT_SEED, fresh_seeds

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings


@dataclass(frozen=True, kw_only=True)
class FinalStanding:
    """How far a final is.

    Attributes:
        size: Its size.
        points: The best points of the search in order, then the default -> configuration path ->
            value.
        seeds: On which they are compared.
        held_out_seeds: On which the winner and the default are valued.
        outcomes: What the trainings gave that have ended.
        settings: The study's.
    """

    size: FinalSize
    points: Mapping[Point, Mapping[str, Any]]
    seeds: Sequence[int]
    held_out_seeds: Sequence[int]
    outcomes: Mapping[FinalUnit, SeedOutcome]
    settings: StudySettings

    @property
    def compared(self) -> list[FinalUnit]:
        """The trainings of the comparison, the better points first."""
        return [FinalUnit(point, seed) for point in self.points for seed in self.seeds]

    @property
    def units(self) -> list[FinalUnit]:
        """All trainings that are known to be needed: the winner's once there is one."""
        held_out: list[Point] = [DEFAULT]
        if self.selected is not None and self.selected != DEFAULT:
            held_out.append(self.selected)
        return [
            *self.compared,
            *(FinalUnit(point, seed) for point in held_out for seed in self.held_out_seeds),
        ]

    @property
    def open(self) -> list[FinalUnit]:
        """The trainings that have not ended, in the order in which they are begun."""
        return [unit for unit in self.units if unit not in self.outcomes]

    @property
    def n_done(self) -> int:
        """How many trainings have ended."""
        return sum(unit in self.outcomes for unit in self.units)

    @property
    def n_planned(self) -> int:
        """How many trainings it takes, as far as is known."""
        known = len(self.units)
        return known if self.selected is not None else known + len(self.held_out_seeds)

    @property
    def is_complete(self) -> bool:
        """Whether the winner and the default have their value on held-out seeds."""
        return not self.open

    @property
    def selected(self) -> Point | None:
        """The point that wins the comparison; None before it is over.

        The earlier of equals; the default where every point failed.
        """
        if any(unit not in self.outcomes for unit in self.compared):
            return None
        scores = {point: self.score(point).value for point in self.points}
        sign = 1.0 if self.settings.direction == "maximize" else -1.0
        if not any(math.isfinite(value) for value in scores.values()):
            return DEFAULT
        return max(scores, key=lambda point: sign * scores[point])

    def score(self, point: Point) -> TrialScore:
        """Return what a point is worth in the comparison, as a trial is scored."""
        return score_outcomes(
            [self.outcomes[FinalUnit(point, seed)] for seed in self.seeds],
            penalty_weight=self.settings.penalty_weight,
            direction=self.settings.direction,
            min_successful_seeds=default_min_successful_seeds(len(self.seeds)),
        )

    def held_out(self, point: Point) -> list[SeedOutcome]:
        """Return what the held-out seeds of a point gave, those that have ended."""
        units = [FinalUnit(point, seed) for seed in self.held_out_seeds]
        return [self.outcomes[unit] for unit in units if unit in self.outcomes]

    def effective_values(self, point: Point) -> Mapping[str, Any]:
        """Return configuration path -> what a point's built agents were found to use."""
        own = (o.effective_values for unit, o in self.outcomes.items() if unit.point == point)
        return next((values for values in own if values), {})

    def is_held_out(self, unit: FinalUnit) -> bool:
        """Say whether a training is one of the held-out seeds."""
        return unit.seed in self.held_out_seeds

    def parameters(self, point: Point) -> Mapping[str, Any]:
        """Return configuration path -> value of a point."""
        return self.points[point]


def standing(
    settings: StudySettings, trials: Sequence[TrialRecord], attributes: FinalAttributes
) -> FinalStanding | None:
    """Return how far the final of a study is whose search is over.

    None where it has none, has not come to it, or where no trial has a value to compare.

    Args:
        settings: The study's.
        trials: All its trials.
        attributes: What is stored of the final.
    """
    size = attributes.size
    if size is None or not progress_of(settings, trials).is_over:
        return None
    finished = [trial for trial in trials if trial.is_finished]
    ranked = [
        trial
        for trial in _ranked(finished, settings)
        if settings.space.is_point(trial.frozen.params)
    ]
    if not ranked:
        return None
    default = default_point(settings)
    points: dict[Point, Mapping[str, Any]] = {
        **_best_points(ranked, size.top, other_than=default, settings=settings),
        DEFAULT: default,
    }
    used = {seed.seed for trial in finished for seed in trial.seeds}
    return FinalStanding(
        size=size,
        points=points,
        seeds=fresh_seeds(size.seeds, used),
        held_out_seeds=[FIRST_HELD_OUT_SEED + i for i in range(size.seeds)],
        outcomes=attributes.outcomes,
        settings=settings,
    )


def _ranked(finished: Sequence[TrialRecord], settings: StudySettings) -> list[TrialRecord]:
    """Return the trials with a finite value, the best first, the earlier of equals.

    In a race by their shrunken values: one of few seeds is seldom as good as it looks.
    """
    if settings.race is not None:
        by_number = {trial.number: trial for trial in finished}
        return [by_number[number] for number in race_of(settings, finished).ranking]
    sign = -1.0 if settings.direction == "maximize" else 1.0
    ranked = sorted(
        (sign * trial.value, trial.number, trial)
        for trial in finished
        if trial.value is not None and math.isfinite(trial.value)
    )
    return [trial for _, _, trial in ranked]


def _best_points(
    ranked: Sequence[TrialRecord],
    top: int,
    *,
    other_than: Mapping[str, Any],
    settings: StudySettings,
) -> dict[Point, Mapping[str, Any]]:
    """Return number -> parameters of the best trials whose points differ, the best first.

    The default (`other_than`) takes part anyway and takes no other point's place.
    """
    found: dict[Point, Mapping[str, Any]] = {}
    for trial in ranked:
        params = settings.space.point(trial.frozen.params)
        if len(found) < top and params != other_than and params not in found.values():
            found[trial.number] = params
    return found
