"""How far the race of a study is, as its trials tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.studies.race import RacePoint, RaceStanding
from abx_amr.studies.records import RaceRules, SeedRecord, TrialRecord

if TYPE_CHECKING:
    from abx_amr.studies.objective import Direction
    from abx_amr.studies.settings import StudySettings


def race_of(settings: StudySettings, trials: Sequence[TrialRecord]) -> RaceStanding:
    """Return how far the race of a study is."""
    assert settings.race is not None
    return RaceStanding(
        rules=settings.race,
        points=_points_of(trials),
        penalty_weight=settings.penalty_weight,
        direction=settings.direction,
        most_points=settings.most_points,
        most_seeds=settings.most_seeds,
    )


def race_so_far(
    rules: RaceRules | None,
    trials: Sequence[TrialRecord],
    *,
    penalty_weight: float,
    direction: Direction,
) -> dict[str, Any] | None:
    """Return the rules of a race, its points and how many came to each number of seeds.

    And, where its trainings are of two lengths, how well the short ones tell the whole ones. None
    for a study without a race.
    """
    if rules is None:
        return None
    points = [trial for trial in trials if trial.rung is not None]
    told = {
        **rules.as_record(),
        "points": len(points),
        "out": sum(trial.state == "PRUNED" for trial in points),
    }
    sizes = [len(trial.seeds) for trial in points if trial.length == rules.whole]
    rungs = [
        {"seeds": size, "points": sum(other >= size for other in sizes)}
        for size in sorted({size for size in sizes if size})
    ]
    if rules.episodes is None:
        return {**told, "rungs": rungs}
    foresight = RaceStanding(
        rules=rules,
        points=_points_of(trials),
        penalty_weight=penalty_weight,
        direction=direction,
    ).foresight
    short = {
        "seeds": rules.first_seeds,
        "points": sum(bool(trial.seeds) for trial in points),
        "episodes": rules.short,
    }
    return {
        **told,
        "rungs": [short, *({**rung, "episodes": rules.whole} for rung in rungs)],
        "foresight": {
            "points": len(foresight.pairs),
            "rank_correlation": foresight.rank_correlation,
            "low": foresight.low,
            "is_used": foresight.is_supported,
            "left_short": sum(0 < trial.length < rules.whole for trial in points if trial.seeds),
        },
    }


def _points_of(trials: Sequence[TrialRecord]) -> dict[int, RacePoint]:
    return {trial.number: _point_of(trial) for trial in trials if trial.rung is not None}


def _point_of(trial: TrialRecord) -> RacePoint:
    assert trial.rung is not None
    seeds = trial.seeds
    return RacePoint(
        number=trial.number,
        returns=[_return_of(seed) for seed in seeds],
        reserved=trial.rung.seeds,
        length=max((seed.episodes or 1 for seed in seeds), default=1),
        reserved_length=trial.rung.episodes or 1,
        shorter=[s.shorter["episode_return"] for s in seeds if s.shorter is not None],
        is_chosen=trial.rung.is_chosen,
        is_claimed=trial.rung.is_claimed,
        is_out=trial.state == "PRUNED",
        is_closed=trial.state == "COMPLETE",
    )


def _return_of(seed: SeedRecord) -> float | None:
    return None if seed.failure is not None else seed.episode_return
