"""How far the race of a study is, as its trials tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abx_amr.studies.race import RacePoint, RaceStanding
from abx_amr.studies.records import TrialRecord

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings


def race_of(settings: StudySettings, trials: Sequence[TrialRecord]) -> RaceStanding:
    """Return how far the race of a study is."""
    assert settings.race is not None
    return RaceStanding(
        rules=settings.race,
        points={trial.number: _point_of(trial) for trial in trials if trial.rung is not None},
        penalty_weight=settings.penalty_weight,
        direction=settings.direction,
        most_points=settings.most_points,
        most_seeds=settings.most_seeds,
    )


def _point_of(trial: TrialRecord) -> RacePoint:
    assert trial.rung is not None
    return RacePoint(
        number=trial.number,
        returns=[None if s.failure is not None else s.episode_return for s in trial.seeds],
        reserved=trial.rung.seeds,
        is_claimed=trial.rung.is_claimed,
        is_out=trial.state == "PRUNED",
        is_closed=trial.state == "COMPLETE",
    )
