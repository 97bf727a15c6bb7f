"""One worker: claim a trial, run it, tell its value, until the study's budget is spent.

All workers of a study run this same loop, wherever they are. Which trial is whose is decided inside
the storage's critical section, see `claiming`.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import counted
from abx_amr.host.signals import InterruptError, Interrupts
from abx_amr.studies.attempts import Part, earlier_attempts, take_over
from abx_amr.studies.events import Event, EventKind, WorkerReport
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.heartbeat import heartbeats
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.patience import LONGEST_WAIT_SECONDS, SHORTEST_WAIT_SECONDS, Patience
from abx_amr.studies.race_claims import claims_of
from abx_amr.studies.records import INTERRUPTED, TrialRecord, Worker
from abx_amr.studies.search_space import ParameterValue
from abx_amr.studies.stopping import StopError
from abx_amr.studies.storages import StorageError, StudyStorage
from abx_amr.studies.stored import quiet_optuna

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from abx_amr.studies.settings import StudySettings

log = logging.getLogger(__name__)

RunTrial = Callable[[Mapping[str, ParameterValue], Sequence[int], Path], Sequence[SeedOutcome]]


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial to be run: its point, its seeds and the folder for what they leave.

    `part` is which part of their training is to be done, None: all of it.
    """

    number: int
    parameters: Mapping[str, ParameterValue]
    seeds: Sequence[int]
    folder: Path
    part: Part | None = None


RunBatch = Callable[[Sequence[ClaimedTrial]], Sequence[Sequence[SeedOutcome]]]


def run_worker(
    settings: StudySettings,
    storage: StudyStorage,
    run_trial: RunTrial,
    on_event: Callable[[Event], None] | None = None,
    *,
    write_summary: Callable[[], object] | None = None,
) -> WorkerReport:
    """Work on the study until its budget is spent or this worker has to stop; return why.

    `run_trial(params, seeds, folder)` trains the seeds to their end (a study whose trainings are of
    two lengths goes by `run_batches`) and returns one outcome for each; a seed's
    own error is an outcome, an exception from here fails the trial, which is tried again. A trial
    that is tried again finds in its folder what the earlier attempt left there. Signals are taken
    over while this runs in the main thread: the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 (what
    SLURM sends before a time limit) gives the trial back and ends the worker, a later one ends the
    process at once. At its end it calls `write_summary` (default: `finish_study`).
    """

    def run_batch(batch: Sequence[ClaimedTrial]) -> list[Sequence[SeedOutcome]]:
        return [run_trial(trial.parameters, trial.seeds, trial.folder) for trial in batch]

    return run_batches(settings, storage, run_batch, on_event, size=1, write_summary=write_summary)


def run_batches(
    settings: StudySettings,
    storage: StudyStorage,
    run_batch: RunBatch,
    on_event: Callable[[Event], None] | None = None,
    *,
    size: int,
    write_summary: Callable[[], object] | None = None,
) -> WorkerReport:
    """Work on the study like `run_worker`, but on up to `size` trials at a time.

    `run_batch(trials)` returns one list of outcomes for each trial. A SystemExit from there gives
    the trials back; with a signal's status it ends the worker like that signal.
    """
    return _Worker(
        settings,
        storage,
        run_batch,
        on_event=on_event or (lambda event: None),
        size=size,
        write_summary=write_summary or partial(finish_study, settings, storage),
    ).run()


class _Worker:
    def __init__(
        self,
        settings: StudySettings,
        storage: StudyStorage,
        run_batch: RunBatch,
        *,
        on_event: Callable[[Event], None],
        size: int,
        write_summary: Callable[[], object],
    ) -> None:
        quiet_optuna()
        self.settings = settings
        self.storage = storage
        self.run_batch = run_batch
        self.size = size
        self.on_event = on_event
        self.write_summary = write_summary
        self.trials_run = 0
        self.began = time.monotonic()
        self.interrupts = Interrupts()
        worker = Worker.here(interval=settings.heartbeat_interval, index=settings.worker)
        self.claims = claims_of(settings, storage, worker, on_reaped=self._reaped)
        self.patience = Patience(storage, self.interrupts, check_study=self.claims.study.check)
        self.patience.get(self.claims.open)

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self.storage.open()

    def run(self) -> WorkerReport:
        with self.interrupts.watched():
            pause = SHORTEST_WAIT_SECONDS
            try:
                while True:
                    self._stop_if_told()
                    if not self._work_on_next():
                        self._event("waiting")
                        self.patience.sleep(pause)
                        pause = min(
                            pause * 1.5, LONGEST_WAIT_SECONDS, self.settings.heartbeat_interval
                        )
                        continue
                    pause = SHORTEST_WAIT_SECONDS
            except StopError as stop:
                report = WorkerReport(
                    reason=stop.reason,
                    trials_run=self.trials_run,
                    message=stop.message,
                    signal_number=self.interrupts.number if stop.reason == "interrupted" else None,
                )
            self.patience.get(self.write_summary)
        self._event("stopped", message=report.message)
        return report

    def _work_on_next(self) -> bool:
        """Claim as many trials as there are to be had, up to the size of a batch; run them."""
        claimed: list[TrialRecord] = []
        with ExitStack() as beating:
            while len(claimed) < self.size:
                try:
                    trial = self.patience.get(self.claims.claim)
                except StopError:
                    if not claimed:
                        raise
                    break
                if trial is None:
                    break
                claimed.append(trial)
                self.claims.current.add(trial.id)
                beating.enter_context(
                    heartbeats(self.backend, trial.id, self.settings.heartbeat_interval)
                )
            if claimed:
                self._work_on(claimed)
        return bool(claimed)

    def _stop_if_told(self) -> None:
        settings = self.settings
        if self.interrupts.number is not None:
            name = signal.Signals(self.interrupts.number).name
            raise StopError(
                "interrupted",
                f"stopped by {name}: {self.claims.finished} of {settings.budget} {settings.unit}s "
                "are finished; run the same command again to go on",
            )
        if (
            settings.n_trials_per_worker is not None
            and self.trials_run >= settings.n_trials_per_worker
        ):
            raise StopError(
                "quota",
                f"this worker has run its {counted(self.trials_run, 'trial')} "
                "(tuning.n_trials_per_worker)",
            )
        if settings.timeout is not None and time.monotonic() - self.began >= settings.timeout:
            raise StopError(
                "timeout", f"this worker has run for {settings.timeout:g} s (tuning.timeout)"
            )

    def _work_on(self, trials: Sequence[TrialRecord]) -> None:
        batch = [self._claimed(trial) for trial in trials]
        for one in batch:
            self._event("trial_started", number=one.number, params=one.parameters)
        began = time.monotonic()
        told = 0
        try:
            with self.interrupts.ending():
                results = self.run_batch(batch)
            seconds = time.monotonic() - began
            for trial, outcomes in zip(trials, results, strict=True):
                self._tell(trial, outcomes, seconds)
                told += 1
        except (InterruptError, KeyboardInterrupt, SystemExit) as interrupt:
            self._give_back(trials[told:], INTERRUPTED)
            # From run_batch, or a thread that is not the main one.
            if isinstance(interrupt, KeyboardInterrupt):
                self.interrupts.number = self.interrupts.number or signal.SIGINT
            if isinstance(interrupt, SystemExit):
                status = interrupt.code if isinstance(interrupt.code, int) else 1
                if status <= 128:
                    raise
                self.interrupts.number = self.interrupts.number or status - 128
        except StorageError:  # whoever looks next finds the trial without its worker
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            for trial in trials[told:]:
                log.warning("trial %d failed: %s", trial.number, reason, exc_info=True)
            self._give_back(trials[told:], reason)
        finally:
            self.claims.current.clear()
            self.trials_run += len(trials)

    def _claimed(self, trial: TrialRecord) -> ClaimedTrial:
        """Return what is to be run, with what earlier attempts left in its folder."""
        files = self.settings.files
        folder = files.trial(trial.number)
        if trial.retry_of is not None:
            earlier = earlier_attempts(trial, self.patience.get(self.claims.study.trials))
            take_over(folder, [files.trial(number) for number in earlier])
        return ClaimedTrial(
            number=trial.number,
            parameters=self.settings.space.point(trial.frozen.params),
            seeds=self.claims.seeds(trial),
            folder=folder.path,
            part=self.claims.part(trial),
        )

    def _tell(
        self,
        trial: TrialRecord,
        outcomes: Sequence[SeedOutcome],
        seconds: float,
    ) -> None:
        """Write what the trial gave, then its value; one that was reaped meanwhile stays failed."""
        score = self.patience.get(partial(self.claims.tell, trial, outcomes, seconds))
        if score is None:
            log.warning(
                "trial %d was given up by another worker meanwhile, its result is not used",
                trial.number,
            )
            self._event("trial_failed", number=trial.number, message="given up by another worker")
            return
        for outcome in outcomes:
            if outcome.failure_reason is not None:
                reason = outcome.failure_reason
                log.warning("trial %d: seed %d failed: %s", trial.number, outcome.seed, reason)
        if score.has_failed:
            log.warning("trial %d counts as failed on all seeds", trial.number)
        part = self.claims.part(trial)
        self._event(
            "trial_finished",
            number=trial.number,
            params=trial.params,
            value=score.value,
            failed_seeds=score.failed_seeds,
            n_seeds=self.claims.n_seeds(trial),
            episodes=None if part is None else part.end,
        )

    def _give_back(self, trials: Sequence[TrialRecord], reason: str) -> None:
        self.patience.get(lambda: self.claims.give_back(trials, reason))
        for trial in trials:
            self._event("trial_failed", number=trial.number, params=trial.params, message=reason)

    def _reaped(self, trial: TrialRecord, reason: str) -> None:
        self._event("trial_reaped", number=trial.number, params=trial.params, message=reason)

    def _event(self, kind: EventKind, **what: Any) -> None:
        finished = self.claims.finished
        try:
            self.on_event(
                Event(
                    kind=kind,
                    finished=finished,
                    budget=self.settings.budget,
                    unit=self.settings.unit,
                    **what,
                )
            )
        except BrokenPipeError:  # nobody reads what is shown: as if the terminal had hung up
            self.interrupts.number = self.interrupts.number or signal.SIGPIPE
