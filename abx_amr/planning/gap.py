"""How far from the optimum a result is, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def gap_line(summary: Mapping[str, Any]) -> str:
    """Return what a run's summary says of the optimum.

    >>> gap_line({"optimality_gap": 20.67, "share_of_range": 0.798, "optimum": -179.56,
    ...           "optimum_note": None})
    'optimality gap 20.67 to the optimum -179.56 (79.8% of the range from never treating)'
    >>> gap_line({"optimality_gap": -7.74, "share_of_range": 1.03, "optimum": -51.83,
    ...           "optimum_note": None})
    'optimality gap -7.74 to the optimum -51.83 (none is better: these episodes were easy)'
    """
    gap, share = summary.get("optimality_gap"), summary.get("share_of_range")
    note = summary.get("optimum_note")
    if gap is None:
        return f"optimality gap: {note}"
    reached = "" if share is None else f" ({share:.1%} of the range from never treating)"
    if share is not None and share < 0:
        reached = " (worse than never treating)"
    if gap < 0:
        reached = " (none is better: these episodes were easy)"
    if note and "between" in note:
        return f"optimality gap {gap:.2f} to the {note}{reached}"
    return f"optimality gap {gap:.2f} to the {note or 'optimum'} {summary['optimum']:.2f}{reached}"
