"""One worker: claim a trial, run it, tell its value, until the study's budget is spent.

All workers of a study run this same loop, wherever they are. What must not happen twice is decided
inside the storage's critical section: reap trials whose worker is gone; count; stop when enough are
finished; else claim a trial that waits, or draw a new point when finished + running leaves room for
one, or wait.

A point keeps its lineage number through all retries; a retry is a new trial with the same
parameters.
"""

from __future__ import annotations

import logging
import os
import signal
import statistics
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from abx_amr.durable import jsonable
from abx_amr.studies.attempts import earlier_attempts, take_over
from abx_amr.studies.draft import draw
from abx_amr.studies.objective import SeedOutcome, TrialScore, score_outcomes
from abx_amr.studies.owner import has_died, this_owner
from abx_amr.studies.samplers import make_sampler
from abx_amr.studies.slurm_job import TimeLimit, slurm_job
from abx_amr.studies.space import ParameterValue
from abx_amr.studies.storages import StorageError, StudyStorage
from abx_amr.studies.study import (
    FAILURES_FROM_ATTRIBUTE,
    GRACE_INTERVALS,
    HEARTBEAT_ATTRIBUTE,
    TRIALS_FOLDER,
    StudyPlan,
    finish_study,
    is_finished,
    open_study,
    quiet_optuna,
)

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
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

INTERRUPTED = "interrupted"
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
PATIENCE_SECONDS = 300.0  # with a storage that does not answer: a restart, a full disk
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
ONE_REQUEST_SECONDS = 1.0

EventKind = Literal[
    "trial_started", "trial_finished", "trial_failed", "trial_reaped", "waiting", "stopped"
]
StopReason = Literal["budget", "quota", "timeout", "time limit", "failures", "interrupted"]


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
) -> WorkerReport:
    """Work on the study until its budget is spent or this worker has to stop; return why.

    `run_trial(params, seeds, folder)` trains the seeds and returns one outcome for each; a seed's
    own error is an outcome, an exception from here fails the trial, which is tried again. A trial
    that is tried again finds in its folder what the earlier attempt left there. Signals are taken
    over while this runs in the main thread: the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 (what
    SLURM sends before a time limit) gives the trial back and ends the worker, a later one ends the
    process at once.
    """

    def run_batch(batch: Sequence[ClaimedTrial]) -> list[Sequence[SeedOutcome]]:
        return [run_trial(trial.parameters, trial.seeds, trial.folder) for trial in batch]

    return run_batches(plan, storage, run_batch, on_event, size=1)


def run_batches(
    plan: StudyPlan,
    storage: StudyStorage,
    run_batch: RunBatch,
    on_event: Callable[[Event], None] | None = None,
    *,
    size: int,
) -> WorkerReport:
    """Work on the study like `run_worker`, but on up to `size` trials at a time.

    `run_batch(trials)` returns one list of outcomes for each trial. A SystemExit from there gives
    the trials back; with a signal's status it ends the worker like that signal.
    """
    return _Worker(plan, storage, run_batch, on_event or (lambda event: None), size).run()


class _StopError(Exception):
    """The loop is to end."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class _StudyGoneError(StorageError):
    """The study was deleted while a worker was at it."""


class _InterruptError(BaseException):
    """A signal arrived while a trial was running; not an Exception, so that no trial catches it."""


class _Worker:
    def __init__(
        self,
        plan: StudyPlan,
        storage: StudyStorage,
        run_batch: RunBatch,
        on_event: Callable[[Event], None],
        size: int,
    ) -> None:
        quiet_optuna()
        self.plan = plan
        self.storage = storage
        self.run_batch = run_batch
        self.size = size
        self.on_event = on_event
        self.owner = {
            **this_owner(),
            "interval": plan.heartbeat_interval,
            "worker": plan.worker,
            "slurm_job": slurm_job(),
            "token": uuid.uuid4().hex[:12],
        }
        self.trials_run = 0
        self.finished = 0
        self.began = time.monotonic()
        self.signal_number: int | None = None
        self.signalled_at = 0.0
        self.time_limit = TimeLimit()
        self.trial_is_running = False
        self.current: set[int] = set()
        self.heartbeats_seen: dict[int, tuple[Any, float]] = {}
        _, self.study_id = self._patiently(lambda: open_study(plan, storage))

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self.storage.open()

    def run(self) -> WorkerReport:
        with self._signals():
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
            except _StopError as stop:
                report = WorkerReport(
                    reason=stop.reason,
                    trials_run=self.trials_run,
                    message=stop.message,
                    signal_number=self.signal_number if stop.reason == "interrupted" else None,
                )
            self._patiently(lambda: finish_study(self.plan, self.storage))
        self._event("stopped", message=report.message)
        return report

    def _work_on_next(self) -> bool:
        """Claim as many trials as there are to be had, up to the size of a batch; run them."""
        claimed: list[FrozenTrial] = []
        with ExitStack() as heartbeats:
            while len(claimed) < self.size:
                try:
                    trial = self._patiently(self._claim)
                except _StopError:
                    if not claimed:
                        raise
                    break
                if trial is None:
                    break
                claimed.append(trial)
                self.current.add(trial._trial_id)
                heartbeats.enter_context(
                    _heartbeat(self.backend, trial._trial_id, self.plan.heartbeat_interval)
                )
            if claimed:
                self._work_on(claimed)
        return bool(claimed)

    def _stop_if_told(self) -> None:
        plan = self.plan
        if self.signal_number is not None:
            name = signal.Signals(self.signal_number).name
            raise _StopError(
                "interrupted",
                f"stopped by {name}: {self.finished} of {plan.budget} trials are finished; "
                "run the same command again to go on",
            )
        if plan.n_trials_per_worker is not None and self.trials_run >= plan.n_trials_per_worker:
            raise _StopError(
                "quota",
                f"this worker has run its {self.trials_run} trials (tuning.n_trials_per_worker)",
            )
        if plan.timeout is not None and time.monotonic() - self.began >= plan.timeout:
            raise _StopError(
                "timeout", f"this worker has run for {plan.timeout:g} s (tuning.timeout)"
            )

    # -- inside the critical section ------------------------------------------------------------

    def _claim(self) -> FrozenTrial | None:
        """Return a trial that is now this worker's, None where there is nothing to do but wait."""
        remaining = self.time_limit.remaining_seconds()
        with self.storage.critical_section():
            try:
                return self._claim_inside(remaining)
            except _StopError as stop:
                reason = stop  # raised outside, so that what was reaped stays written
        raise reason

    def _claim_inside(self, remaining: float | None) -> FrozenTrial | None:
        trials = self._trials()
        if self._reap(trials):
            trials = self._trials()
        budget = self.plan.budget
        self.finished = sum(is_finished(trial) for trial in trials)
        if self.finished >= budget:
            raise _StopError("budget", f"{self.finished} of {budget} trials are finished")
        self._stop_if_all_fails(trials)
        self._stop_before_time_limit(trials, remaining)
        running = sum(trial.state.name == "RUNNING" for trial in trials)
        if self.finished + running >= budget:
            return None
        waiting = [trial for trial in trials if trial.state.name == "WAITING"]
        return self._claim_waiting(waiting[0], trials) if waiting else self._ask(trials)

    def _trials(self) -> list[FrozenTrial]:
        """Return all trials of the study.

        Raises:
            StorageError: it was deleted.
        """
        self._check_study()
        return self.backend.get_all_trials(self.study_id, deepcopy=False)

    def _check_study(self) -> None:
        name = self.plan.study_name
        try:
            is_there = self.backend.get_study_id_from_name(name) == self.study_id
        except KeyError:
            is_there = False
        if not is_there:
            raise _StudyGoneError(f"study {name!r} was deleted from {self.storage.label} meanwhile")

    def _claim_waiting(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        """Take over a trial whose parameters are fixed; only one that lacks some is asked for."""
        from optuna.trial import TrialState

        if not set(self.plan.space) <= set(trial.params):
            return self._fill_in(trials)
        self.backend.set_trial_state_values(trial._trial_id, state=TrialState.RUNNING)
        return self._own(trial._trial_id, trial.user_attrs.get("lineage"), trials)

    def _ask(self, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        """Draw the next point; it is stored in one piece, as this worker's."""
        index = _count_lineages(trials)
        with warnings.catch_warnings():
            # Trials whose seeds all failed are infinite; that gp clips them is no news.
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            drawn = draw(
                self.backend,
                self.plan.study_name,
                trials,
                sampler=self._sampler(index),
                space=self.plan.space,
            )
        drawn.user_attrs |= {"lineage": index, "owner": self.owner}
        drawn._trial_id = self.backend.create_new_trial(self.study_id, template_trial=drawn)
        drawn.number = self.backend.get_trial_number_from_id(drawn._trial_id)
        return drawn

    def _fill_in(self, trials: Sequence[FrozenTrial]) -> FrozenTrial:
        """Draw what is missing in the waiting trial that the study's user has queued."""
        import optuna

        study = optuna.load_study(
            study_name=self.plan.study_name,
            storage=self.backend,
            sampler=self._sampler(_count_lineages(trials)),
            pruner=optuna.pruners.NopPruner(),
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            asked = study.ask(fixed_distributions=self.plan.space)
        return self._own(asked._trial_id, None, trials)

    def _sampler(self, index: int) -> BaseSampler:
        plan = self.plan
        return make_sampler(plan.sampler, space=plan.space, n_trials=plan.n_trials, index=index)

    def _own(
        self, trial_id: int, lineage: int | None, trials: Sequence[FrozenTrial]
    ) -> FrozenTrial:
        """Write down whose trial this is; one without an owner was lost while being drawn."""
        if lineage is None:
            self.backend.set_trial_user_attr(trial_id, "lineage", _count_lineages(trials))
        self.backend.set_trial_user_attr(trial_id, "owner", self.owner)
        return self.backend.get_trial(trial_id)

    def _reap(self, trials: Sequence[FrozenTrial]) -> bool:
        """Fail the trials whose worker is gone and queue their parameters again.

        Also those of a worker that died after it had failed its trial and before it had queued it.
        """
        has_reaped = False
        for trial in trials:
            if trial.state.name == "FAIL":
                has_reaped |= self._queue_again(trial, trials)
            if trial.state.name != "RUNNING" or trial._trial_id in self.current:
                continue
            reason = self._reason_to_reap(trial)
            if reason is not None and self._fail(trial, reason, trials):
                self._event(
                    "trial_reaped", number=trial.number, params=trial.params, message=reason
                )
                has_reaped = True
        return has_reaped

    def _reason_to_reap(self, trial: FrozenTrial) -> str | None:
        owner = trial.user_attrs.get("owner")
        if owner is None:
            return "its worker died while drawing it"
        if has_died(owner):
            return f"its worker (process {owner['pid']} on {owner['host']}) is gone"
        if owner.get("token") == self.owner["token"]:  # claimed, but the answer was lost
            return "the storage was lost while it was claimed"
        beat = trial.system_attrs.get(HEARTBEAT_ATTRIBUTE)
        now = time.monotonic()
        last, since = self.heartbeats_seen.get(trial._trial_id, (object(), now))
        if beat != last:
            self.heartbeats_seen[trial._trial_id] = (beat, now)
            return None
        grace = GRACE_INTERVALS * float(owner.get("interval") or self.plan.heartbeat_interval)
        if now - since <= grace:
            return None
        silence = f"has been silent for {now - since:.0f} s"
        return f"its worker (process {owner['pid']} on {owner['host']}) {silence}"

    def _fail(self, trial: FrozenTrial, reason: str, trials: Sequence[FrozenTrial]) -> bool:
        """Mark the trial failed and queue its parameters again while retries are left.

        In this order, and False where the trial was finished meanwhile: a point that was told is
        never tried again. What a death in between leaves is queued by the next that looks.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        retries = int(trial.user_attrs.get("retries", 0)) + (reason != INTERRUPTED)
        is_whole = "lineage" in trial.user_attrs and set(self.plan.space) <= set(trial.params)
        again = retries if is_whole and retries <= self.plan.max_retry else None
        try:
            self.backend.set_trial_user_attr(trial._trial_id, "failure", reason)
            self.backend.set_trial_user_attr(trial._trial_id, "try_again", again)
            self.backend.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
        except UpdateFinishedTrialError:
            log.debug("trial %d was finished meanwhile", trial.number)
            return False
        self._queue_again(self.backend.get_trial(trial._trial_id), trials)
        return True

    def _queue_again(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        """Queue the parameters of a failed trial, once, if they are to be tried again."""
        from optuna.trial import TrialState, create_trial

        retries = trial.user_attrs.get("try_again")
        if retries is None:
            return False
        if any(other.user_attrs.get("retry_of") == trial.number for other in trials):
            return False
        again = create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={
                "lineage": trial.user_attrs["lineage"],
                "retries": retries,
                "retry_of": trial.number,
            },
            system_attrs={
                key: value
                for key, value in trial.system_attrs.items()
                if key != HEARTBEAT_ATTRIBUTE
            },
        )
        self.backend.create_new_trial(self.study_id, template_trial=again)
        return True

    def _stop_if_all_fails(self, trials: Sequence[FrozenTrial]) -> None:
        """Stop when the last max_failures trials of this run failed, none by interrupt."""
        start = int(
            self.backend.get_study_user_attrs(self.study_id).get(FAILURES_FROM_ATTRIBUTE, 0)
        )
        last = max((trial.number for trial in trials if is_finished(trial)), default=-1)
        failures = [
            trial
            for trial in trials
            if trial.state.name == "FAIL"
            and trial.number >= start
            and trial.number > last
            and trial.user_attrs.get("failure") != INTERRUPTED
        ]
        if len(failures) >= self.plan.max_failures:
            raise _StopError(
                "failures",
                f"{len(failures)} trials in a row have failed (tuning.max_failures); "
                f"the last error: {failures[-1].user_attrs.get('failure')}",
            )

    def _stop_before_time_limit(
        self, trials: Sequence[FrozenTrial], remaining: float | None
    ) -> None:
        """Stop when the job's SLURM time limit is nearer than a typical trial is long."""
        if remaining is None:
            return
        lengths = [t.user_attrs.get("wall_time_seconds") for t in trials if is_finished(t)]
        known = [length for length in lengths if length is not None]
        if known and remaining < statistics.median(known):
            raise _StopError(
                "time limit", "the job's time limit is nearer than a typical trial is long"
            )

    # -- outside of it --------------------------------------------------------------------------

    def _work_on(self, trials: Sequence[FrozenTrial]) -> None:
        batch = [self._claimed(trial) for trial in trials]
        for one in batch:
            self._event("trial_started", number=one.number, params=one.parameters)
        began = time.monotonic()
        told = 0
        try:
            self.trial_is_running = True
            try:
                if self.signal_number is not None:
                    raise _InterruptError
                results = self.run_batch(batch)
            finally:
                self.trial_is_running = False
            seconds = time.monotonic() - began
            for trial, outcomes in zip(trials, results, strict=True):
                self._tell(trial, outcomes, seconds)
                told += 1
        except (_InterruptError, KeyboardInterrupt, SystemExit) as interrupt:
            self._give_back(trials[told:], INTERRUPTED)
            # From run_batch, or a thread that is not the main one.
            if isinstance(interrupt, KeyboardInterrupt):
                self.signal_number = self.signal_number or signal.SIGINT
            if isinstance(interrupt, SystemExit):
                status = interrupt.code if isinstance(interrupt.code, int) else 1
                if status <= 128:
                    raise
                self.signal_number = self.signal_number or status - 128
        except StorageError:  # whoever looks next finds the trial without its worker
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            for trial in trials[told:]:
                log.warning("trial %d failed: %s", trial.number, reason, exc_info=True)
            self._give_back(trials[told:], reason)
        finally:
            self.current.clear()
            self.trials_run += len(trials)

    def _claimed(self, trial: FrozenTrial) -> ClaimedTrial:
        """Return what is to be run, with what earlier attempts left in its folder."""
        folder = self.plan.folder / TRIALS_FOLDER / str(trial.number)
        if "retry_of" in trial.user_attrs:
            earlier = earlier_attempts(trial, self._patiently(self._trials))
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
        self.finished += 1
        self._event(
            "trial_finished",
            number=trial.number,
            params=trial.params,
            value=score.value,
            failed_seeds=score.failed_seeds,
        )

    def _give_back(self, trials: Sequence[FrozenTrial], reason: str) -> None:
        def give() -> None:
            with self.storage.critical_section():
                for trial in trials:
                    if not self.backend.get_trial(trial._trial_id).state.is_finished():
                        self._fail(trial, reason, self._trials())

        self._patiently(give)
        for trial in trials:
            self._event("trial_failed", number=trial.number, params=trial.params, message=reason)

    def _event(self, kind: EventKind, **what: Any) -> None:
        self.on_event(Event(kind=kind, finished=self.finished, budget=self.plan.budget, **what))

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
                    self._check_study()
                trouble = self.storage.trouble(error)
                if trouble is None or isinstance(error, _StudyGoneError):
                    raise
                if began is None:
                    began = time.monotonic()
                    log.warning("waiting for the study's storage: %s", trouble)
                if self.signal_number is not None or time.monotonic() - began > PATIENCE_SECONDS:
                    raise StorageError(
                        f"{trouble} (nothing is lost: run the same command again to go on)"
                    ) from error
            self._sleep(pause)
            pause = min(pause * 1.5, LONGEST_WAIT_SECONDS)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.signal_number is None and time.monotonic() < end:
            time.sleep(min(0.1, seconds))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Take over the signals that ask for an end while in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal_number is not None:
            # SLURM and shells send one request several times: to the job, the step, the group.
            is_repeated = now - self.signalled_at < ONE_REQUEST_SECONDS
            if number != signal.SIGINT and is_repeated:
                return
            os._exit(128 + number)
        self.signal_number, self.signalled_at = number, now
        if self.trial_is_running:
            raise _InterruptError


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


def _count_lineages(trials: Sequence[FrozenTrial]) -> int:
    """Return the number of points drawn so far; a retry is the same point."""
    return len({t.user_attrs["lineage"] for t in trials if "lineage" in t.user_attrs})
