"""What a user can do wrong, as an exception: one line, shown without a traceback, exit status 2."""

from __future__ import annotations

import math
from typing import Any


class InputError(ValueError):
    """A mistake in what the user gave: what it is, which value, what would be right."""


def cure(value: Any, low: float = -math.inf, high: float = math.inf) -> str:
    """Return what was probably meant: a share for a percentage, a number for a text.

    >>> cure(35, 0, 1), cure("0.3", 0, 1), cure(-1, 0, 1)
    ('; 35 % is written 0.35', '; a number is written without quotes', '')
    """
    if isinstance(value, bool):
        return ""
    if isinstance(value, str):
        try:
            float(value.strip("'\""))
        except ValueError:
            return ""
        return "; a number is written without quotes"
    if isinstance(value, int | float) and high == 1 and low >= 0 and 2 <= value <= 100:
        return f"; {value:g} % is written {value / 100:g}"
    return ""


def first_line(error: BaseException) -> str:
    r"""Return the first line of what an exception says, its class where it says nothing.

    >>> first_line(ValueError("a: b\nc")), first_line(KeyError())
    ('a: b', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
