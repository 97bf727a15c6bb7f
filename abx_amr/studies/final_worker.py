"""One worker at a final: claim seeds of a point, train them, tell what they gave, until it is over.

All workers of a study come here when its search is over, see `final_claims`.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from abx_amr.host.signals import InterruptError, Interrupts
from abx_amr.studies.events import Event, EventKind, WorkerReport
from abx_amr.studies.final_claims import FinalClaims
from abx_amr.studies.heartbeat import beating
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.patience import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, Patience
from abx_amr.studies.records import INTERRUPTED, FinalUnit, Point, Worker
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.stopping import StopError
from abx_amr.studies.storages import StorageError, StudyStorage
from abx_amr.studies.stored import quiet_optuna

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FinalWork:
    """Seeds of a point to be trained.

    Attributes:
        point: The number of its trial, or the default.
        parameters: Configuration path -> value.
        seeds: The agents' seeds.
        is_held_out: Whether they are evaluated on episodes that nothing has seen.
        folder: For what they leave.
    """

    point: Point
    parameters: Mapping[str, Any]
    seeds: Sequence[int]
    is_held_out: bool
    folder: Path


RunSeeds = Callable[[FinalWork], Sequence[SeedOutcome]]


def run_final(
    settings: StudySettings,
    storage: StudyStorage,
    run_seeds: RunSeeds,
    on_event: Callable[[Event], None],
    *,
    began: float,
    write_summary: Callable[[], object],
) -> WorkerReport:
    """Work on the final until it is complete or this worker has to stop; return why.

    Signals are taken over as in `worker.run_worker`.

    Args:
        settings: The study's, whose search is over.
        storage: Where it lies.
        run_seeds: Trains seeds and returns one outcome for each; an exception gives them back.
        on_event: Told of what happens.
        began: When this worker began, by `time.monotonic`.
        write_summary: Called at the end.
    """
    return _FinalWorker(settings, storage, run_seeds, on_event, began=began).run(write_summary)


class _FinalWorker:
    def __init__(
        self,
        settings: StudySettings,
        storage: StudyStorage,
        run_seeds: RunSeeds,
        on_event: Callable[[Event], None],
        *,
        began: float,
    ) -> None:
        quiet_optuna()
        self.settings = settings
        self.run_seeds = run_seeds
        self.on_event = on_event
        self.began = began
        self.interrupts = Interrupts()
        worker = Worker.here(interval=settings.heartbeat_interval, index=settings.worker)
        self.claims = FinalClaims(settings, storage, worker, on_reaped=self._reaped)
        self.patience = Patience(storage, self.interrupts, check_study=self.claims.study.check)
        self.patience.get(self.claims.study.open)

    def run(self, write_summary: Callable[[], object]) -> WorkerReport:
        with self.interrupts.watched(), beating(self.claims.beat, self.settings.heartbeat_interval):
            pause = SHORTEST_WAIT_SECONDS
            try:
                while True:
                    self._stop_if_told()
                    units = self.patience.get(self.claims.claim)
                    if units:
                        self._work_on(units)
                        pause = SHORTEST_WAIT_SECONDS
                        continue
                    self.patience.sleep(pause)
                    longest = min(LONGEST_WAIT_SECONDS, self.settings.heartbeat_interval)
                    pause = min(pause * 1.5, longest)
            except StopError as stop:
                report = WorkerReport(
                    reason=stop.reason,
                    trials_run=0,
                    message=stop.message,
                    signal_number=self.interrupts.number if stop.reason == "interrupted" else None,
                )
            self.patience.get(write_summary)
        self._event("stopped", message=report.message)
        return report

    def _stop_if_told(self) -> None:
        timeout = self.settings.timeout
        if self.interrupts.number is not None:
            name = signal.Signals(self.interrupts.number).name
            done, planned = self._progress()
            raise StopError(
                "interrupted",
                f"stopped by {name}: {done} of {planned} trainings of the final are done; run the "
                "same command again to go on",
            )
        if timeout is not None and time.monotonic() - self.began >= timeout:
            raise StopError("timeout", f"this worker has run for {timeout:g} s (tuning.timeout)")

    def _work_on(self, units: Sequence[FinalUnit]) -> None:
        standing = self.claims.standing
        assert standing is not None  # else nothing was claimed
        point = units[0].point
        work = FinalWork(
            point=point,
            parameters=standing.parameters(point),
            seeds=[unit.seed for unit in units],
            is_held_out=standing.is_held_out(units[0]),
            folder=self.settings.files.final_point(point).path,
        )
        try:
            with self.interrupts.ending():
                outcomes = self.run_seeds(work)
            self._tell(dict(zip(units, outcomes, strict=True)))
        except (InterruptError, KeyboardInterrupt, SystemExit) as interrupt:
            self._give_back(units, INTERRUPTED)
            if isinstance(interrupt, KeyboardInterrupt):  # in a thread that is not the main one
                self.interrupts.number = self.interrupts.number or signal.SIGINT
            if isinstance(interrupt, SystemExit):
                raise
        except StorageError:  # whoever looks next finds the claims of a worker that is gone
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("final: %s failed: %s", units[0].label, reason, exc_info=True)
            self._give_back(units, reason)

    def _tell(self, outcomes: Mapping[FinalUnit, SeedOutcome]) -> None:
        before, _ = self._progress()
        self.patience.get(partial(self.claims.tell, outcomes))
        for done, (unit, outcome) in enumerate(outcomes.items(), before + 1):
            failure = outcome.failure_reason
            if failure is not None:
                log.warning("final: %s failed: %s", unit.label, failure)
            said = failure if failure is not None else f"{outcome.episode_return:.3f}"
            self._event("final_trained", message=f"{unit.label}: {said}", done=done)

    def _give_back(self, units: Sequence[FinalUnit], reason: str) -> None:
        self.patience.get(lambda: self.claims.give_back(units, reason))
        for unit in units:
            self._event("final_failed", message=f"{unit.label}: {reason}")

    def _reaped(self, unit: FinalUnit, reason: str) -> None:
        self._event("final_failed", message=f"{unit.label}: {reason}")

    def _progress(self) -> tuple[int, int]:
        standing = self.claims.standing
        return (0, 0) if standing is None else (standing.n_done, standing.n_planned)

    def _event(self, kind: EventKind, *, message: str, done: int | None = None) -> None:
        known, planned = self._progress()
        finished = known if done is None else done
        try:
            self.on_event(Event(kind=kind, finished=finished, budget=planned, message=message))
        except BrokenPipeError:  # nobody reads what is shown: as if the terminal had hung up
            self.interrupts.number = self.interrupts.number or signal.SIGPIPE
