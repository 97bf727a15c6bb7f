"""One worker: claim a trial, run it, tell its value, until the study's budget is spent.

All workers of a study run this same loop, wherever they are. Which trial is whose is decided inside
the storage's critical section, see `claiming`.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from abx_amr.errors import counted
from abx_amr.host.atomic_files import jsonable
from abx_amr.host.processes import this_owner
from abx_amr.host.signals import InterruptError, Interrupts
from abx_amr.host.slurm_job import slurm_job
from abx_amr.studies.attempts import earlier_attempts, take_over
from abx_amr.studies.claiming import (
    INTERRUPTED,
    Claims,
    StopError,
    StopReason,
    StudyGoneError,
)
from abx_amr.studies.objective import SeedOutcome, TrialScore, score_outcomes
from abx_amr.studies.space import ParameterValue
from abx_amr.studies.storages import StorageError, StudyStorage
from abx_amr.studies.study import (
    HEARTBEAT_ATTRIBUTE,
    TRIALS_FOLDER,
    StudyPlan,
    finish_study,
    is_finished,
    quiet_optuna,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

T = TypeVar("T")

log = logging.getLogger(__name__)

RunTrial = Callable[[Mapping[str, ParameterValue], Sequence[int], Path], Sequence[SeedOutcome]]


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial to be run: its point, its seeds and the folder for what they leave."""

    number: int
    parameters: Mapping[str, ParameterValue]
    seeds: Sequence[int]
    folder: Path


RunBatch = Callable[[Sequence[ClaimedTrial]], Sequence[Sequence[SeedOutcome]]]

SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
PATIENCE_SECONDS = 300.0  # with a storage that does not answer: a restart, a full disk

EventKind = Literal[
    "trial_started", "trial_finished", "trial_failed", "trial_reaped", "waiting", "stopped"
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a progress display may want to show."""

    kind: EventKind
    finished: int
    budget: int
    number: int | None = None
    params: Mapping[str, ParameterValue] = field(default_factory=dict)
    value: float | None = None
    failed_seeds: Mapping[int, str] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """Why a worker stopped and what it had done by then."""

    reason: StopReason
    trials_run: int
    message: str
    signal_number: int | None = None  #: of an interrupted worker

    @property
    def was_interrupted(self) -> bool:
        """Whether the user or the cluster asked the worker to stop."""
        return self.reason == "interrupted"


def run_worker(
    plan: StudyPlan,
    storage: StudyStorage,
    run_trial: RunTrial,
    on_event: Callable[[Event], None] | None = None,
    *,
    write_summary: Callable[[], object] | None = None,
) -> WorkerReport:
    """Work on the study until its budget is spent or this worker has to stop; return why.

    `run_trial(params, seeds, folder)` trains the seeds and returns one outcome for each; a seed's
    own error is an outcome, an exception from here fails the trial, which is tried again. A trial
    that is tried again finds in its folder what the earlier attempt left there. Signals are taken
    over while this runs in the main thread: the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 (what
    SLURM sends before a time limit) gives the trial back and ends the worker, a later one ends the
    process at once. At its end it calls `write_summary` (default: `finish_study`).
    """

    def run_batch(batch: Sequence[ClaimedTrial]) -> list[Sequence[SeedOutcome]]:
        return [run_trial(trial.parameters, trial.seeds, trial.folder) for trial in batch]

    return run_batches(plan, storage, run_batch, on_event, size=1, write_summary=write_summary)


def run_batches(
    plan: StudyPlan,
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
        plan,
        storage,
        run_batch,
        on_event or (lambda event: None),
        size,
        write_summary or partial(finish_study, plan, storage),
    ).run()


class _Worker:
    def __init__(
        self,
        plan: StudyPlan,
        storage: StudyStorage,
        run_batch: RunBatch,
        on_event: Callable[[Event], None],
        size: int,
        write_summary: Callable[[], object],
    ) -> None:
        quiet_optuna()
        self.plan = plan
        self.storage = storage
        self.run_batch = run_batch
        self.size = size
        self.write_summary = write_summary
        self.on_event = on_event
        owner = {
            **this_owner(),
            "interval": plan.heartbeat_interval,
            "worker": plan.worker,
            "slurm_job": slurm_job(),
            "token": uuid.uuid4().hex[:12],
        }
        self.trials_run = 0
        self.began = time.monotonic()
        self.interrupts = Interrupts()
        self.claims = Claims(plan, storage, owner, on_reaped=self._reaped)
        self._patiently(self.claims.open)

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
                        self._sleep(pause)
                        pause = min(pause * 1.5, LONGEST_WAIT_SECONDS, self.plan.heartbeat_interval)
                        continue
                    pause = SHORTEST_WAIT_SECONDS
            except StopError as stop:
                report = WorkerReport(
                    reason=stop.reason,
                    trials_run=self.trials_run,
                    message=stop.message,
                    signal_number=self.interrupts.number if stop.reason == "interrupted" else None,
                )
            self._patiently(self.write_summary)
        self._event("stopped", message=report.message)
        return report

    def _work_on_next(self) -> bool:
        """Claim as many trials as there are to be had, up to the size of a batch; run them."""
        claimed: list[FrozenTrial] = []
        with ExitStack() as heartbeats:
            while len(claimed) < self.size:
                try:
                    trial = self._patiently(self.claims.claim)
                except StopError:
                    if not claimed:
                        raise
                    break
                if trial is None:
                    break
                claimed.append(trial)
                self.claims.current.add(trial._trial_id)
                heartbeats.enter_context(
                    _heartbeat(self.backend, trial._trial_id, self.plan.heartbeat_interval)
                )
            if claimed:
                self._work_on(claimed)
        return bool(claimed)

    def _stop_if_told(self) -> None:
        plan = self.plan
        if self.interrupts.number is not None:
            name = signal.Signals(self.interrupts.number).name
            raise StopError(
                "interrupted",
                f"stopped by {name}: {self.claims.finished} of {plan.budget} trials are finished; "
                "run the same command again to go on",
            )
        if plan.n_trials_per_worker is not None and self.trials_run >= plan.n_trials_per_worker:
            raise StopError(
                "quota",
                f"this worker has run its {counted(self.trials_run, 'trial')} "
                "(tuning.n_trials_per_worker)",
            )
        if plan.timeout is not None and time.monotonic() - self.began >= plan.timeout:
            raise StopError(
                "timeout", f"this worker has run for {plan.timeout:g} s (tuning.timeout)"
            )

    def _work_on(self, trials: Sequence[FrozenTrial]) -> None:
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

    def _claimed(self, trial: FrozenTrial) -> ClaimedTrial:
        """Return what is to be run, with what earlier attempts left in its folder."""
        folder = self.plan.folder / TRIALS_FOLDER / str(trial.number)
        if "retry_of" in trial.user_attrs:
            earlier = earlier_attempts(trial, self._patiently(self.claims.trials))
            take_over(folder, [folder.parent / str(number) for number in earlier])
        return ClaimedTrial(
            number=trial.number,
            parameters={path: trial.params[path] for path in self.plan.space},
            seeds=self.plan.seeds(int(trial.user_attrs["lineage"])),
            folder=folder,
        )

    def _tell(
        self,
        trial: FrozenTrial,
        outcomes: Sequence[SeedOutcome],
        seconds: float,
    ) -> None:
        """Write what the trial gave, then its value; one that was reaped meanwhile stays failed."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        plan = self.plan
        score = score_outcomes(
            outcomes,
            penalty_weight=plan.penalty_weight,
            direction=plan.direction,
            min_successful_seeds=plan.min_successful_seeds,
        )
        for seed, reason in score.failed_seeds.items():
            log.warning("trial %d: seed %d failed: %s", trial.number, seed, reason)
        if score.has_failed:
            log.warning("trial %d counts as failed on all seeds", trial.number)
        attributes = {
            "mean_reward": score.mean_reward,
            "std_reward": score.std_reward,
            "stability_penalty": score.stability_penalty,
            "seeds": [
                {
                    "seed": outcome.seed,
                    "episode_return": outcome.episode_return,
                    "failure": outcome.failure_reason,
                    "seconds": outcome.seconds,
                }
                for outcome in outcomes
            ],
            "failed_seeds": score.failed_seeds,
            "effective_values": next(
                (o.effective_values for o in outcomes if o.effective_values), {}
            ),
            "wall_time_seconds": seconds,
        }
        try:
            for name, value in attributes.items():
                self._patiently(
                    partial(
                        self.backend.set_trial_user_attr, trial._trial_id, name, jsonable(value)
                    )
                )
            self._patiently(
                lambda: self.backend.set_trial_state_values(
                    trial._trial_id, TrialState.COMPLETE, [score.value]
                )
            )
        except UpdateFinishedTrialError:
            if self._patiently(lambda: is_finished(self.backend.get_trial(trial._trial_id))):
                self._told(trial, score)  # at the first attempt, whose answer was lost
                return
            log.warning(
                "trial %d was given up by another worker meanwhile, its result is not used",
                trial.number,
            )
            self._event("trial_failed", number=trial.number, message="given up by another worker")
            return
        self._told(trial, score)

    def _told(self, trial: FrozenTrial, score: TrialScore) -> None:
        self.claims.finished += 1
        self._event(
            "trial_finished",
            number=trial.number,
            params=trial.params,
            value=score.value,
            failed_seeds=score.failed_seeds,
        )

    def _give_back(self, trials: Sequence[FrozenTrial], reason: str) -> None:
        self._patiently(lambda: self.claims.give_back(trials, reason))
        for trial in trials:
            self._event("trial_failed", number=trial.number, params=trial.params, message=reason)

    def _reaped(self, trial: FrozenTrial, reason: str) -> None:
        self._event("trial_reaped", number=trial.number, params=trial.params, message=reason)

    def _event(self, kind: EventKind, **what: Any) -> None:
        finished = self.claims.finished
        try:
            self.on_event(Event(kind=kind, finished=finished, budget=self.plan.budget, **what))
        except BrokenPipeError:  # nobody reads what is shown: as if the terminal had hung up
            self.interrupts.number = self.interrupts.number or signal.SIGPIPE

    def _patiently(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; wait out a storage that restarts, is full or overloaded.

        Raises:
            StorageError: it does not answer for PATIENCE_SECONDS, or until the user interrupts.
        """
        began: float | None = None
        pause = SHORTEST_WAIT_SECONDS
        while True:
            try:
                return work()
            except Exception as error:
                if isinstance(error, KeyError):  # what a storage says of what it does not hold
                    self.claims.check_study()
                trouble = self.storage.trouble(error)
                if trouble is None or isinstance(error, StudyGoneError):
                    raise
                if began is None:
                    began = time.monotonic()
                    log.warning("waiting for the study's storage: %s", trouble)
                if (
                    self.interrupts.number is not None
                    or time.monotonic() - began > PATIENCE_SECONDS
                ):
                    raise StorageError(
                        f"{trouble} (nothing is lost: run the same command again to go on)"
                    ) from error
            self._sleep(pause)
            pause = min(pause * 1.5, LONGEST_WAIT_SECONDS)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.interrupts.number is None and time.monotonic() < end:
            time.sleep(min(0.1, seconds))


@contextmanager
def _heartbeat(backend: Any, trial_id: int, interval: float) -> Iterator[None]:
    """Count upwards in the trial's attributes while the block runs, whatever the database says.

    Others watch it change by their own clock, so no two clocks are compared and any storage will
    do; the time beside the number is for people.
    """
    is_over = threading.Event()

    def beats() -> None:
        count = 0
        while not is_over.wait(interval):
            count += 1
            try:
                beat = [count, datetime.now(UTC).isoformat(timespec="seconds")]
                backend.set_trial_system_attr(trial_id, HEARTBEAT_ATTRIBUTE, beat)
            except Exception as error:  # any database's; the next beat may get through
                log.debug("heartbeat %d of trial id %d failed: %s", count, trial_id, error)

    thread = threading.Thread(target=beats, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=interval)
