"""What a result is worth in expectation, without the luck of the episodes that were played.

The regret of a prescriber's choices, summed over an episode, is in expectation what it earns less
than the optimum (Kakade and Langford 2002, lemma 6.1): the optimum less its mean over the episodes
is an estimate of the expected return whose spread is a small part of that of the returns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abx_amr.reports.wording import has_no_width, interval, is_known, number

_REACH = 1.96  # standard errors on either side, of a mean over many episodes
_FEW = 100  # episodes, below which a mean return is luck in good part


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An expected value: its mean and its 95 % interval, of no width where it is exact."""

    mean: float
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """The interval."""
        return self.low, self.high

    @property
    def is_exact(self) -> bool:
        """Whether no chance is left in it."""
        return has_no_width(self.ends)

    @property
    def within(self) -> str:
        """The interval; that it is exact where no chance is left in the value."""
        return "exact" if self.is_exact else interval(self.ends)

    @property
    def how_sure(self) -> str:
        """The same, and what it is an interval of."""
        return self.within if self.is_exact else f"95 % interval {self.within}"

    @property
    def reach(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def expected_return(summary: Mapping[str, Any]) -> Expected | None:
    """Return what a run earns in expectation; None where its choices were not held to the optimum.

    >>> expected_return({"optimum": -90.0, "agreement": {"expected_gap": 4.0,
    ...                  "expected_gap_interval_95": [3.0, 5.0], "note": None}})
    Expected(mean=-94.0, low=-95.0, high=-93.0)
    """
    optimum, found = summary.get("optimum"), summary.get("agreement")
    if not is_known(optimum) or summary.get("optimum_note") or not isinstance(found, dict):
        return None
    gap, ends = found.get("expected_gap"), found.get("expected_gap_interval_95") or (None, None)
    if not is_known(gap) or found.get("note"):
        return None
    low, high = known_ends(ends, around=gap)
    return Expected(mean=optimum - gap, low=optimum - high, high=optimum - low)


def known_ends(ends: Sequence[Any], *, around: float) -> tuple[float, float]:
    """Return an interval, one without a width where a file tells none.

    >>> known_ends((1, 2), around=1.5), known_ends((None, None), around=1.5)
    ((1, 2), (1.5, 1.5))
    """
    low, high = ends if len(ends) == 2 else (None, None)
    return (low, high) if is_known(low) and is_known(high) else (around, around)


def expected_of_rules(rule: Mapping[str, Any] | None) -> dict[str, Expected]:
    """Return rule -> what it earns in expectation, as far as a summary's `best_rule` tells it.

    Exact where chance does not move it, else over the many episodes that it was chosen by.
    """
    found = {}
    for name, told in ((rule or {}).get("expected") or {}).items():
        mean, error = told.get("mean"), told.get("standard_error")
        if is_known(mean) and is_known(error):
            reach = _REACH * error
            found[str(name)] = Expected(mean=mean, low=mean - reach, high=mean + reach)
    return found


def difference(first: Expected, second: Expected) -> Expected:
    """Return first less second, of independent errors.

    >>> difference(Expected(mean=5, low=2, high=8), Expected(mean=1, low=-3, high=5))
    Expected(mean=4, low=-1.0, high=9.0)
    """
    mean, reach = first.mean - second.mean, math.hypot(first.reach, second.reach)
    return Expected(mean=mean, low=mean - reach, high=mean + reach)


def against_best_rule(summary: Mapping[str, Any]) -> Expected | None:
    """Return what a run earns more than the best rule in expectation, where both are known."""
    ours, rule = expected_return(summary), summary.get("best_rule")
    if ours is None or not isinstance(rule, Mapping):
        return None
    theirs = expected_of_rules(rule).get(str(rule.get("name")))
    return None if theirs is None else difference(ours, theirs)


def luck_of(episodes: Any) -> str:
    """Return what a mean over so many episodes is called beside an expectation.

    >>> luck_of(10), luck_of(500)
    ('the luck of ten episodes', 'what is left of luck in 500 episodes')
    """
    if not is_known(episodes):
        return "the luck of its episodes"
    if episodes >= _FEW:
        return f"what is left of luck in {number(episodes, 0)} episodes"
    count = {1: "one episode", 10: "ten episodes"}.get(int(episodes), f"{int(episodes)} episodes")
    return f"the luck of {count}"


def is_mostly_luck(summary: Mapping[str, Any]) -> bool:
    """Return whether a mean return is over few episodes."""
    episodes = summary.get("evaluation_episodes")
    return is_known(episodes) and episodes < _FEW
