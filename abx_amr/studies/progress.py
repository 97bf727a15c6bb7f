"""How far a search is: in finished trials, or in trainings where its points race over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from abx_amr.studies.records import TrialRecord, count_done

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings

Unit = Literal["trial", "training"]


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
    n_done = count_done(trials, is_race=settings.race is not None)
    is_spent = n_done >= settings.budget
    is_open = settings.race is not None and any(
        trial.rung is not None and not trial.is_finished for trial in trials
    )
    return Progress(n_done=n_done, budget=settings.budget, is_over=is_spent and not is_open)
