"""What comes of a prescriber in clinical words: per 1,000 patients, with intervals, in pairs.

Shapes: N episodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abx_amr.evaluation.statistics import (
    Interval,
    PairedDifference,
    bootstrap_interval,
    paired_difference,
)

Floats = NDArray[np.float64]
Wanted = Literal["more", "less", "neither"]

PATIENTS = (
    *("treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"),
    *("untreated_infected", "untreated_not_infected"),
)
PER_1000 = "per 1,000 patients"
PERCENT = "% of infections"
PER_EPISODE = "per episode"
#: Column of an evaluation -> what it counts, and what is better.
COUNTS: dict[str, tuple[str, Wanted]] = {
    "benefits": ("infections that resolved, treated or not (benefits)", "more"),
    "recoveries": ("of these, without an antibiotic", "neither"),
    "failures": ("infections that did not resolve and took a bad course (failures)", "less"),
    "adverse_events": ("adverse events of an antibiotic", "less"),
}
WASTED: dict[str, tuple[str, Wanted]] = {
    "treated_not_infected": ("antibiotics given without an infection", "less"),
    "treated_infected_resistant": ("antibiotics given for an infection resistant to them", "less"),
    "untreated_infected": ("infected patients given no antibiotic", "neither"),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One outcome of a prescriber, its interval over episodes, and its difference from a rule.

    Attributes:
        name: What is counted.
        unit: Of what.
        value: Mean over episodes.
        interval: 95 %, by bootstrap over episodes; nan for a single one.
        wanted: Whether more of it is better.
        rule: The rule's mean on the same episodes; None where no rule played them.
        rule_interval: Of that mean, as `interval`.
        difference: Paired, prescriber minus rule.
    """

    name: str
    unit: str
    value: float
    interval: Interval
    wanted: Wanted
    rule: float | None = None
    rule_interval: Interval | None = None
    difference: PairedDifference | None = None

    @property
    def verdict(self) -> str:
        """Return whether it does better than the rule; empty where that is no matter."""
        if self.difference is None or self.wanted == "neither":
            return ""
        low, high = self.difference.interval
        if not (low > 0 or high < 0):
            return "no clear difference"
        return "better" if (low > 0) == (self.wanted == "more") else "worse"


def outcomes_of(episodes: pd.DataFrame, rule: pd.DataFrame | None = None) -> list[Outcome]:
    """Return the outcomes of a prescriber, in the order of a card.

    Args:
        episodes: One row per episode: the columns of `Evaluation.episodes`.
        rule: The same of another prescriber, on the same episodes.
    """
    names = antibiotics_of(episodes)
    rows: list[tuple[str, str, Wanted, list[str], float | None]] = [
        (text, PER_1000, wanted, [column], None) for column, (text, wanted) in COUNTS.items()
    ]
    given = [f"prescriptions_{name}" for name in names]
    rows.append(("prescriptions of all antibiotics", PER_1000, "neither", given, None))
    for name, column in zip(names, given, strict=True):
        rows.append((f"prescriptions of {name}", PER_1000, "neither", [column], None))
    rows += [(text, PER_1000, wanted, [column], None) for column, (text, wanted) in WASTED.items()]
    for when, column in (("at the end", "final_true_amr"), ("on average", "mean_true_amr")):
        for name in names:
            text = f"resistance to {name} {when}"
            rows.append((text, PERCENT, "less", [f"{column}_{name}"], 100.0))
    rows.append(
        (
            "return in these episodes: the score it was trained for",
            PER_EPISODE,
            "more",
            ["episode_return"],
            1,
        )
    )
    return [_outcome(episodes, rule, *row) for row in rows]


def antibiotics_of(episodes: pd.DataFrame) -> list[str]:
    """Return the antibiotics that a table of episodes speaks of, in its order."""
    prefix = "final_true_amr_"
    return [str(c).removeprefix(prefix) for c in episodes if str(c).startswith(prefix)]


def patients_of(episodes: pd.DataFrame) -> Floats:
    """Return how many patients came in each episode, (N,)."""
    return episodes[[*PATIENTS]].sum(axis=1).to_numpy(dtype=np.float64)


def _outcome(
    episodes: pd.DataFrame,
    rule: pd.DataFrame | None,
    name: str,
    unit: str,
    wanted: Wanted,
    columns: Sequence[str],
    scale: float | None,
) -> Outcome:
    values = _values(episodes, columns, scale)
    theirs = None if rule is None else _values(rule, columns, scale)
    return Outcome(
        name=name,
        unit=unit,
        value=float(values.mean()),
        interval=bootstrap_interval(values, resamples=2_000),
        wanted=wanted,
        rule=None if theirs is None else float(theirs.mean()),
        rule_interval=None if theirs is None else bootstrap_interval(theirs, resamples=2_000),
        difference=None if theirs is None else paired_difference(values, theirs),
    )


def _values(episodes: pd.DataFrame, columns: Sequence[str], scale: float | None) -> Floats:
    """Return an outcome of each episode, (N,); by 1,000 patients where there is no scale."""
    total = episodes[[*columns]].sum(axis=1).to_numpy(dtype=np.float64)
    scaled: Floats = total * scale if scale is not None else 1000.0 * total / patients_of(episodes)
    return scaled
