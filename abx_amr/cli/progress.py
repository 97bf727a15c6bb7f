"""Progress with rates and remaining time, on a terminal only: of one piece of work, of a study."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group
    from rich.progress import Progress

    from abx_amr.studies.overview import StudyOverview

#: Seconds between two looks at a study.
LOOK_SECONDS = 2.0
#: Lines of workers that are shown; the busiest first.
MOST_WORKERS = 20

Move = Callable[[int, int], None]
MovePhase = Callable[[str, int, int], None]


@contextmanager
def progress_bar(description: str, unit: str) -> Iterator[Move]:
    """Give a function (done, total) that moves a bar; it does nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    bars, move = _bar(description, unit)
    with bars:
        yield move


@contextmanager
def phase_display() -> Iterator[MovePhase | None]:
    """Give a function (phase, done, total) that shows one phase after the other in one line.

    A total of 0 is one that nobody knows. The line goes at the end. Nothing is given where
    nobody looks.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    current = ""
    task = bars.add_task(current, total=None)

    def move(phase: str, done: int, total: int) -> None:
        nonlocal current
        if phase != current:
            current = phase
            bars.reset(task, total=None)
        share = f"{phase} {done} of {total}" if total else f"{phase} {done}"
        bars.update(task, description=share, completed=done, total=total or None)
        if not bars.live.is_started:
            bars.start()

    try:
        yield move
    finally:
        bars.stop()


@contextmanager
def study_display(look: Callable[[], StudyOverview], unit: str) -> Iterator[Move]:
    """Show a whole study, whoever works on it; give a function that moves the bar of a trial here.

    `look` reads the study; it is called from another thread, and its errors leave the last
    look on the screen. Nothing is shown, and nothing read, where nobody looks.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console, Group
    from rich.live import Live

    bars, move_bar = _bar("this worker", unit)
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

    def move(done: int, total: int) -> None:
        moved.set()
        move_bar(done, total)

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
            yield move
        finally:
            is_over.set()
            looking.join(timeout=LOOK_SECONDS)


def _bar(description: str, unit: str) -> tuple[Progress, Move]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
    )
    task = bars.add_task(description, total=None, rate="")

    def move(done: int, total: int) -> None:
        speed = bars.tasks[0].speed
        rate = f"{speed:,.0f} {unit}/s" if speed else ""
        bars.update(task, completed=done, total=total, rate=rate)

    return bars, move


def _table(study: StudyOverview) -> Group:
    """Return the study in two lines and a line for each worker."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    counts = Table.grid(padding=(0, 2))
    counts.add_row(
        f"{study.n_finished} of {study.budget} trials finished",
        f"{study.n_running} running",
        f"{study.n_failed} failed",
        *([f"{study.n_waiting} waiting"] if study.n_waiting else []),
        "" if study.best_value is None else f"best {study.best_value:.3f} ({study.best_trial})",
        "" if study.trials_per_hour is None else f"{study.trials_per_hour:.3g} trials/h",
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


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(42), duration(61), duration(7322)
    ('42 s', '1 min 1 s', '2 h 2 min')
    """
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
