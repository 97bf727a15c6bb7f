"""Progress with rates and remaining time, where somebody looks: on a terminal, in a notebook."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from abx_amr.host.notebook import line_in_cell

if TYPE_CHECKING:
    from rich.progress import Progress

#: Called with what is done and how much there is of it.
Advance = Callable[[int, int], None]
#: Called with a phase, what is done of it and how much there is; 0: nobody knows.
MovePhase = Callable[[str, int, int], None]
#: Seconds between two changes of what a notebook shows.
NOTEBOOK_SECONDS = 0.5


def is_on_a_terminal() -> bool:
    """Return whether errors and progress go to a terminal."""
    return sys.stderr.isatty()


@contextmanager
def progress_bar(description: str, unit: str, *, wanted: bool | None = None) -> Iterator[Advance]:
    """Give a function (done, total) that moves a bar; it does nothing where nobody looks.

    Args:
        description: What goes on.
        unit: What is counted.
        wanted: Whether it is shown; None: where somebody looks.
    """
    show = line_in_cell() if wanted is not False else None
    if show is not None:
        yield _line_of(description, unit, show)
    elif wanted or (wanted is None and is_on_a_terminal()):
        bars, advance = bar_of(description, unit)
        start, stop = _with_logs_above(bars)
        start()
        try:
            yield advance
        finally:
            stop()
    else:
        yield lambda done, total: None


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal what goes on, and for how long already; the line goes at the end.

    Args:
        what: What is waited for.
    """
    with phase_display() as show:
        if show is not None:
            show(what, 0, 0)
        yield


@contextmanager
def phase_display() -> Iterator[MovePhase | None]:
    """Give a function (phase, done, total) that shows one phase after the other in one line.

    A total of 0 is one that nobody knows. The line goes at the end. Nothing is given where
    nobody looks.
    """
    if not is_on_a_terminal():
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

    def advance(phase: str, done: int, total: int) -> None:
        nonlocal current
        if phase != current:
            current = phase
            bars.reset(task, total=None)
        share = f"{phase} {done} of {total}" if total else f"{phase} {done or ''}".rstrip()
        bars.update(task, description=share, completed=done, total=total or None)
        if not bars.live.is_started:
            start()

    start, stop = _with_logs_above(bars)
    try:
        yield advance
    finally:
        stop()


def _with_logs_above(bars: Progress) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what starts a display and what stops it; meanwhile logged lines stand above it."""
    former = sys.stdout

    def start() -> None:
        bars.start()
        _log_to_standard_output(instead_of=former)

    def stop() -> None:
        live = sys.stdout
        bars.stop()
        _log_to_standard_output(instead_of=live)

    return start, stop


def _log_to_standard_output(*, instead_of: TextIO) -> None:
    """Let what logs to a former standard output log to the present one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is instead_of:
            handler.setStream(sys.stdout)


def bar_of(description: str, unit: str) -> tuple[Progress, Advance]:
    """Return a bar for a terminal, to be entered, and what moves it."""
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

    def advance(done: int, total: int) -> None:
        speed = bars.tasks[0].speed
        rate = f"{speed:,.0f} {unit}/s" if speed else ""
        bars.update(task, completed=done, total=total, rate=rate)

    return bars, advance


def _line_of(description: str, unit: str, show: Callable[[str], None]) -> Advance:
    """Return what shows a line over and over; rich needs ipywidgets for a bar in a notebook."""
    started = time.monotonic()
    shown_at = 0.0

    def advance(done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if done < total and now - shown_at < NOTEBOOK_SECONDS:
            return
        shown_at = now
        show(progress_line(description, unit, done, total, seconds=now - started))

    return advance


def progress_line(description: str, unit: str, done: int, total: int, *, seconds: float) -> str:
    """Return how far something is, in a line.

    >>> progress_line("first", "transitions", 5_000, 20_000, seconds=10.0)
    'first: 5,000 of 20,000 transitions (25 %), 500 transitions/s, 30 s left'
    """
    share = f" ({done / total:.0%})".replace("%", " %") if total else ""
    text = f"{description}: {done:,} of {total:,} {unit}{share}"
    if done == 0 or seconds <= 0.0:
        return text
    rate = done / seconds
    left = f"{duration((total - done) / rate)} left" if done < total else duration(seconds)
    return f"{text}, {rate:,.0f} {unit}/s, {left}"


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
