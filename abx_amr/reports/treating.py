"""How many patients a prescriber treats, and with what, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.reports.wording import amr, is_known


def treated_in_words(told: Any, *, whose: str) -> str | None:
    """Return what share of the patients gets which antibiotic; None where that was not kept.

    Args:
        told: How many got which antibiotic (`given`), and `none`.
        whose: What the prescriber is called.

    >>> treated_in_words({"given": {"A": 40, "B": 12}, "none": 48}, whose="trial 2")
    'Trial 2 treats 52 % of patients: 40 % get A and 12 % get B'
    >>> treated_in_words({"given": {"A": 0}, "none": 48}, whose="it")
    'It treats no patient'
    """
    counts = _counts(told)
    if counts is None:
        return None
    given, total = counts
    who = whose[:1].upper() + whose[1:]
    treated = sum(given.values())
    if not treated:
        return f"{who} treats no patient"
    *most, last = [f"{amr(count / total)} get {name}" for name, count in given.items()]
    each = f"{', '.join(most)} and {last}" if most else last
    return f"{who} treats {amr(treated / total)} of patients: {each}"


def _counts(told: Any) -> tuple[dict[str, int], int] | None:
    """Return how many patients got each antibiotic, and how many there were; None: not kept."""
    given = told.get("given") if isinstance(told, Mapping) else None
    if not isinstance(given, Mapping) or not is_known(untreated := told.get("none")):
        return None
    known = {str(name): int(count) for name, count in given.items() if is_known(count)}
    total = sum(known.values()) + int(untreated)
    return (known, total) if known and total > 0 else None
