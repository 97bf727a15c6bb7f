"""Signals that ask a command or a worker to stop, and where in its work they may be obeyed.

The first signal asks; a later one ends the process at once. A worker takes SIGUSR1 and SIGUSR2
too (what SLURM sends before a time limit). A process that waits for others hands on what it is
asked.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Self

from abx_amr.host.exit_codes import of_signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
ONE_REQUEST_SECONDS = 1.0
LATER_SECONDS = 0.01
COMPILERS = ("numba", "llvmlite")
IMPORTING = "<frozen importlib"


class InterruptError(BaseException):
    """A signal arrived while a trial was running; not an Exception, so that no trial catches it."""


class CommandInterruptError(KeyboardInterrupt):
    """A signal ended a command.

    Args:
        number: the signal.
        advice: how the user goes on; '' where it is not known yet.
    """

    def __init__(self, number: int = signal.SIGINT, advice: str = "") -> None:
        super().__init__(number, advice)
        self.number = number
        self.advice = advice

    @classmethod
    def of(cls, interrupt: KeyboardInterrupt, advice: str) -> Self:
        """Return any interrupt as one of a command, with advice."""
        number = interrupt.number if isinstance(interrupt, CommandInterruptError) else signal.SIGINT
        return cls(number, advice)


class Interrupts:
    """What a process was asked while it ran.

    Args:
        signals: those that ask.
        error: makes of a signal what ends a block, see `ending`.
        after_imports: whether a block is not ended while a module is imported, where errors of
            this kind get lost too. Not for one that may itself be run by an import.

    Attributes:
        number: the signal, None as long as nobody asked. Other kinds of request may be noted here
            too, by the signal they amount to.
    """

    def __init__(
        self,
        signals: Sequence[signal.Signals] = STOP_SIGNALS,
        *,
        error: Callable[[int], BaseException] = InterruptError,
        after_imports: bool = False,
    ) -> None:
        self.number: int | None = None
        self._signals = signals
        self._error = error
        self._after_imports = after_imports
        self._asked_at = 0.0
        self._block_is_running = False
        self._is_postponed = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take over the signals during the block, where Python allows it: in the main thread."""
        with _handled_by(self._on_signal, self._signals, also_restored=(signal.SIGALRM,)):
            yield

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Have a request end the block, by an error out of what it is doing.

        Not out of where the error would be lost or would leave something half made: `__del__`,
        whose errors Python drops, and the compilers, whose objects then fail while they are
        collected. There it waits until they are through. An error out of the making of a compiled
        function's result is a SystemError by the time it gets here.
        """
        try:
            self._block_is_running = True
            if self.number is not None:
                raise self._error(self.number)
            yield
        except SystemError as error:
            if self.number is None:
                raise
            raise self._error(self.number) from error
        finally:
            self._block_is_running = False
            if self._is_postponed:
                signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None:
            # SLURM and shells send one request several times: to the job, the step, the group.
            is_repeated = now - self._asked_at < ONE_REQUEST_SECONDS
            if number != signal.SIGINT and is_repeated:
                return
            os._exit(of_signal(number))
        self.number, self._asked_at = number, now
        self._end_block(number, frame)

    def _end_block(self, number: int, frame: FrameType | None) -> None:
        if not self._block_is_running:
            return
        if self._may_be_left(frame):
            raise self._error(number)
        self._is_postponed = True
        signal.signal(signal.SIGALRM, lambda _, later: self._end_block(number, later))
        signal.setitimer(signal.ITIMER_REAL, LATER_SECONDS)

    def _may_be_left(self, frame: FrameType | None) -> bool:
        while frame is not None:
            code = frame.f_code
            module = str(frame.f_globals.get("__name__", ""))
            if code.co_name == "__del__" or module.partition(".")[0] in COMPILERS:
                return False
            if self._after_imports and code.co_filename.startswith(IMPORTING):
                return False
            frame = frame.f_back
        return True


@contextmanager
def handed_on(
    to: Callable[[int], object], *, later_to: Callable[[int], object] | None = None
) -> Iterator[list[int]]:
    """Have SIGINT and SIGTERM call `to` while the block goes on; give those that have come.

    For a process that waits for others: it asks them what it was asked and ends when they have.
    A signal after the first calls `later_to`, where that is given.
    """
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1 and later_to is not None:
            later_to(number)
        else:
            to(number)

    with _handled_by(on_signal, (signal.SIGINT, signal.SIGTERM)):
        yield received


def end_orderly(number: int, frame: FrameType | None = None) -> NoReturn:
    """End the process with the status of a signal, through its `finally` blocks: a handler."""
    raise SystemExit(of_signal(number))


def end_at_once(number: int, frame: FrameType | None = None) -> NoReturn:
    """End the process with the status of a signal, whatever it is doing: a handler."""
    os._exit(of_signal(number))


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], object],
    numbers: Iterable[int],
    *,
    also_restored: Iterable[int] = (),
) -> Iterator[None]:
    """Give signals to a handler during the block, where Python allows it: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    before |= {number: signal.getsignal(number) for number in also_restored}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
