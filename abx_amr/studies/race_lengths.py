"""What short trainings say of whole ones, by the points of a race that have had both.

Shapes: a pair is one point's value after its short trainings and after its whole ones, of the same
seeds.

Bonett and Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman
correlations", Psychometrika 65 (2000).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Of fewer points a rank correlation says nothing.
FEWEST_PAIRS = 8
_NORMAL_95 = 1.959964

Pair = tuple[float, float]


@dataclass(frozen=True)
class Foresight:
    """How well a point's value after short trainings tells that after whole ones.

    Attributes:
        pairs: Of points that were trained to the end whatever their first value was, so that no
            choice has narrowed them; to maximise.
    """

    pairs: Sequence[Pair]

    @property
    def rank_correlation(self) -> float | None:
        """Spearman's; None of fewer than three points, or where all values are the same.

        >>> Foresight([(1.0, 5.0), (2.0, 6.0), (4.0, 7.0)]).rank_correlation
        1.0
        """
        if len(self.pairs) < 3:
            return None
        from scipy.stats import rankdata

        short, whole = (rankdata(values) for values in zip(*self.pairs, strict=True))
        if not (np.ptp(short) and np.ptp(whole)):
            return None
        found = float(np.corrcoef(short, whole)[0, 1])
        return round(found, 12)  # ranks alone decide, not the order of a sum

    @property
    def low(self) -> float | None:
        """The lower end of its 95 % interval (Bonett and Wright); None of fewer than four points.

        >>> round(Foresight([(float(i), float(i % 7)) for i in range(10)]).low, 2)
        -0.53
        """
        rho = self.rank_correlation
        if rho is None or len(self.pairs) < 4:
            return None
        clipped = max(-1 + 1e-9, min(1 - 1e-9, rho))
        error = math.sqrt((1 + clipped**2 / 2) / (len(self.pairs) - 3))
        return math.tanh(math.atanh(clipped) - _NORMAL_95 * error)

    @property
    def is_supported(self) -> bool:
        """Whether short trainings may choose: eight points at least, and an interval above 0."""
        low = self.low
        return len(self.pairs) >= FEWEST_PAIRS and low is not None and low > 0

    def of(self, short: float) -> float:
        """Return what a point is likely to be worth after whole trainings: a line of least squares.

        Args:
            short: Its value after short ones.
        """
        known = [pair for pair in self.pairs if all(map(math.isfinite, pair))]
        if not known or not math.isfinite(short):
            return short
        before, after = np.array(known).T
        spread = float(before.var())
        slope = 0.0
        if spread > 0:
            slope = max(0.0, float(((before - before.mean()) * (after - after.mean())).mean()))
            slope /= spread
        return float(after.mean() + slope * (short - before.mean()))


def in_a_line(race: Mapping[str, Any]) -> str | None:
    """Return what short trainings were worth in a race; None where all are equally long.

    Args:
        race: What a study's summary says of it.

    >>> in_a_line({"trainings": 75}) is None
    True
    """
    foresight = race.get("foresight")
    if not foresight:
        return None
    short, whole = race["episodes"]
    rho, low, points = (foresight[key] for key in ("rank_correlation", "low", "points"))
    known = f"{points} points"
    if rho is not None and low is not None:
        known = f"Spearman {rho:.2f}, 95 % interval from {low:.2f}, {points} points"
    start = f"short trainings ({short} of {whole} episodes)"
    if foresight["is_used"]:
        return (
            f"{start} told the ranks of whole ones ({known}): since then only the best 1 in "
            f"{race['reduction']} went on ({foresight['left_short']} did not)"
        )
    return (
        f"{start} are not known to tell the ranks of whole ones ({known}; {FEWEST_PAIRS} and an "
        "interval above 0 are asked for): every point was trained to its end"
    )
