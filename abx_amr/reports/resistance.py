"""Resistance at the end of an episode, of a prescriber and of the best rule, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from abx_amr.reports.clinical import antibiotics_of
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.wording import amr, is_known, rule

Levels = Mapping[str, float]
_SHORT = 20  # characters of a figure that stands by itself


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
    At the end of an episode under it, 12 % of infections resist A. Under the best rule, greedy, 2 % resist A.
    """  # noqa: E501
    if not ours:
        return None
    text = f"At the end of an episode under {whose}, {_listed(ours, ' of infections')}."
    if theirs:
        return f"{text} Under the best rule, {rule(name)}, {_listed(theirs)}."
    return f"{text} What the best rule leaves was not kept."


def aim_in_words(config: Mapping[str, Any]) -> str | None:
    """Return whether a low resistance is an aim in itself; None where that is not known.

    Args:
        config: Of the run or the study.
    """
    weight = (config.get("reward_calculator") or {}).get("lambda_weight")
    if not is_known(weight):
        return None
    if weight:
        return f"Resistance itself counts in the reward, by a weight of {weight:g}."
    return (
        "Resistance itself does not count in the reward (lambda_weight 0), only the cures that it "
        "costs before the episode ends: a policy nearer to the optimum may well leave more of it."
    )


def key_figure(levels: Levels) -> KeyFigure:
    r"""Return the levels as a figure that stands by itself: each, or of long names the highest.

    >>> key_figure({"A": 0.12, "B": 0.004}).value
    'A\xa012\xa0%, B\xa00.4\xa0%'
    >>> found = key_figure({"amoxicillin clavulanate": 0.12, "meropenem": 0.004})
    >>> found.value, found.detail
    ('12 %', 'amoxicillin clavulanate 12 %, meropenem 0.4 %')
    """
    name = "AMR at the end of an episode"
    each = ", ".join(f"{drug} {amr(level)}" for drug, level in levels.items())
    if len(each) <= _SHORT:
        each = ", ".join(part.replace(" ", "\xa0") for part in each.split(", "))
        return KeyFigure(name, each)
    return KeyFigure(f"highest mean {name}", amr(max(levels.values())), each)


def _listed(levels: Levels, of: str = "") -> str:
    """Return what share of infections resists each antibiotic; of what is said once."""
    parts = [
        f"{amr(level)}{of * (place == 0)} resist {name}"
        for place, (name, level) in enumerate(levels.items())
    ]
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
