"""How a worker claims trainings of a race and tells what they gave.

A point is one trial, which runs until it is out or the budget is spent. A worker claims the seeds
that a point is to have next; between two claims the point is nobody's.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from abx_amr.studies.claiming import Claims
from abx_amr.studies.objective import (
    SeedOutcome,
    TrialScore,
    default_min_successful_seeds,
    score_outcomes,
)
from abx_amr.studies.race_standing import race_of
from abx_amr.studies.records import INTERRUPTED, Heartbeat, TrialRecord, Worker
from abx_amr.studies.records.races import RUNG, Rung, write_rung
from abx_amr.studies.records.trials import FAILURE, comparable_trials
from abx_amr.studies.records.writing import (
    told_outcomes,
    write_heartbeat,
    write_owner,
    write_told,
)
from abx_amr.studies.stopping import (
    stop_before_time_limit,
    stop_if_points_fail,
    stop_when_complete,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

log = logging.getLogger(__name__)


def claims_of(
    settings: StudySettings,
    storage: StudyStorage,
    worker: Worker,
    *,
    on_reaped: Callable[[TrialRecord, str], None],
) -> Claims:
    """Return how a worker of the study claims: whole trials, or trainings of a race."""
    kind = Claims if settings.race is None else RaceClaims
    return kind(settings, storage, worker, on_reaped=on_reaped)


class RaceClaims(Claims):
    """What one worker has claimed of a race."""

    def _claim_inside(self, remaining: float | None) -> TrialRecord | None:
        settings = self.settings
        trials = self.trials()
        if self._reap(trials):
            trials = self.trials()
        if self._put_out(trials):
            trials = self.trials()
        race = race_of(settings, trials)
        self.finished = race.n_spent
        if race.is_spent:
            self._close(trials)
            stop_when_complete(self.finished, settings.budget, unit=settings.unit)
        stop_if_points_fail(trials, max_failures=settings.max_failures)
        stop_before_time_limit(trials, remaining)
        step = race.next_step()
        if step is None:
            return None
        if step.number is None:
            return self._begin(trials, step.seeds)
        return self._take(next(t for t in trials if t.number == step.number), step.seeds)

    def seeds(self, trial: TrialRecord) -> list[int]:
        """Return the seeds that a point of this worker's is to have and has not."""
        assert trial.rung is not None
        first = self.settings.first_seed
        return [first + i for i in range(len(trial.seeds), trial.rung.seeds)]

    def n_seeds(self, trial: TrialRecord) -> int | None:
        """Return by how many seeds a point of this worker's has its value."""
        return None if trial.rung is None else trial.rung.seeds

    def tell(
        self, trial: TrialRecord, outcomes: Sequence[SeedOutcome], seconds: float
    ) -> TrialScore | None:
        """Write what more seeds of a point gave; return what it is worth by all of them.

        None where they were given to another worker meanwhile.
        """
        with self.storage.critical_section():
            now = TrialRecord(self.backend.get_trial(trial.id))
            missing = set(self.seeds(now))
            is_told = not missing  # at the first attempt, whose answer was lost
            if not is_told and (now.owner is None or now.owner.token != self.worker.token):
                return None
            known = told_outcomes(now)
            every = [*known, *(outcome for outcome in outcomes if outcome.seed in missing)]
            score = self._score(every)
            if not is_told:
                write_told(self.backend, trial.id, every, score)
            self.finished += len(outcomes)
            return score

    def _score(self, outcomes: Sequence[SeedOutcome]) -> TrialScore:
        return score_outcomes(
            outcomes,
            penalty_weight=self.settings.penalty_weight,
            direction=self.settings.direction,
            min_successful_seeds=default_min_successful_seeds(len(outcomes)),
        )

    # -- claiming -------------------------------------------------------------------------------

    def _begin(self, trials: list[TrialRecord], n_seeds: int) -> TrialRecord:
        """Begin a new point: one that waits, or one that is drawn now."""
        trial = self._next_point(trials)
        if trial.rung is None:
            write_rung(self.backend, trial.id, Rung(seeds=n_seeds, is_claimed=True))
            trial = TrialRecord(self.backend.get_trial(trial.id))
        return trial

    def _begun(self, lineage: int) -> dict[str, Any]:
        assert self.settings.race is not None
        rung = Rung(seeds=self.settings.race.first_seeds, is_claimed=True)
        return {**super()._begun(lineage), RUNG: rung.as_record()}

    def _take(self, trial: TrialRecord, n_seeds: int) -> TrialRecord:
        """Claim what a point lacks of so many seeds; the rung is written last."""
        assert trial.rung is not None
        write_owner(self.backend, trial.id, self.worker)
        # Its last sign of life is its last worker's: who watches is not to take that for silence.
        write_heartbeat(self.backend, trial.id, Heartbeat(count=0, moment=datetime.now(UTC)))
        is_begun = trial.rung.seeds == n_seeds  # given back by another
        rung = trial.rung.claimed() if is_begun else Rung(seeds=n_seeds, is_claimed=True)
        write_rung(self.backend, trial.id, rung)
        return TrialRecord(self.backend.get_trial(trial.id))

    def _shown(self, trials: Sequence[TrialRecord]) -> list[FrozenTrial]:
        """Show the sampler every point as a finished trial, with its shrunken value."""
        from optuna.trial import TrialState

        race = race_of(self.settings, trials)
        sign = 1.0 if self.settings.direction == "maximize" else -1.0
        shown = []
        for trial in trials:
            value = race.shrunken.get(trial.number)
            frozen = trial.frozen
            if value is not None:
                frozen = copy.copy(frozen)
                frozen.state = TrialState.COMPLETE
                frozen.values = [sign * value]
                frozen.datetime_complete = frozen.datetime_complete or frozen.datetime_start
                frozen.intermediate_values = {}
            shown.append(frozen)
        return shown

    # -- giving back ----------------------------------------------------------------------------

    def _fail(
        self,
        trial: TrialRecord,
        reason: str,
        trials: Sequence[TrialRecord],
        *,
        worker_is_gone: bool = False,
    ) -> bool:
        """Leave what a point lacks to others, or give it up: those seeds count as failed."""
        now = TrialRecord(self.backend.get_trial(trial.id))
        if now.rung is None:
            return super()._fail(trial, reason, trials, worker_is_gone=worker_is_gone)
        if not now.lacks_seeds or not now.rung.is_claimed:
            return False
        if not worker_is_gone and (now.owner is None or now.owner.token != self.worker.token):
            return False  # it was given to another worker meanwhile
        rung = now.rung.given_back(has_failed=reason != INTERRUPTED, is_death=worker_is_gone)
        self.backend.set_trial_user_attr(now.id, FAILURE, reason)
        if rung.attempts > self.settings.max_retry:
            lost = [
                SeedOutcome(seed=s, episode_return=None, failure=reason) for s in self.seeds(now)
            ]
            every = [*told_outcomes(now), *lost]
            write_told(self.backend, now.id, every, self._score(every))
            log.warning("trial %d: %d seeds are given up: %s", now.number, len(lost), reason)
        write_rung(self.backend, now.id, rung)
        return True

    # -- ending ---------------------------------------------------------------------------------

    def _put_out(self, trials: Sequence[TrialRecord]) -> bool:
        """Write that points are out which hardly ever beat the leader; say whether any is."""
        from optuna.trial import TrialState

        race = race_of(self.settings, trials)
        if race.is_spent and any(point.is_closed for point in race.points.values()):
            return False  # a worker died while it wrote the last states: they are to stay the same
        losers = set(race.losers)
        for trial in trials:
            if trial.number in losers:
                self._end(trial, TrialState.PRUNED)
        return bool(losers)

    def _close(self, trials: Sequence[TrialRecord]) -> None:
        """Write the last states: complete where a point's value is of enough seeds to compare."""
        from optuna.trial import TrialState

        comparable = {trial.id for trial in comparable_trials(trials)}
        points = [trial for trial in trials if trial.rung is not None and not trial.is_finished]
        for trial in [trial for trial in points if trial.id in comparable]:
            self._end(trial, TrialState.COMPLETE)
        for trial in [trial for trial in points if trial.id not in comparable]:
            self._end(trial, TrialState.PRUNED)

    def _end(self, trial: TrialRecord, state: Any) -> None:
        assert trial.value is not None
        self.backend.set_trial_state_values(trial.id, state, [trial.value])
