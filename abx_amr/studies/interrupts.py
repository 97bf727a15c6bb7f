"""Signals that ask a worker to stop, and where in a running trial they may be obeyed.

The first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 (what SLURM sends before a time limit) asks; a later
one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
ONE_REQUEST_SECONDS = 1.0
LATER_SECONDS = 0.01
COMPILERS = ("numba", "llvmlite")


class InterruptError(BaseException):
    """A signal arrived while a trial was running; not an Exception, so that no trial catches it."""


class Interrupts:
    """What a worker was asked while it ran.

    Attributes:
        number: the signal, None as long as nobody asked. Other kinds of request may be noted here
            too, by the signal they amount to.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._asked_at = 0.0
        self._block_is_running = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take over the signals during the block, where Python allows it: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Have a request end the block, by an InterruptError out of what it is doing.

        Not out of where the error would be lost or would leave something half made: `__del__`,
        whose errors Python drops, and the compilers, whose objects then fail while they are
        collected. There it waits until they are through.
        """
        try:
            self._block_is_running = True
            if self.number is not None:
                raise InterruptError
            yield
        finally:
            self._block_is_running = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is not None:
            # SLURM and shells send one request several times: to the job, the step, the group.
            is_repeated = now - self._asked_at < ONE_REQUEST_SECONDS
            if number != signal.SIGINT and is_repeated:
                return
            os._exit(128 + number)
        self.number, self._asked_at = number, now
        self._end_block(frame)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        self._end_block(frame)

    def _end_block(self, frame: FrameType | None) -> None:
        if not self._block_is_running:
            return
        if _may_be_left(frame):
            raise InterruptError
        signal.setitimer(signal.ITIMER_REAL, LATER_SECONDS)


def _may_be_left(frame: FrameType | None) -> bool:
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name == "__del__" or module.partition(".")[0] in COMPILERS:
            return False
        frame = frame.f_back
    return True
