"""What each worker of a study has done, as its trials tell it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from abx_amr.host.processes import ProcessIdentity
from abx_amr.studies.records.trials import TrialRecord
from abx_amr.studies.records.workers import Worker


@dataclass(frozen=True, kw_only=True)
class WorkerHistory:
    """What one worker has done of a study and is doing."""

    worker: Worker
    n_finished: int
    running: TrialRecord | None


def workers_of(trials: Iterable[TrialRecord]) -> list[WorkerHistory]:
    """Return every worker that has had a trial, in the order in which they came."""
    seen: dict[ProcessIdentity, Worker] = {}
    finished: dict[ProcessIdentity, int] = {}
    running: dict[ProcessIdentity, TrialRecord] = {}
    for trial in trials:
        owner = trial.owner
        if owner is None:
            continue
        seen.setdefault(owner.process, owner)
        finished[owner.process] = finished.get(owner.process, 0) + trial.is_finished
        if trial.is_at_work:
            running[owner.process] = trial
    return [
        WorkerHistory(worker=worker, n_finished=finished[process], running=running.get(process))
        for process, worker in seen.items()
    ]
