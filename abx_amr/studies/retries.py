"""A trial that comes to nothing: it is failed, and its point queued again while retries are left.

A point keeps its lineage number through all retries; a retry is a new trial with the same
parameters. What is done here is done inside the storage's critical section.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from abx_amr.studies.records import INTERRUPTED, TrialRecord
from abx_amr.studies.records.writing import begun_again, write_failure

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from abx_amr.studies.settings import StudySettings

log = logging.getLogger(__name__)


def fail(
    trial: TrialRecord,
    reason: str,
    trials: Sequence[TrialRecord],
    *,
    settings: StudySettings,
    backend: BaseStorage,
    study_id: int,
    worker_is_gone: bool = False,
) -> bool:
    """Mark the trial failed and queue its parameters again while retries are left.

    In this order, and False where the trial was finished meanwhile: a point that was told is
    never tried again. What a death in between leaves is queued by the next that looks.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    retries = trial.retries + (reason != INTERRUPTED)
    is_whole = trial.lineage is not None and not settings.space.missing(trial.frozen.params)
    try:
        write_failure(
            backend,
            trial.id,
            reason,
            try_again=retries if is_whole and retries <= settings.max_retry else None,
            worker_is_gone=worker_is_gone,
        )
    except UpdateFinishedTrialError:
        log.debug("trial %d was finished meanwhile", trial.number)
        return False
    failed = TrialRecord(backend.get_trial(trial.id))
    queue_again(failed, trials, backend=backend, study_id=study_id)
    return True


def queue_again(
    trial: TrialRecord, trials: Sequence[TrialRecord], *, backend: BaseStorage, study_id: int
) -> bool:
    """Queue the parameters of a failed trial, once, if they are to be tried again."""
    from optuna.trial import TrialState, create_trial

    if trial.try_again is None or any(other.retry_of == trial.number for other in trials):
        return False
    attributes, system_attributes = begun_again(trial, retries=trial.try_again)
    again = create_trial(
        state=TrialState.WAITING,
        params=trial.frozen.params,
        distributions=trial.frozen.distributions,
        user_attrs=attributes,
        system_attrs=system_attributes,
    )
    backend.create_new_trial(study_id, template_trial=again)
    return True
