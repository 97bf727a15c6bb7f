"""How far a search is: in finished trials, or in trainings where its points race over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abx_amr.studies.records import TrialRecord, count_done

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a search is.

    Attributes:
        n_done: Finished trials; of a race, trainings that have ended.
        budget: How many complete the search.
        is_over: Whether nothing is left to be done.
    """

    n_done: int
    budget: int
    is_over: bool


def progress_of(settings: StudySettings, trials: Sequence[TrialRecord]) -> Progress:
    """Return how far the search of a study is."""
    return progress_in(trials, budget=settings.budget, is_race=settings.race is not None)


def progress_in(trials: Sequence[TrialRecord], *, budget: int, is_race: bool) -> Progress:
    """Return how far a search of these trials is.

    Args:
        trials: All of the study.
        budget: How many finished trials, or trainings of a race, complete it.
        is_race: Whether its points race over seeds.
    """
    n_done = count_done(trials, is_race=is_race)
    is_open = is_race and any(trial.rung is not None and not trial.is_finished for trial in trials)
    return Progress(n_done=n_done, budget=budget, is_over=n_done >= budget and not is_open)
