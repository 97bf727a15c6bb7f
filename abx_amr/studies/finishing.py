"""What is written of a study when it ends, or pauses: its summary, its best, the registry's row."""

from __future__ import annotations

import logging
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.host.atomic_files import jsonable, write_json
from abx_amr.studies.final import FinalStanding, standing
from abx_amr.studies.importance import ValuedPoint, importance_of
from abx_amr.studies.progress import progress_of
from abx_amr.studies.race_standing import race_so_far
from abx_amr.studies.records import (
    STATES,
    FinalAttributes,
    FinalUnit,
    StudyAttributes,
    TrialRecord,
    best_trial,
    workers_of,
)
from abx_amr.studies.records.finals import write_final_result
from abx_amr.studies.records.writing import write_drawn_with, write_importance
from abx_amr.studies.registry import register
from abx_amr.studies.stored import open_study, quiet_optuna, read_trials

if TYPE_CHECKING:
    from abx_amr.studies.search_space import ParameterValue
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudySummary:
    """How far a study is; `content` is what study_summary.json holds.

    `best_params` are those of the point that its final has selected, where there is one.
    """

    is_complete: bool
    n_finished: int
    budget: int
    best_value: float | None
    best_params: Mapping[str, ParameterValue] | None
    content: Mapping[str, Any]
    folder: Path


def finish_study(
    settings: StudySettings,
    storage: StudyStorage,
    *,
    describe_best: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda trial: {},
    describe_final: Callable[[FinalStanding], Mapping[str, Any]] = lambda final: {},
) -> StudySummary:
    """Write how far the study is and return it; safe to call again and from many processes.

    study_summary.json always; best_params.json and the registry's row only once the budget is
    reached and the final is over, and best_params.json only where the best value is finite.

    Args:
        settings: The study.
        storage: Where it is.
        describe_best: What else to say of the best trial, by what is said of it.
        describe_final: What to say of a final that is over.
    """
    quiet_optuna()
    with storage.explained(), storage.critical_section():
        backend, study_id = open_study(storage, settings.study_name)
        attributes = StudyAttributes(backend.get_study_user_attrs(study_id))
        trials = read_trials(backend, study_id)
        final = standing(settings, trials, FinalAttributes(attributes.user_attrs))
        n_ended = sum(trial.is_finished for trial in trials)
        summary = _summarise(settings, trials, attributes, final, describe_final=describe_final)
        if summary.is_complete and attributes.importance(n_ended) is None:
            write_importance(backend, study_id, n_ended, summary.content["importance"])
        result = summary.content["final"]
        if result is not None:
            said = {**result, "n_finished": summary.n_finished}
            write_final_result(backend, study_id, said)
        best = summary.content["best_trial"]
        if best is not None and best["mean_reward"] is not None:
            best.update(describe_best(best))
        settings.folder.mkdir(parents=True, exist_ok=True)
        write_json(settings.files.summary_file, summary.content)
        if summary.is_complete:
            if summary.best_params is not None:
                write_json(settings.files.best_params_file, summary.best_params)
            register(settings, best_value=summary.best_value, n_finished=summary.n_finished)
    return summary


def is_first_to_draw(settings: StudySettings, storage: StudyStorage) -> bool:
    """Say, to one process only, that the figures of the study as it now stands are its to draw."""
    with storage.critical_section():
        backend, study_id = open_study(storage, settings.study_name)
        n_finished = progress_of(settings, read_trials(backend, study_id)).n_done
        drawn_with = StudyAttributes(backend.get_study_user_attrs(study_id)).drawn_with
        write_drawn_with(backend, study_id, n_finished)
    return drawn_with != n_finished


def _summarise(
    settings: StudySettings,
    trials: Sequence[TrialRecord],
    attributes: StudyAttributes,
    final: FinalStanding | None,
    *,
    describe_final: Callable[[FinalStanding], Mapping[str, Any]],
) -> StudySummary:
    finished = [trial for trial in trials if trial.is_finished]
    best = best_trial(trials, direction=settings.direction)
    if strange := [trial for trial in trials if trial.why_not_counted is not None]:
        others = f" (nor do {len(strange) - 1} others)" if len(strange) > 1 else ""
        first = strange[0]
        log.warning("trial %d does not count%s: %s", first.number, others, first.why_not_counted)
    begun = [trial.started for trial in trials if trial.started is not None]
    ended = [trial.ended for trial in trials if trial.ended is not None]
    ended += FinalAttributes(attributes.user_attrs).ended
    is_over = final is None or final.is_complete
    searched = progress_of(settings, trials)
    is_complete = searched.is_over and is_over
    origin = attributes.origin
    importance = None
    if is_complete:  # all workers end at once, and it takes a second in a thousand trials
        importance = attributes.importance(len(finished)) or _importance(settings, finished)
    content = {
        "run_name": settings.run_name,
        "study_name": settings.study_name,
        "status": "complete" if is_complete else "unfinished",
        "direction": settings.direction,
        "sampler": settings.sampler.name,
        "stability_penalty_weight": settings.penalty_weight,
        "n_trials": settings.n_trials,
        "budget": settings.budget,
        "n_finished": searched.n_done,
        "race": race_so_far(
            settings.race,
            trials,
            penalty_weight=settings.penalty_weight,
            direction=settings.direction,
        ),
        "n_all_seeds_failed": sum(
            trial.state == "COMPLETE" and trial.value is not None and not math.isfinite(trial.value)
            for trial in finished
        ),
        "n_trials_with_failed_seeds": sum(bool(trial.failed_seeds) for trial in finished),
        "n_trials_with_collapsed_seeds": sum(bool(trial.collapsed_seeds) for trial in finished),
        "states": {state: sum(trial.state == state for trial in trials) for state in STATES},
        "best_value": None if best is None else best.value,
        "best_trial": None if best is None else _describe_trial(best),
        "importance": importance,
        "final": None,
        "final_trainings": None,
        "wall_time_seconds": _span(begun, ended),
        "final_time_seconds": None,
        "trial_time_seconds": math.fsum(trial.wall_time_seconds or 0.0 for trial in finished),
        "workers": [
            {
                "host": history.worker.process.host,
                "pid": history.worker.process.pid,
                "worker": history.worker.index,
                "trials": history.n_finished,
            }
            for history in workers_of(trials)
        ],
        "versions": _versions(),
        "created_with_optuna": None if origin is None else origin.optuna,
        "fingerprint": None if origin is None else origin.digest,
    }
    params = None if best is None else dict(best.params)
    if final is not None:
        content["final_trainings"] = {"done": final.n_done, "planned": final.n_planned}
        content["final_time_seconds"] = math.fsum(o.seconds or 0.0 for o in final.outcomes.values())
    if final is not None and final.is_complete:
        assert final.selected is not None
        params = dict(final.parameters(final.selected))
        content["final"] = {**_describe_final(final, found=best), **describe_final(final)}
    return StudySummary(
        is_complete=is_complete,
        n_finished=searched.n_done,
        budget=settings.budget,
        best_value=None if best is None else best.value,
        best_params=params,
        content=jsonable(content),
        folder=settings.folder,
    )


def _importance(settings: StudySettings, finished: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Return which searched values matter among all points, and among the good ones."""
    points = [
        ValuedPoint(
            point=trial.params,
            value=trial.value,
            returns=[seed.episode_return for seed in trial.seeds],
        )
        for trial in finished
        if trial.value is not None
    ]
    found = importance_of(
        points,
        settings.space,
        direction=settings.direction,
        penalty_weight=settings.penalty_weight,
        first_seeds=None if settings.race is None else settings.race.first_seeds,
    )
    return [one.as_record() for one in found]


def _span(begun: Sequence[datetime], ended: Sequence[datetime]) -> float | None:
    """Return the seconds from the first beginning to the last end, None where no clock tells.

    One that was set back meanwhile says that the end came first.
    """
    seconds = (max(ended) - min(begun)).total_seconds() if begun and ended else -1.0
    return seconds if seconds >= 0 else None


def _describe_final(final: FinalStanding, *, found: TrialRecord | None) -> dict[str, Any]:
    assert final.selected is not None
    return {
        **final.size.as_record(),
        "candidates": [
            {
                "point": point,
                "seeds": {
                    str(seed): final.outcomes[FinalUnit(point, seed)].episode_return
                    for seed in final.seeds
                },
                "objective": final.score(point).value,
                "params": dict(final.parameters(point)),
            }
            for point in final.points
        ],
        "selected": final.selected,
        "params": dict(final.parameters(final.selected)),
        "effective_values": final.effective_values(final.selected),
        "found": None if found is None else found.value,
    }


def _describe_trial(trial: TrialRecord) -> dict[str, Any]:
    return {
        "number": trial.number,
        "value": trial.value,
        "params": dict(trial.params),
        "mean_reward": trial.mean_reward,
        "std_reward": trial.std_reward,
        "stability_penalty": trial.stability_penalty,
        "seeds": [seed.as_record() for seed in trial.seeds],
        "failed_seeds": trial.failed_seeds,
        "collapsed_seeds": trial.collapsed_seeds,
        "effective_values": trial.effective_values,
        "wall_time_seconds": trial.wall_time_seconds,
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("abx-amr", "optuna", "torch", "stable-baselines3", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
