"""How far a computation is, told to whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TypeVar

#: Called with a phase, how much of it is done, and how much there is of it; 0: nobody knows.
OnProgress = Callable[[str, int, int], None]
_T = TypeVar("_T")


def counting(on_progress: OnProgress | None, phase: str, items: Sequence[_T]) -> Iterator[_T]:
    """Yield the items; tell how many are done, before the first and after each.

    >>> list(counting(print, "step", "ab"))
    step 0 2
    step 1 2
    step 2 2
    ['a', 'b']
    """
    if on_progress is None:
        yield from items
        return
    on_progress(phase, 0, len(items))
    for done, item in enumerate(items, start=1):
        yield item
        on_progress(phase, done, len(items))


def rounds(on_progress: OnProgress | None, phase: str) -> Iterator[int]:
    """Yield 0, 1, 2 ... for as long as it takes; tell which is under way, the first being 1.

    >>> next(rounds(print, "round"))
    round 1 0
    0
    """
    for done in count():
        if on_progress is not None:
            on_progress(phase, done + 1, 0)
        yield done


def within(on_progress: OnProgress | None, name: str) -> OnProgress | None:
    """Return what tells the phases of a part under the part's name.

    >>> within(print, "optimum")("step", 1, 2)
    optimum: step 1 2
    """
    if on_progress is None:
        return None
    tell = on_progress
    return lambda phase, done, total: tell(f"{name}: {phase}", done, total)
