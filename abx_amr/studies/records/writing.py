"""What is written on a trial and on a study, each by one function."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.host.atomic_files import jsonable
from abx_amr.studies.changes import TrialChanges, write_trial
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.records.studies import (
    BUDGET,
    DRAWN_WITH,
    FAILURES_FROM,
    IMPORTANCE,
    ORIGIN,
    Origin,
)
from abx_amr.studies.records.trials import (
    COLLAPSED_SEEDS,
    EFFECTIVE_VALUES,
    FAILED_SEEDS,
    FAILURE,
    HEARTBEAT,
    LINEAGE,
    MEAN_REWARD,
    OWNER,
    RETRIES,
    RETRY_OF,
    SEEDS,
    STABILITY_PENALTY,
    STD_REWARD,
    TRY_AGAIN,
    WALL_TIME,
    WORKER_IS_GONE,
    Heartbeat,
    TrialRecord,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from abx_amr.studies.objective import TrialScore
    from abx_amr.studies.records.workers import Worker


def begun(*, lineage: int, owner: Worker) -> dict[str, Any]:
    """Return the attributes of a trial that was drawn just now."""
    return {LINEAGE: lineage, OWNER: owner.as_record()}


def begun_again(trial: TrialRecord, *, retries: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes, and the system's, of another attempt at a trial's point."""
    attributes = {LINEAGE: trial.lineage, RETRIES: retries, RETRY_OF: trial.number}
    system = {key: v for key, v in trial.frozen.system_attrs.items() if key != HEARTBEAT}
    return attributes, system


def result(outcomes: Sequence[SeedOutcome], score: TrialScore, *, seconds: float) -> dict[str, Any]:
    """Return the attributes of a trial that has ended, in the order in which they are written."""
    attributes = {
        MEAN_REWARD: score.mean_reward,
        STD_REWARD: score.std_reward,
        STABILITY_PENALTY: score.stability_penalty,
        SEEDS: [
            {
                "seed": outcome.seed,
                "episode_return": outcome.episode_return,
                "failure": outcome.failure_reason,
                "seconds": outcome.seconds,
            }
            for outcome in outcomes
        ],
        FAILED_SEEDS: score.failed_seeds,
        COLLAPSED_SEEDS: {o.seed: o.collapse for o in outcomes if o.collapse is not None},
        EFFECTIVE_VALUES: next((o.effective_values for o in outcomes if o.effective_values), {}),
        WALL_TIME: seconds,
    }
    return {name: jsonable(value) for name, value in attributes.items()}


def told_outcomes(trial: TrialRecord) -> list[SeedOutcome]:
    """Return what the seeds of a trial gave, as it is stored of them."""
    collapsed = trial.collapsed_seeds or {}
    return [
        SeedOutcome(
            seed=seed.seed,
            episode_return=seed.episode_return,
            failure=seed.failure,
            effective_values=trial.effective_values,
            seconds=seed.seconds or 0.0,
            collapse=collapsed.get(str(seed.seed)),
        )
        for seed in trial.seeds
    ]


def write_told(
    backend: BaseStorage,
    trial_id: int,
    outcomes: Sequence[SeedOutcome],
    score: TrialScore,
    *,
    episodes: int | None = None,
    shorter: Mapping[int, Mapping[str, Any]] | None = None,
) -> None:
    """Write what a point in a race gave so far: its seeds last, by which it is known.

    Its value by this number of seeds (by what the budget counts for them, where trainings are of
    two lengths) is what Optuna calls an intermediate one.

    Args:
        backend: Optuna's storage.
        trial_id: The trial's, there.
        outcomes: Of all its seeds that have ended.
        score: What they are worth together.
        episodes: How long they were trained, None where all trainings are equally long.
        shorter: Seed -> what it gave when it had been trained for fewer.
    """
    seconds = math.fsum(outcome.seconds for outcome in outcomes)
    attributes = result(outcomes, score, seconds=seconds)
    seeds = attributes.pop(SEEDS)
    if episodes is not None:
        seeds = [{**seed, "episodes": episodes} for seed in seeds]
    if shorter:
        seeds = [
            {**seed, "shorter": dict(shorter[seed["seed"]])} if seed["seed"] in shorter else seed
            for seed in seeds
        ]
    step = len(outcomes) * (episodes or 1)
    changes = TrialChanges(
        intermediate_values={step: score.value}, user_attrs={**attributes, SEEDS: seeds}
    )
    write_trial(backend, trial_id, changes)


def write_told_trial(
    backend: BaseStorage,
    trial_id: int,
    outcomes: Sequence[SeedOutcome],
    score: TrialScore,
    *,
    seconds: float,
) -> None:
    """Write what a trial gave, and its value: it is complete.

    Raises:
        UpdateFinishedTrialError: It was finished meanwhile.
    """
    from optuna.trial import TrialState

    changes = TrialChanges(
        user_attrs=result(outcomes, score, seconds=seconds),
        state=TrialState.COMPLETE,
        values=[score.value],
    )
    write_trial(backend, trial_id, changes)


def write_owner(
    backend: BaseStorage, trial_id: int, owner: Worker, *, lineage: int | None = None
) -> None:
    """Write whose trial it is, and of which point unless that is written already."""
    point = {} if lineage is None else {LINEAGE: lineage}
    changes = TrialChanges(user_attrs={**point, OWNER: owner.as_record()})
    write_trial(backend, trial_id, changes)


def write_failure(
    backend: BaseStorage,
    trial_id: int,
    reason: str,
    *,
    try_again: int | None,
    worker_is_gone: bool,
) -> None:
    """Write that a trial failed, why, and whether its point is to be queued again.

    Args:
        backend: Optuna's storage.
        trial_id: The trial's, there.
        reason: Why it failed.
        try_again: Failed attempts at the point by now, None where it is given up.
        worker_is_gone: Whether the worker, not the trial, is to blame.

    Raises:
        UpdateFinishedTrialError: It was finished meanwhile.
    """
    from optuna.trial import TrialState

    attributes = {FAILURE: reason, TRY_AGAIN: try_again}
    if worker_is_gone and try_again is not None:
        attributes[WORKER_IS_GONE] = True
    changes = TrialChanges(user_attrs=attributes, state=TrialState.FAIL)
    write_trial(backend, trial_id, changes)


def write_heartbeat(backend: BaseStorage, trial_id: int, beat: Heartbeat) -> None:
    """Write a sign of life."""
    write_trial(backend, trial_id, TrialChanges(system_attrs={HEARTBEAT: _stored(beat)}))


def _stored(beat: Heartbeat) -> list[Any]:
    return [beat.count, beat.moment.isoformat(timespec="seconds")]


def write_origin(backend: BaseStorage, study_id: int, origin: Origin) -> None:
    """Write what a study is made with."""
    backend.set_study_user_attr(study_id, ORIGIN, origin.as_record())


def write_budget(backend: BaseStorage, study_id: int, budget: int) -> None:
    """Write how many finished trials complete a study."""
    backend.set_study_user_attr(study_id, BUDGET, budget)


def write_failures_counted_from(backend: BaseStorage, study_id: int, number: int) -> None:
    """Write from which trial on failures in a row are counted."""
    backend.set_study_user_attr(study_id, FAILURES_FROM, number)


def write_importance(
    backend: BaseStorage, study_id: int, n_trials: int, importance: Sequence[Mapping[str, Any]]
) -> None:
    """Write which searched values matter after so many finished trials."""
    record = {"n_trials": n_trials, "importance": [dict(each) for each in importance]}
    backend.set_study_user_attr(study_id, IMPORTANCE, record)


def write_drawn_with(backend: BaseStorage, study_id: int, n_finished: int) -> None:
    """Write with how many finished trials a study's figures are drawn."""
    backend.set_study_user_attr(study_id, DRAWN_WITH, n_finished)
