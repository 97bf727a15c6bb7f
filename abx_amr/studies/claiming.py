"""What must not happen twice, decided inside the storage's critical section.

Reap trials whose worker is gone; count; stop when enough are finished; else claim a trial that
waits, or draw a new point when finished + running leaves room for one, or wait.

A point keeps its lineage number through all retries; a retry is a new trial with the same
parameters.
"""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from abx_amr.host.processes import has_died
from abx_amr.host.slurm_job import TimeLimit
from abx_amr.studies.draft import draw
from abx_amr.studies.samplers import make_sampler
from abx_amr.studies.storages import StorageError, StudyStorage
from abx_amr.studies.study import (
    FAILURES_FROM_ATTRIBUTE,
    GRACE_INTERVALS,
    HEARTBEAT_ATTRIBUTE,
    StudyPlan,
    is_finished,
    open_study,
)

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

INTERRUPTED = "interrupted"
StopReason = Literal["budget", "quota", "timeout", "time limit", "failures", "interrupted"]


class StopError(Exception):
    """The worker's loop is to end."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class StudyGoneError(StorageError):
    """The study was deleted while a worker was at it."""


class Claims:
    """What one worker has claimed of a study, and how it claims and gives back.

    Attributes:
        finished: The finished trials when last counted.
        current: Ids of the trials that are this worker's.
    """

    def __init__(
        self,
        plan: StudyPlan,
        storage: StudyStorage,
        owner: Mapping[str, Any],
        *,
        on_reaped: Callable[[FrozenTrial, str], None],
    ) -> None:
        """Claim nothing yet.

        Args:
            plan: The study's.
            storage: Where it lies.
            owner: Who claims: written on each trial, for the others to see whether it lives.
            on_reaped: Told of each trial of a dead worker, and why it is taken for dead.
        """
        self.plan = plan
        self.storage = storage
        self.study_id = -1  # of no study
        self.owner = owner
        self.on_reaped = on_reaped
        self.finished = 0
        self.current: set[int] = set()
        self._time_limit = TimeLimit()
        self._heartbeats_seen: dict[int, tuple[Any, float]] = {}

    def open(self) -> None:
        """Find the study."""
        _, self.study_id = open_study(self.plan, self.storage)

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self.storage.open()

    def claim(self) -> FrozenTrial | None:
        """Return a trial that is now this worker's, None where there is nothing to do but wait."""
        remaining = self._time_limit.remaining_seconds()
        with self.storage.critical_section():
            try:
                return self._claim_inside(remaining)
            except StopError as stop:
                reason = stop  # raised outside, so that what was reaped stays written
        raise reason

    def _claim_inside(self, remaining: float | None) -> FrozenTrial | None:
        trials = self.trials()
        if self._reap(trials):
            trials = self.trials()
        budget = self.plan.budget
        self.finished = sum(is_finished(trial) for trial in trials)
        if self.finished >= budget:
            raise StopError("budget", f"{self.finished} of {budget} trials are finished")
        self._stop_if_all_fails(trials)
        self._stop_before_time_limit(trials, remaining)
        running = sum(trial.state.name == "RUNNING" for trial in trials)
        if self.finished + running >= budget:
            return None
        waiting = [trial for trial in trials if trial.state.name == "WAITING"]
        return self._claim_waiting(waiting[0], trials) if waiting else self._ask(trials)

    def give_back(self, trials: Sequence[FrozenTrial], reason: str) -> None:
        """Fail trials that are not finished, and queue their parameters again."""
        with self.storage.critical_section():
            for trial in trials:
                if not self.backend.get_trial(trial._trial_id).state.is_finished():
                    self._fail(trial, reason, self.trials())

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the study.

        Raises:
            StorageError: it was deleted.
        """
        self.check_study()
        return self.backend.get_all_trials(self.study_id, deepcopy=False)

    def check_study(self) -> None:
        """Raise a StudyGoneError where the study was deleted."""
        name = self.plan.study_name
        try:
            is_there = self.backend.get_study_id_from_name(name) == self.study_id
        except KeyError:
            is_there = False
        if not is_there:
            raise StudyGoneError(f"study {name!r} was deleted from {self.storage.label} meanwhile")

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
            if reason is not None and self._fail(trial, reason, trials, worker_is_gone=True):
                self.on_reaped(trial, reason)
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
        last, since = self._heartbeats_seen.get(trial._trial_id, (object(), now))
        if beat != last:
            self._heartbeats_seen[trial._trial_id] = (beat, now)
            return None
        grace = GRACE_INTERVALS * float(owner.get("interval") or self.plan.heartbeat_interval)
        if now - since <= grace:
            return None
        silence = f"has been silent for {now - since:.0f} s"
        return f"its worker (process {owner['pid']} on {owner['host']}) {silence}"

    def _fail(
        self,
        trial: FrozenTrial,
        reason: str,
        trials: Sequence[FrozenTrial],
        *,
        worker_is_gone: bool = False,
    ) -> bool:
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
            if worker_is_gone and again is not None:
                self.backend.set_trial_user_attr(trial._trial_id, "worker_is_gone", True)
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
        """Stop when the last max_failures trials of this run failed.

        Neither by an interrupt nor with a worker that was killed, as long as they are tried again:
        that says nothing about the trials.
        """
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
            and not trial.user_attrs.get("worker_is_gone")
        ]
        if len(failures) >= self.plan.max_failures:
            raise StopError(
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
            raise StopError(
                "time limit", "the job's time limit is nearer than a typical trial is long"
            )


def _count_lineages(trials: Sequence[FrozenTrial]) -> int:
    """Return the number of points drawn so far; a retry is the same point."""
    return len({t.user_attrs["lineage"] for t in trials if "lineage" in t.user_attrs})
