"""Values of points that have differently many seeds, made comparable: drawn to their middle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

#: Of as many points as this, at least, the spread between and within points can be told apart.
FEWEST_POINTS = 4


def shrunken(
    values: Mapping[int, float], returns: Mapping[int, Sequence[float | None]]
) -> Mapping[int, float]:
    """Return each point's value, drawn to the middle of all the more the fewer seeds it has.

    By the variance of points (their quartiles) and of seeds (pooled over the better half):
    v' = m + (v - m) t / (t + s / n). A value of two seeds is thus never the best by luck alone.

    Args:
        values: Number of a point -> its value, to maximise; infinite ones stay.
        returns: The same numbers -> what its seeds gave, None for one that failed.
    """
    finite = {number: value for number, value in values.items() if math.isfinite(value)}
    if len(finite) < FEWEST_POINTS:
        return values
    better = sorted(finite, key=lambda number: -finite[number])[: max(3, len(finite) // 2)]
    variances = [_variance(returns[number]) for number in better]
    known = [variance for variance in variances if variance is not None]
    if not known:
        return values
    of_seeds = math.fsum(known) / len(known)
    shares = {number: of_seeds / len(returns[number]) for number in finite}
    low, middle, high = np.quantile([*finite.values()], [0.25, 0.5, 0.75])
    noise = math.fsum(shares.values()) / len(shares)
    of_points = max(((high - low) / 1.349) ** 2 - noise, 1e-6 * of_seeds)  # of a normal's
    if of_points <= 0:  # every seed of every point gave the same
        return values
    return {
        number: float(middle + (value - middle) * of_points / (of_points + shares[number]))
        if number in finite
        else value
        for number, value in values.items()
    }


def _variance(returns: Sequence[float | None]) -> float | None:
    found = [value for value in returns if value is not None]
    return float(np.var(found, ddof=1)) if len(found) > 1 else None
