"""How far a study is and who works on it, read from the study itself, on whatever node they are."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from abx_amr.errors import InputError, counted
from abx_amr.studies.final import standing
from abx_amr.studies.progress import progress_in
from abx_amr.studies.records import BudgetUnit, StudyRecord, TrialRecord, workers_of
from abx_amr.studies.records.races import rules_in
from abx_amr.studies.stored import read_study

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

#: Trials from which the present rate is taken.
RECENT_TRIALS = 20


@dataclass(frozen=True, kw_only=True)
class WorkerLine:
    """What one worker has done and is doing."""

    name: str
    n_finished: int
    trial: int | None = None  #: that it runs
    seconds: float | None = None  #: since it began, 0 where a clock was set back; None: not known


@dataclass(frozen=True, kw_only=True)
class StudyOverview:
    """How far a study is; times in seconds.

    Its budget counts trials, in a race trainings or their episodes (`unit`).
    """

    budget: int
    n_finished: int
    is_searched: bool = False
    unit: BudgetUnit = "trial"
    n_running: int
    n_waiting: int
    n_failed: int
    best_value: float | None
    best_trial: int | None
    trials_per_hour: float | None
    typical_trial_seconds: float | None
    workers: Sequence[WorkerLine]
    final_done: int = 0  #: trainings of the final that have ended
    final_planned: int | None = None  #: and how many there are; None before the search is over
    is_final_over: bool = True  #: whether what it has chosen is written, where there is one

    @property
    def is_complete(self) -> bool:
        """Whether the budget is reached and the final, if there is one, is over."""
        is_done = self.final_done >= (self.final_planned or 0)
        return self.is_searched and is_done and self.is_final_over

    @property
    def remaining_seconds(self) -> float | None:
        """How long the rest takes at the present rate, None where no rate is known."""
        left = self.budget - self.n_finished
        if left <= 0:
            return 0.0
        return left / self.trials_per_hour * 3600 if self.trials_per_hour else None

    def prediction(self, n_workers: int) -> str:
        """Return in one line how long `n_workers` need for the rest, from the trials seen so far.

        >>> StudyOverview(
        ...     budget=20, n_finished=4, n_running=0, n_waiting=0, n_failed=0, best_value=None,
        ...     best_trial=None, trials_per_hour=None, typical_trial_seconds=900.0, workers=()
        ... ).prediction(8)
        'prediction: 16 trials of about 900 s by 8 workers: 0.5 hours, once all have begun'
        """
        left = max(0, self.budget - self.n_finished)
        if self.typical_trial_seconds is None:
            return (
                f"prediction: none, no {self.unit} has finished yet "
                "(the same command says it later)"
            )
        hours = math.ceil(left / n_workers) * self.typical_trial_seconds / 3600
        return (
            f"prediction: {counted(left, self.unit)} of about {self.typical_trial_seconds:.3g} s "
            f"by {counted(n_workers, 'worker')}: {hours:.3g} hours, once all have begun"
        )


def overview_of(settings: StudySettings, storage: StudyStorage) -> StudyOverview:
    """Return how far the study is.

    Raises:
        InputError: the study does not exist.
    """
    study = read_study(storage, settings.study_name)
    final = standing(settings, study.trials, study.final)
    return _overview(
        study,
        budget=settings.budget,
        final_done=0 if final is None else final.n_done,
        final_planned=None if final is None else final.n_planned,
    )


def overview_of_stored(storage: StudyStorage, name: str) -> StudyOverview:
    """Return how far a study is, from what is stored of it alone.

    Of a final that is not over it is known how many trainings there are at most.

    Raises:
        InputError: the study does not exist, or abx-tune has not made it.
    """
    study = read_study(storage, name)
    budget = study.attributes.budget
    if budget is None:
        raise InputError(f"study '{name}' has no budget: abx-tune has not made it, or not begun it")
    size, result, done = study.final.size, study.final.result, len(study.final.outcomes)
    is_over = result is not None and result.get("n_finished") == study.n_finished
    planned = None
    is_race = rules_in(study.user_attrs) is not None
    searched = progress_in(study.trials, budget=budget, is_race=is_race)
    if size is not None and searched.is_over and study.best is not None:
        most = (min(size.top, study.n_finished) + 1) * size.seeds + size.held_out
        planned = done if is_over else max(most, done)
    return _overview(
        study,
        budget=budget,
        final_done=done,
        final_planned=planned,
        is_final_over=planned is None or is_over,
    )


def _overview(
    study: StudyRecord,
    *,
    budget: int,
    final_done: int,
    final_planned: int | None,
    is_final_over: bool = True,
) -> StudyOverview:
    finished = [trial for trial in study.trials if trial.is_finished]
    is_race = rules_in(study.user_attrs) is not None
    searched = progress_in(study.trials, budget=budget, is_race=is_race)
    best = study.best
    lengths = _lengths(study.trials, is_race=is_race)
    n_running = sum(trial.is_at_work for trial in study.trials)
    typical = statistics.median(lengths) if lengths else None
    rate = _rate(finished)
    if is_race:  # whose points come and go: by those that are at work now
        rate = n_running / typical * 3600 if typical else None
    return StudyOverview(
        budget=budget,
        n_finished=searched.n_done,
        is_searched=searched.is_over,
        unit=study.attributes.unit,
        n_running=n_running,
        n_waiting=study.states["WAITING"],
        n_failed=study.n_failed,
        best_value=best.value if best else None,
        best_trial=best.number if best else None,
        trials_per_hour=rate,
        typical_trial_seconds=typical,
        workers=_worker_lines(study.trials),
        final_done=final_done,
        final_planned=final_planned,
        is_final_over=is_final_over,
    )


def _lengths(trials: Sequence[TrialRecord], *, is_race: bool) -> list[float]:
    """Return the seconds that finished trials took, in a race its trainings or episodes."""
    if is_race:
        return [
            seed.seconds / (seed.episodes or 1)
            for trial in trials
            for seed in trial.seeds
            if seed.seconds is not None
        ]
    found = [trial.wall_time_seconds for trial in trials if trial.is_finished]
    return [seconds for seconds in found if seconds is not None]


def _rate(finished: Sequence[TrialRecord]) -> float | None:
    """Return finished trials per hour over the last ones."""
    recent = sorted(
        (trial for trial in finished if trial.started and trial.ended),
        key=lambda trial: _moment(trial.ended),
    )[-RECENT_TRIALS:]
    if not recent:
        return None
    began = min(_moment(trial.started) for trial in recent)
    seconds = (_moment(recent[-1].ended) - began).total_seconds()
    return len(recent) / seconds * 3600 if seconds > 0 else None


def _worker_lines(trials: Sequence[TrialRecord]) -> list[WorkerLine]:
    """Return a line for every worker that has ever had a trial, in the order they came."""
    now = datetime.now(UTC)
    return [
        WorkerLine(
            name=history.worker.title,
            n_finished=history.n_finished,
            trial=None if history.running is None else history.running.number,
            seconds=None
            if history.running is None or history.running.seeds
            else max(0.0, (now - _moment(history.running.started)).total_seconds()),
        )
        for history in workers_of(trials)
    ]


def _moment(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment.astimezone(UTC)
