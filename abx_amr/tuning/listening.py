"""Who is told what happens in a study: a terminal, a notebook, a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abx_amr.studies.events import Event, WorkerReport
    from abx_amr.studies.objective import SeedOutcome, TrialScore
    from abx_amr.studies.overview import StudyOverview
    from abx_amr.studies.preparation import Preparation
    from abx_amr.studies.settings import StudySettings
    from abx_amr.tuning.result import TuneResult

#: Called with (transitions seen, planned) while seeds learn.
OnProgress = Callable[[int, int], None]


class StudyListener:
    """Somebody who listens; a method that is not overridden does nothing."""

    def prepared(self, settings: StudySettings, found: Preparation) -> None:
        """The study was created, joined, found finished, or is to be skipped."""

    def launched(self, line: str) -> None:
        """Workers or jobs were started, as their launcher says."""

    def event(self, event: Event) -> None:
        """Something happened to a trial."""

    def stopped(self, report: WorkerReport) -> None:
        """A worker has done its share, while the study may go on."""

    def submitted(self, lines: Sequence[str], prediction: str) -> None:
        """Workers were started that nobody waits for."""

    def finished(self, result: TuneResult) -> None:
        """How far the study is was written."""

    def seed_ended(self, number: int, outcome: SeedOutcome) -> None:
        """A job has trained its seed of trial `number`."""

    def scored(self, outcomes: Sequence[SeedOutcome], score: TrialScore) -> None:
        """The composed configuration was scored as a trial would be."""

    def earned(self, trial: str, mean_return: float) -> None:
        """The agents of a trial in this process have earned so much of late, on average."""

    def watching(self, look: Callable[[], StudyOverview]) -> AbstractContextManager[OnProgress]:
        """Show the study while a block runs; give what is told how far a trial in it is.

        `look` reads the study through a connection of its own, from whichever one thread.
        """
        return nullcontext(_nobody_looks)

    def scoring(self, settings: StudySettings) -> AbstractContextManager[OnProgress]:
        """Show the scoring of the composed configuration while a block runs."""
        return nullcontext(_nobody_looks)


def _nobody_looks(seen: int, planned: int) -> None:
    pass
