"""How much memory a process may have at most."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_GIB = 1024**3


def total_bytes() -> int:
    """Return the machine's memory, or what a control group or a limit leaves of it."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        found.append(limit)
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = Path("/sys/fs/cgroup", file).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if text.isdecimal():
            found.append(int(text))
    return min(found)


def in_gib(size: float) -> str:
    """Return a size in bytes as it is read.

    >>> in_gib(3 * 1024**3), in_gib(5e15)
    ('3.0 GiB', '4.7e+06 GiB')
    """
    gib = size / _GIB
    return f"{gib:.1f} GiB" if gib < 1000 else f"{gib:.2g} GiB"
