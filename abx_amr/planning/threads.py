"""Threads that share the rows of a sweep: compiled code leaves the interpreter to others."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from abx_amr.host import processors


def share_rows(rows: int, work: Callable[[int, int], None]) -> None:
    """Call work(first, last) until all rows are done, on the processors this process may use."""
    process = os.getpid()
    threads = _threads(process)
    if threads == 1 or rows < 2 * threads:
        work(0, rows)
        return
    parts = np.linspace(0, rows, 2 * threads + 1).astype(int).tolist()
    executor = _executor(process, threads)
    for one in [executor.submit(work, first, last) for first, last in pairwise(parts)]:
        one.result()


@cache
def _threads(process: int) -> int:
    """Return how many this process may use; sweeps are shorter than asking for it."""
    return processors.available()


@cache
def _executor(process: int, threads: int) -> ThreadPoolExecutor:
    """Return this process's threads: those of the process that it was forked from are not there."""
    return ThreadPoolExecutor(threads, thread_name_prefix="planning")
