"""Processes that compute, so that no page waits for a clinic, and no clinic for a page."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from abx_amr.errors import InputError

T = TypeVar("T")


class SupersededError(Exception):
    """What was asked for is no longer wanted: the same place has asked for something newer."""


class Worker:
    """One process that does one thing after the other.

    Args:
        executor: What makes it; a thread does for a test.
    """

    def __init__(self, executor: Callable[[], Executor] | None = None) -> None:
        self._make = executor or _one_process
        self._executor: Executor | None = None
        self._turn = asyncio.Lock()
        self._newest: dict[str, int] = {}
        self._count = 0

    async def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Return what a function returns there.

        Raises:
            InputError: what it raises, also where the process has died of it.
        """
        async with self._turn:
            return await self._run(function, arguments)

    async def newest(self, who: str, function: Callable[..., T], *arguments: object) -> T:
        """Return what a function returns, unless `who` asks for something newer meanwhile.

        Raises:
            SupersededError: it has; nothing was computed.
        """
        self._count += 1
        mine = self._newest[who] = self._count
        async with self._turn:
            if self._newest.get(who) != mine:
                raise SupersededError
            return await self._run(function, arguments)

    async def _run(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        self._executor = self._executor or self._make()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, function, *arguments)
        except BrokenProcessPool:
            self.close()
            raise InputError(
                "the computation ended its process: a class of this project?"
            ) from None

    def close(self) -> None:
        """End the process."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _one_process() -> Executor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Leave Ctrl-C to the application, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
