"""How often a command collects garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects between two collections, and collections of these to one of what is older. With
#: Python's own 700 the young are collected hundreds of times while libraries are loaded; the old
#: ones are collected about as often as with its 10 and 10.
SELDOM = (50_000, 2, 2)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Collect garbage seldom during the block."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
