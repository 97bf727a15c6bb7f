"""What whoever asked for runs is told while they go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.host.progress import progress_bar

if TYPE_CHECKING:
    from abx_amr.runs.finished import FinishedRun

#: What is said of an interrupted training that left nothing to go on from.
NOTHING_KEPT = "nothing was kept, run the same command again"

#: Called with what is done and how much there is of it.
Advance = Callable[[int, int], None]


def unseen(done: int, total: int) -> None:
    """Move a bar that nobody sees."""


class RunListener:
    """Is told of runs; shows nothing. A command and a notebook show each in their way."""

    def skipped(self, run: FinishedRun) -> None:
        """Take in that a run is complete already."""

    def goes_on(self, run_name: str, source: Path) -> None:
        """Take in that a run was interrupted and goes on from another's folder."""

    def finished(self, run: FinishedRun) -> None:
        """Take in that a run has come to its end."""

    def progress(self, run_name: str) -> AbstractContextManager[Advance]:
        """Return what shows the transitions of a training."""
        return nullcontext(unseen)


class BarListener(RunListener):
    """Shows a progress bar, on a terminal or in a notebook.

    Args:
        progress: Whether it is shown; None: where somebody looks.
    """

    def __init__(self, progress: bool | None = None) -> None:
        self._progress = progress

    def progress(self, run_name: str) -> AbstractContextManager[Advance]:
        """Return a bar of transitions."""
        return progress_bar(run_name, "transitions", wanted=self._progress)
