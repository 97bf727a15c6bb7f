"""Numbers as the commands print them; what is not known of a sample is '-'."""

from __future__ import annotations

import math


def figure(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals, '-' for None and nan.

    >>> figure(1.2345), figure(1.2345, 3), figure(None), figure(float("nan"))
    ('1.23', '1.234', '-', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return an interval, '-' where the sample is too small to have one.

    >>> interval(-1.0, 2.5), interval(None, None)
    ('-1.00 to 2.50', '-')
    """
    if "-" in (found := (figure(low, digits), figure(high, digits))):
        return "-"
    return " to ".join(found)
