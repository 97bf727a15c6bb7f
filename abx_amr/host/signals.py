"""Signals that ask a command or a worker to stop, and where in its work they may be obeyed.

The first signal asks; a later one ends the process at once. A worker takes SIGUSR1 and SIGUSR2
too (what SLURM sends before a time limit). A process that waits for others hands on what it is
asked.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Self

from abx_amr.host.exit_codes import of_signal

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
ONE_REQUEST_SECONDS = 1.0
ONE_KEY_SECONDS = 0.1  #: nobody presses Ctrl-C twice within it; timeout(1) sends SIGINT twice
LATER_SECONDS = 0.01
FRAGILE = ("numba", "llvmlite", "zipfile")  #: what they leave half made fails afterwards
WAKING = ("notify", "notify_all")  #: of threading.Condition
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
        self._raised: BaseException | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take over the signals during the block, where Python allows it: in the main thread."""
        with _handled_by(self._on_signal, self._signals, also_restored=(signal.SIGALRM,)):
            yield

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Have a request end the block, by an error out of what it is doing.

        Not out of where the error would be lost or would leave something half made: `__del__`,
        whose errors Python drops; the compilers, whose objects then fail while they are
        collected; the writing of an archive, which then cannot be closed; and what wakes another
        thread, which then sleeps on (TensorBoard's writer for two minutes, and whoever closes it).
        There it waits until they are through. What Python drops elsewhere (out of the
        callback of a weak reference) is raised again. An error out of the making of a compiled
        function's result is a SystemError by the time it gets here.
        """
        earlier_hook = sys.unraisablehook

        def on_dropped(dropped: UnraisableHookArgs) -> None:
            if dropped.exc_value is None or dropped.exc_value is not self._raised:
                earlier_hook(dropped)
            elif self._block_is_running and self.number is not None:
                self._end_block_later(self.number)

        try:
            self._block_is_running = True
            sys.unraisablehook = on_dropped
            if self.number is not None:
                raise self._error(self.number)
            yield
        except SystemError as error:
            if self.number is None:
                raise
            raise self._error(self.number) from error
        finally:
            self._block_is_running = False
            self._raised = None  # it holds the frames that it left
            if sys.unraisablehook is on_dropped:
                sys.unraisablehook = earlier_hook
            if self._is_postponed:
                signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None:
            # SLURM and shells send one request several times: to the job, the step, the group.
            seconds = ONE_KEY_SECONDS if number == signal.SIGINT else ONE_REQUEST_SECONDS
            if now - self._asked_at < seconds:
                return
            os._exit(of_signal(number))
        self.number, self._asked_at = number, now
        self._end_block(number, frame)

    def _end_block(self, number: int, frame: FrameType | None) -> None:
        if not self._block_is_running:
            return
        if not self._may_be_left(frame):
            self._end_block_later(number)
            return
        self._raised = self._error(number)
        raise self._raised

    def _end_block_later(self, number: int) -> None:
        self._is_postponed = True
        signal.signal(signal.SIGALRM, lambda _, frame: self._end_block(number, frame))
        signal.setitimer(signal.ITIMER_REAL, LATER_SECONDS)

    def _may_be_left(self, frame: FrameType | None) -> bool:
        while frame is not None:
            code = frame.f_code
            module = str(frame.f_globals.get("__name__", ""))
            if code.co_name == "__del__" or module.partition(".")[0] in FRAGILE:
                return False
            if module == "threading" and code.co_name in WAKING:
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
    A signal after the first calls `later_to`, where that is given; the same one at once is none.
    """
    received: list[int] = []
    asked_at = 0.0

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        now = time.monotonic()
        if number in received and now - asked_at < ONE_KEY_SECONDS:
            return
        asked_at = now
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
