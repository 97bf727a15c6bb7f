"""How a worker claims trainings of a race and tells what they gave.

A point is one trial, which runs until it is out or the budget is spent. A worker claims the seeds
that a point is to have next; between two claims the point is nobody's.
"""

from __future__ import annotations

import copy
import logging
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from abx_amr.studies.attempts import Part
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

    from abx_amr.studies.race import RaceStanding, Step
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

    _first_rung: Rung  # of the point that is begun now
    _last_race: tuple[Sequence[TrialRecord], RaceStanding | None] = ((), None)

    def _claim_inside(self, remaining: float | None) -> TrialRecord | None:
        settings = self.settings
        trials = self.study.trials()
        if self._reap(trials):
            trials = self.study.trials()
        race = self._race_of(trials)
        if self._put_out(trials, race):
            trials = self.study.trials()
            race = self._race_of(trials)
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
            return self._begin(trials, step)
        return self._take(next(t for t in trials if t.number == step.number), step)

    def _race_of(self, trials: Sequence[TrialRecord]) -> RaceStanding:
        """Return how far the race is; of the points that were asked for last it is known."""
        points = [trial for trial in trials if trial.rung is not None]
        before, race = self._last_race
        is_same = len(points) == len(before) and all(map(operator.is_, points, before))
        if race is None or not is_same:
            race = race_of(self.settings, points)
            self._last_race = points, race
        return race

    def seeds(self, trial: TrialRecord) -> list[int]:
        """Return the seeds that a point of this worker's is to have and has not.

        All that it has, where they are to be trained for longer.
        """
        assert trial.rung is not None
        first, done = self.settings.first_seed, trial.seeds
        begin = 0 if self._goes_on(trial) else len(done)
        return [first + i for i in range(begin, trial.rung.seeds)]

    def part(self, trial: TrialRecord) -> Part | None:
        """Return which part of their training is claimed of a point's seeds; None: all of it."""
        assert self.settings.race is not None and trial.rung is not None
        if self._goes_on(trial):
            return Part(begin=trial.length)
        episodes = trial.rung.episodes
        is_whole = episodes is None or episodes == self.settings.race.whole
        return None if is_whole else Part(end=episodes)

    def n_seeds(self, trial: TrialRecord) -> int | None:
        """Return by how many seeds a point of this worker's has its value."""
        return None if trial.rung is None else trial.rung.seeds

    def _goes_on(self, trial: TrialRecord) -> bool:
        """Say whether what a point lacks is the rest of trainings that it has begun."""
        is_longer = trial.rung is not None and (trial.rung.episodes or 1) > trial.length
        return is_longer and bool(trial.seeds)

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
            own = [] if is_told else [o for o in outcomes if o.seed in missing]
            assert trial.rung is not None
            self.finished += trial.rung.amount - trial.amount  # as it was claimed
            return self._write_told(now, own)

    def _write_told(self, trial: TrialRecord, outcomes: Sequence[SeedOutcome]) -> TrialScore:
        """Write what more trainings of a point gave, if any; return what it is worth by all."""
        assert trial.rung is not None
        known = told_outcomes(trial)
        if not outcomes:
            return self._score(known)
        shorter = {seed.seed: seed.shorter for seed in trial.seeds if seed.shorter is not None}
        if self._goes_on(trial):
            shorter = {
                one.seed: {
                    "episodes": trial.length,
                    "episode_return": None if one.failure_reason else one.episode_return,
                }
                for one in known
            }
            seconds = {one.seed: one.seconds for one in known}
            every = [replace(o, seconds=o.seconds + seconds.get(o.seed, 0.0)) for o in outcomes]
        else:
            every = [*known, *outcomes]
        score = self._score(every)
        write_told(
            self.backend,
            trial.id,
            every,
            score,
            episodes=trial.rung.episodes,
            shorter=shorter,
        )
        return score

    def _score(self, outcomes: Sequence[SeedOutcome]) -> TrialScore:
        return score_outcomes(
            outcomes,
            penalty_weight=self.settings.penalty_weight,
            direction=self.settings.direction,
            min_successful_seeds=default_min_successful_seeds(len(outcomes)),
        )

    # -- claiming -------------------------------------------------------------------------------

    def _begin(self, trials: list[TrialRecord], step: Step) -> TrialRecord:
        """Begin a new point: one that waits, or one that is drawn now."""
        self._first_rung = self._rung(step)
        trial = self._next_point(trials)
        if trial.rung is None:
            write_rung(self.backend, trial.id, self._first_rung)
            trial = TrialRecord(self.backend.get_trial(trial.id))
        return trial

    def _begun(self, lineage: int) -> dict[str, Any]:
        return {**super()._begun(lineage), RUNG: self._first_rung.as_record()}

    def _rung(self, step: Step) -> Rung:
        """Return the rung of a step, as this worker's."""
        assert self.settings.race is not None
        return Rung(
            seeds=step.seeds,
            is_claimed=True,
            episodes=None if self.settings.race.episodes is None else step.length,
            is_chosen=step.is_chosen,
        )

    def _take(self, trial: TrialRecord, step: Step) -> TrialRecord:
        """Claim what a point lacks of so many seeds; the rung is written last."""
        assert trial.rung is not None
        write_owner(self.backend, trial.id, self.worker)
        # Its last sign of life is its last worker's: who watches is not to take that for silence.
        write_heartbeat(self.backend, trial.id, Heartbeat(count=0, moment=datetime.now(UTC)))
        rung = self._rung(step)
        if trial.rung.amount == rung.amount:  # given back by another
            rung = trial.rung.claimed()
        write_rung(self.backend, trial.id, rung)
        return TrialRecord(self.backend.get_trial(trial.id))

    def _shown(self, trials: Sequence[TrialRecord]) -> list[FrozenTrial]:
        """Show the sampler every point as a finished trial, with its likely value."""
        from optuna.trial import TrialState

        race = self._race_of(trials)
        sign = 1.0 if self.settings.direction == "maximize" else -1.0
        shown = []
        for trial in trials:
            value = race.likely.get(trial.number)
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
            self._write_told(now, lost)
            log.warning("trial %d: %d seeds are given up: %s", now.number, len(lost), reason)
        write_rung(self.backend, now.id, rung)
        return True

    # -- ending ---------------------------------------------------------------------------------

    def _put_out(self, trials: Sequence[TrialRecord], race: RaceStanding) -> bool:
        """Write that points are out which hardly ever beat the leader; say whether any is."""
        from optuna.trial import TrialState

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
