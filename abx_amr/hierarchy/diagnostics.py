"""What a manager does: tables from the decisions of an evaluation.

Every decision carries its own reward, so that an option is credited with what it earned, and
sequences never cross from one episode into the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

QUARTILES = ("lowest", "second", "third", "highest")


def option_usage(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return one row per option, those never chosen included.

    Columns: option, decisions, share_of_decisions, steps, share_of_steps, clipped, mean_duration,
    reward_per_decision, reward_per_step; the means of an option never chosen are nan.

    Args:
        decisions: One row per decision: option (categorical), duration, option_clipped, reward.
    """
    grouped = decisions.groupby("option", observed=False)
    table = pd.DataFrame(
        {
            "decisions": grouped.size(),
            "steps": grouped["duration"].sum(),
            "clipped": grouped["option_clipped"].sum(),
            "reward": grouped["reward"].sum(),
        }
    )
    chosen = table["decisions"].where(table["decisions"] > 0)
    steps = table["steps"].where(table["steps"] > 0)
    return pd.DataFrame(
        {
            "decisions": table["decisions"],
            "share_of_decisions": table["decisions"] / max(len(decisions), 1),
            "steps": table["steps"],
            "share_of_steps": table["steps"] / max(int(table["steps"].sum()), 1),
            "clipped": table["clipped"],
            "mean_duration": table["steps"] / chosen,
            "reward_per_decision": table["reward"] / chosen,
            "reward_per_step": table["reward"] / steps,
        }
    ).reset_index()


def option_by_amr(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return P(option | quartile of the visible AMR at the decision), per antibiotic.

    Columns: antibiotic, quartile, low, high (levels in it), decisions, option, probability. Equal
    levels lie in the quartile of their mean rank, so that quartiles may be empty; these are left
    out.

    Args:
        decisions: One row per decision: option, visible_amr_<antibiotic>.
    """
    rows = []
    prefix = "visible_amr_"
    for column in (c for c in decisions.columns if c.startswith(prefix)):
        levels = decisions[column].to_numpy(dtype=np.float64)
        ranks = decisions[column].rank(method="average").to_numpy(dtype=np.float64)
        quartile = np.floor(4.0 * (ranks - 0.5) / len(levels))
        for q, name in enumerate(QUARTILES):
            inside = decisions[quartile == q]
            if inside.empty:
                continue
            share = inside["option"].value_counts(normalize=True, sort=False)
            for option in decisions["option"].cat.categories:
                rows.append(
                    {
                        "antibiotic": column.removeprefix(prefix),
                        "quartile": name,
                        "low": float(levels[quartile == q].min()),
                        "high": float(levels[quartile == q].max()),
                        "decisions": len(inside),
                        "option": option,
                        "probability": float(share[option]),
                    }
                )
    return pd.DataFrame(rows)


def option_transitions(decisions: pd.DataFrame) -> pd.DataFrame:
    """Return how often each option followed each, within episodes, (O, O): rows before, columns.

    Args:
        decisions: One row per decision: episode, decision, option (categorical).
    """
    names = list(decisions["option"].cat.categories)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for codes in _sequences(decisions):
        np.add.at(counts, (codes[:-1], codes[1:]), 1)
    table = pd.DataFrame(counts, index=names, columns=names)
    table.index.name = "option"
    return table


def option_trigrams(decisions: pd.DataFrame, *, top: int = 20) -> pd.DataFrame:
    """Return the commonest three options in a row, within episodes.

    Columns: first, second, third, count, share (of all trigrams); commonest first, then by name.

    Args:
        decisions: One row per decision: episode, decision, option (categorical).
        top: How many.
    """
    names = list(decisions["option"].cat.categories)
    found: Counter[tuple[int, int, int]] = Counter()
    for codes in _sequences(decisions):
        found.update(
            zip(codes[:-2].tolist(), codes[1:-1].tolist(), codes[2:].tolist(), strict=True)
        )
    total = max(sum(found.values()), 1)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:top]
    rows = [(*(names[o] for o in trigram), count, count / total) for trigram, count in ordered]
    return pd.DataFrame(rows, columns=["first", "second", "third", "count", "share"])


def _sequences(decisions: pd.DataFrame) -> Sequence[np.ndarray]:
    """Return the options of each episode in order, as codes."""
    ordered = decisions.sort_values(["episode", "decision"])
    codes = ordered["option"].cat.codes.to_numpy()
    return [
        codes[rows] for rows in ordered.reset_index(drop=True).groupby("episode").indices.values()
    ]
