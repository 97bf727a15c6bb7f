"""What must not happen twice, decided inside the storage's critical section.

Reap trials whose worker is gone; count; stop when enough are finished; else claim a trial that
waits, or draw a new point when finished + running leaves room for one, or wait.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from abx_amr.host.slurm_job import TimeLimit
from abx_amr.studies.deaths import DeathWatch
from abx_amr.studies.draft import ask, draw
from abx_amr.studies.enqueued import why_not_run
from abx_amr.studies.objective import SeedOutcome, TrialScore, score_outcomes
from abx_amr.studies.opened import OpenedStudy
from abx_amr.studies.records import StudyAttributes, TrialRecord, Worker, count_lineages
from abx_amr.studies.records.writing import begun, write_owner, write_told_trial
from abx_amr.studies.retries import fail, queue_again
from abx_amr.studies.samplers import make_sampler
from abx_amr.studies.stopping import (
    StopError,
    stop_before_time_limit,
    stop_if_all_fails,
    stop_when_complete,
)
from abx_amr.studies.storages import StudyStorage

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from abx_amr.studies.attempts import Part
    from abx_amr.studies.settings import StudySettings


log = logging.getLogger(__name__)


class Claims:
    """What one worker has claimed of a study, and how it claims and gives back.

    Attributes:
        study: The study in its storage.
        finished: The finished trials (in a race: the trainings that have ended) when last counted.
        current: Ids of the trials that are this worker's.
    """

    def __init__(
        self,
        settings: StudySettings,
        storage: StudyStorage,
        worker: Worker,
        *,
        on_reaped: Callable[[TrialRecord, str], None],
    ) -> None:
        """Claim nothing yet.

        Args:
            settings: The study's.
            storage: Where it lies.
            worker: Who claims: written on each trial, for the others to see whether it lives.
            on_reaped: Told of each trial of a dead worker, and why it is taken for dead.
        """
        self.settings = settings
        self.storage = storage
        self.study = OpenedStudy(storage, settings.study_name)
        self.worker = worker
        self.on_reaped = on_reaped
        self.finished = 0
        self.current: set[int] = set()
        self._first_points: Sequence[Mapping[str, Any]] = ()
        self._time_limit = TimeLimit()
        self._deaths = DeathWatch(worker, interval=settings.heartbeat_interval)

    def open(self) -> None:
        """Find the study."""
        origin = self.study.open()
        self._first_points = () if origin is None else origin.first_points

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self.study.backend

    def claim(self) -> TrialRecord | None:
        """Return a trial that is now this worker's, None where there is nothing to do but wait."""
        remaining = self._time_limit.remaining_seconds()
        with self.storage.critical_section():
            try:
                return self._claim_inside(remaining)
            except StopError as stop:
                reason = stop  # raised outside, so that what was reaped stays written
        raise reason

    def _claim_inside(self, remaining: float | None) -> TrialRecord | None:
        trials = self.study.trials()
        if self._reap(trials):
            trials = self.study.trials()
        budget = self.settings.budget
        self.finished = sum(trial.is_finished for trial in trials)
        stop_when_complete(self.finished, budget)
        if any(trial.state == "FAIL" for trial in trials):
            attributes = StudyAttributes(self.study.user_attrs())
            stop_if_all_fails(
                trials,
                since=attributes.failures_counted_from,
                max_failures=self.settings.max_failures,
            )
        stop_before_time_limit(trials, remaining)
        running = sum(trial.state == "RUNNING" for trial in trials)
        if self.finished + running >= budget:
            return None
        return self._next_point(trials)

    def seeds(self, trial: TrialRecord) -> list[int]:
        """Return the seeds that are to be trained of a trial that is this worker's."""
        assert trial.lineage is not None  # written by whoever claimed it
        return self.settings.seeds(trial.lineage)

    def part(self, trial: TrialRecord) -> Part | None:
        """Return which part of their training is to be done of these seeds; None: all of it."""
        return None

    def n_seeds(self, trial: TrialRecord) -> int | None:
        """Return by how many seeds a point has its value; None where all trials have the same."""
        return None

    def tell(
        self, trial: TrialRecord, outcomes: Sequence[SeedOutcome], seconds: float
    ) -> TrialScore | None:
        """Write what a trial gave, then its value; return it.

        None where another worker has given the trial up meanwhile: nothing is used of it.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        settings = self.settings
        score = score_outcomes(
            outcomes,
            penalty_weight=settings.penalty_weight,
            direction=settings.direction,
            min_successful_seeds=settings.min_successful_seeds,
        )
        try:
            write_told_trial(self.backend, trial.id, outcomes, score, seconds=seconds)
        except UpdateFinishedTrialError:  # else at the first attempt, whose answer was lost
            if not TrialRecord(self.backend.get_trial(trial.id)).is_finished:
                return None
        self.finished += 1
        return score

    def _next_point(self, trials: list[TrialRecord]) -> TrialRecord:
        """Return a trial that waits, or one that is drawn now."""
        for trial in [trial for trial in trials if trial.state == "WAITING"]:
            reason = why_not_run(trial, self.settings.space)
            if reason is None:
                return self._claim_waiting(trial, trials)
            log.warning("trial %d is failed and not run: %s", trial.number, reason)
            self._fail(trial, reason, trials)
            self.on_reaped(trial, reason)
            trials = self.study.trials()
        return self._ask(trials)

    def give_back(self, trials: Sequence[TrialRecord], reason: str) -> None:
        """Fail trials that are not finished, and queue their parameters again."""
        with self.storage.critical_section():
            for trial in trials:
                if not self.backend.get_trial(trial.id).state.is_finished():
                    self._fail(trial, reason, self.study.trials())

    def _claim_waiting(self, trial: TrialRecord, trials: Sequence[TrialRecord]) -> TrialRecord:
        """Take over a trial whose parameters are fixed; only one that lacks some is asked for."""
        from optuna.trial import TrialState

        if self.settings.space.missing(trial.frozen.params):
            return self._fill_in(trials)
        self.backend.set_trial_state_values(trial.id, state=TrialState.RUNNING)
        return self._own(trial.id, trial.lineage, trials)

    def _ask(self, trials: Sequence[TrialRecord]) -> TrialRecord:
        """Draw the next point, or take a first one; it is stored in one piece, as this worker's."""
        index = count_lineages(trials)
        with _quiet_clipping():
            drawn = draw(
                self.backend,
                self.study.id,
                self._shown([trial for trial in trials if trial.why_not_counted is None]),
                sampler=self._sampler(index),
                space=self.settings.space,
                fixed=self._first_points[index] if index < len(self._first_points) else None,
            )
        drawn.user_attrs |= self._begun(index)
        drawn._trial_id = self.backend.create_new_trial(self.study.id, template_trial=drawn)
        drawn.number = self.backend.get_trial_number_from_id(drawn._trial_id)
        return TrialRecord(drawn)

    def _shown(self, trials: Sequence[TrialRecord]) -> list[FrozenTrial]:
        """Return the trials as the sampler is to see them."""
        return [trial.frozen for trial in trials]

    def _begun(self, lineage: int) -> dict[str, Any]:
        """Return the attributes of a trial that is drawn now."""
        return begun(lineage=lineage, owner=self.worker)

    def _fill_in(self, trials: Sequence[TrialRecord]) -> TrialRecord:
        """Draw what is missing in the waiting trial that the study's user has queued."""
        import optuna

        study = optuna.load_study(
            study_name=self.settings.study_name,
            storage=self.backend,
            sampler=self._sampler(count_lineages(trials)),
            pruner=optuna.pruners.NopPruner(),
        )
        with _quiet_clipping():
            asked = ask(study, self.settings.space)
        return self._own(asked._trial_id, None, trials)

    def _sampler(self, index: int) -> BaseSampler:
        settings = self.settings
        return make_sampler(
            settings.sampler,
            space=settings.space,
            n_trials=settings.n_points,
            index=index,
            first_points=self._first_points,
        )

    def _own(
        self, trial_id: int, lineage: int | None, trials: Sequence[TrialRecord]
    ) -> TrialRecord:
        """Write down whose trial this is; one without an owner was lost while being drawn."""
        new = count_lineages(trials) if lineage is None else None
        write_owner(self.backend, trial_id, self.worker, lineage=new)
        return TrialRecord(self.backend.get_trial(trial_id))

    def _reap(self, trials: Sequence[TrialRecord]) -> bool:
        """Fail the trials whose worker is gone and queue their parameters again.

        Also those of a worker that died after it had failed its trial and before it had queued it.
        """
        has_reaped = False
        for trial in trials:
            if trial.state == "FAIL":
                has_reaped |= queue_again(
                    trial, trials, backend=self.backend, study_id=self.study.id
                )
            if not trial.is_at_work or trial.id in self.current:
                continue
            reason = self._deaths.reason_to_reap(trial)
            if reason is not None and self._fail(trial, reason, trials, worker_is_gone=True):
                self.on_reaped(trial, reason)
                has_reaped = True
        return has_reaped

    def _fail(
        self,
        trial: TrialRecord,
        reason: str,
        trials: Sequence[TrialRecord],
        *,
        worker_is_gone: bool = False,
    ) -> bool:
        return fail(
            trial,
            reason,
            trials,
            settings=self.settings,
            backend=self.backend,
            study_id=self.study.id,
            worker_is_gone=worker_is_gone,
        )


@contextmanager
def _quiet_clipping() -> Iterator[None]:
    """Trials whose seeds all failed are infinite; that gp clips them is no news."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
        yield
