"""A study on a terminal while it is searched: counts, the best, its workers, this one's trial."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from abx_amr.host.progress import Advance, bar_of, duration, is_on_a_terminal, progress_bar
from abx_amr.tuning.listening import StudyListener

if TYPE_CHECKING:
    from rich.console import Group

    from abx_amr.studies.overview import StudyOverview
    from abx_amr.studies.settings import StudySettings

#: Seconds between two looks at a study.
LOOK_SECONDS = 2.0
#: Lines of workers that are shown; the busiest first.
MOST_WORKERS = 20
_HERE = "this worker"


class DisplayedStudy(StudyListener):
    """Shows the study on a terminal while it is searched; nothing where nobody looks."""

    _earned = ""  # of the trial in this process, as it is shown

    def earned(self, trial: str, mean_return: float) -> None:
        """Show it in the bar of the trial."""
        self._earned = f"{trial}, return so far {mean_return:.1f}"

    def watching(self, look: Callable[[], StudyOverview]) -> AbstractContextManager[Advance]:
        """Show the study, and the trial in this process."""
        return study_display(look, "transitions", describe=lambda: self._earned)

    def scoring(self, settings: StudySettings) -> AbstractContextManager[Advance]:
        """Show a bar."""
        return progress_bar(settings.run_name, "transitions")


@contextmanager
def study_display(
    look: Callable[[], StudyOverview], unit: str, *, describe: Callable[[], str] = lambda: ""
) -> Iterator[Advance]:
    """Show a whole study, whoever works on it; give a function that moves the bar of a trial here.

    `look` reads the study; it is called from another thread, and its errors leave the last
    look on the screen; `describe` says in a few words what the trial here is doing. Nothing is
    shown, and nothing read, where nobody looks.
    """
    if not is_on_a_terminal():
        yield lambda done, total: None
        return
    from rich.console import Console, Group
    from rich.live import Live

    bars, advance_bar = bar_of(_HERE, unit)
    moved = threading.Event()
    is_over = threading.Event()
    seen: list[StudyOverview] = []

    def shown() -> Group:
        parts: list[Any] = [_table(seen[-1])] if seen else []
        return Group(*parts, *([bars] if moved.is_set() else []))

    def keep_looking() -> None:
        while not is_over.is_set():
            with suppress(Exception):  # of any storage: it may answer at the next look
                seen[:] = [look()]
            is_over.wait(LOOK_SECONDS)

    def advance(done: int, total: int) -> None:
        moved.set()
        advance_bar(done, total)
        bars.update(bars.tasks[0].id, description=describe() or _HERE)

    looking = threading.Thread(target=keep_looking, name="study display", daemon=True)
    with Live(
        get_renderable=shown,
        console=Console(stderr=True),
        refresh_per_second=2,
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    ):
        looking.start()
        try:
            yield advance
        finally:
            is_over.set()
            looking.join(timeout=LOOK_SECONDS)


def _table(study: StudyOverview) -> Group:
    """Return the study in two lines and a line for each worker."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    counts = Table.grid(padding=(0, 2))
    counts.add_row(
        f"{study.n_finished} of {study.budget} {study.unit}s finished",
        *([] if study.final_planned is None else [_final(study.final_done, study.final_planned)]),
        f"{study.n_running} running",
        f"{study.n_failed} failed",
        *([f"{study.n_waiting} waiting"] if study.n_waiting else []),
        "" if study.best_value is None else f"best {study.best_value:.3f} ({study.best_trial})",
        "" if study.trials_per_hour is None else f"{study.trials_per_hour:.3g} {study.unit}s/h",
        "" if study.remaining_seconds is None else f"{duration(study.remaining_seconds)} left",
    )
    workers = Table.grid(padding=(0, 2))
    busiest = sorted(study.workers, key=lambda worker: worker.trial is None)
    for worker in busiest[:MOST_WORKERS]:
        doing = ""
        if worker.trial is not None:
            since = "" if worker.seconds is None else f" for {duration(worker.seconds)}"
            doing = f"trial {worker.trial}{since}"
        workers.add_row(Text(worker.name), f"{worker.n_finished} finished", doing)
    if len(busiest) > MOST_WORKERS:
        workers.add_row(f"and {len(busiest) - MOST_WORKERS} more", "", "")
    bar = ProgressBar(total=study.budget, completed=study.n_finished, width=60)
    return Group(counts, bar, workers)


def _final(done: int, planned: int) -> str:
    return f"final: {done} of {planned} trainings"
