"""Tables of a page: columns, and cells with what is shown and what they are sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from abx_amr.reports import wording


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, what its heading means."""

    name: str
    numeric: bool = False
    title: str | None = None


@dataclass(frozen=True)
class Cell:
    """What is shown, and what the row is sorted by where that is another thing."""

    text: str
    key: float | str | None = None


def numbers(value: Any, digits: int = 2) -> Cell:
    """Return a number with so many decimals, sorted by all of them.

    >>> numbers(1.23456)
    Cell(text='1.23', key=1.23456)
    """
    return Cell(wording.number(value, digits), float(value) if wording.is_known(value) else None)


def signed(value: Any, digits: int = 2) -> Cell:
    """Return a difference with its sign."""
    return Cell(wording.signed(value, digits), float(value) if wording.is_known(value) else None)


def intervals(ends: Sequence[Any] | None, digits: int = 2) -> Cell:
    """Return an interval, sorted by its lower end."""
    known = ends is not None and len(ends) == 2 and wording.is_known(ends[0])
    return Cell(
        wording.interval(ends, digits), float(ends[0]) if known and ends is not None else None
    )


def with_interval(
    value: Any, ends: Sequence[Any] | None, digits: int = 2, *, is_signed: bool = False
) -> Cell:
    """Return a number with its interval behind it, sorted by the number.

    >>> with_interval(1.5, (1, 2)).text, with_interval(1.5, None, 1, is_signed=True).text
    ('1.50 (1.00 to 2.00)', '+1.5')
    """
    cell = signed(value, digits) if is_signed else numbers(value, digits)
    within = wording.over_episodes(ends, digits)
    return cell if within == wording.MISSING else Cell(f"{cell.text} ({within})", cell.key)


def levels(level: Any) -> Cell:
    """Return a level of resistance in percent, sorted by all of its digits.

    >>> levels(0.00751)
    Cell(text='0.75 %', key=0.00751)
    """
    return Cell(wording.amr(level), float(level) if wording.is_known(level) else None)


def setting(value: Any) -> Cell:
    """Return a setting's value, a number among them sorted as one."""
    return Cell(wording.value(value), float(value) if wording.is_known(value) else None)


def short_setting(value: Any) -> Cell:
    """Return a setting's value in few digits, sorted by all of them."""
    return Cell(wording.short(value), float(value) if wording.is_known(value) else None)


Table = tuple[list[Column], list[list[Any]]]


@dataclass(frozen=True)
class KeyFigure:
    """A number that stands by itself: what it is, how much, how sure or of what."""

    name: str
    value: str
    detail: str = ""
