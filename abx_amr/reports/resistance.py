"""Resistance at the end of an episode, of a prescriber and of the best rule, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from abx_amr.reports.clinical import antibiotics_of
from abx_amr.reports.wording import amr, is_known, rule

Levels = Mapping[str, float]


def levels_at_end(episodes: pd.DataFrame | None) -> dict[str, float]:
    """Return antibiotic -> mean true resistance at the end of the episodes of a table."""
    if episodes is None or episodes.empty:
        return {}
    names = antibiotics_of(episodes)
    return {name: float(episodes[f"final_true_amr_{name}"].mean()) for name in names}


def levels_of(told: Any) -> dict[str, float]:
    """Return antibiotic -> level of what a file holds, without what is none.

    >>> levels_of({"A": 0.5, "B": None}), levels_of(None)
    ({'A': 0.5}, {})
    """
    known = told if isinstance(told, Mapping) else {}
    return {str(name): float(level) for name, level in known.items() if is_known(level)}


def in_words(ours: Levels, theirs: Levels, name: object, *, whose: str = "it") -> str | None:
    """Return in a sentence what share of infections resists at the end; None where it is not known.

    Args:
        ours: Of the prescriber.
        theirs: Of the best rule, on the same episodes; empty where that was not kept.
        name: Of that rule.
        whose: What the prescriber is called.

    >>> print(in_words({"A": 0.12}, {"A": 0.02}, "greedy"))
    At the end of an episode of it, 12 % of infections resist A; under the best rule, greedy: 2 % A.
    """
    if not ours:
        return None
    text = f"At the end of an episode of {whose}, {_listed(ours, 'of infections resist ')}"
    if theirs:
        return f"{text}; under the best rule, {rule(name)}: {_listed(theirs)}."
    return f"{text}; what the best rule leaves was not kept."


def in_short(levels: Levels) -> str:
    r"""Return the levels as a figure that stands by itself.

    >>> in_short({"A": 0.12, "B": 0.004})
    'A\xa012\xa0%, B\xa00.4\xa0%'
    """
    return ", ".join(f"{name} {amr(level)}".replace(" ", "\xa0") for name, level in levels.items())


def _listed(levels: Levels, of: str = "") -> str:
    parts = [f"{amr(level)} {of}{name}" for name, level in levels.items()]
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
