"""Rewards divided by the running deviation of discounted returns, as SB3's VecNormalize does it.

To the bit: sums are taken in numpy's order. Shapes: S seeds, E environments of a seed.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]

_ABREAST = 8
_LONGEST = 128


@compiled
def sum_of(values: Floats) -> float:
    """Return the sum of `values` (E,), added in the order in which numpy adds them."""
    n = values.shape[0]
    if n < _ABREAST:
        few = 0.0
        for i in range(n):
            few += float(values[i])
        return few
    if n > _LONGEST:
        half = n // 2
        half -= half % _ABREAST
        return sum_of(values[:half]) + sum_of(values[half:])
    parts = values[:_ABREAST].copy()
    whole = n - n % _ABREAST
    for i in range(_ABREAST, whole, _ABREAST):
        for j in range(_ABREAST):
            parts[j] += values[i + j]
    low = (parts[0] + parts[1]) + (parts[2] + parts[3])
    total = float(low + ((parts[4] + parts[5]) + (parts[6] + parts[7])))
    for i in range(whole, n):
        total += float(values[i])
    return total


@compiled
def scale_rewards(
    rewards: Floats32,
    returns: Floats,
    mean: Floats,
    variance: Floats,
    count: float,
    gamma: float,
    epsilon: float,
    longest: float,
    divides: bool,
) -> None:
    """Take one step's rewards into the running moments, and divide them by the deviation.

    Args:
        rewards: (S, E), replaced by those that are learned from.
        returns: Discounted, of each environment so far, (S, E), changed in place.
        mean: Running mean of the returns, (S,), changed in place.
        variance: Running variance, (S,), changed in place.
        count: Of returns in these moments.
        gamma: Discount factor per step.
        epsilon: Added to the variance.
        longest: Bound of what is learned from.
        divides: Whether rewards are divided, else the moments alone are kept.
    """
    n = float(rewards.shape[1])
    total = count + n
    for s in range(rewards.shape[0]):
        own = returns[s]
        for e in range(own.shape[0]):
            own[e] = own[e] * gamma + rewards[s, e]
        own_mean = sum_of(own) / n
        squares = own - own_mean
        squares *= squares
        own_variance = sum_of(squares) / n
        delta = own_mean - mean[s]
        mean[s] += delta * n / total
        both = variance[s] * count + own_variance * n + delta * delta * count * n / total
        variance[s] = both / total
        if divides:
            scale = math.sqrt(variance[s] + epsilon)
            for e in range(own.shape[0]):
                divided = rewards[s, e] / scale
                if divided > longest:
                    divided = longest
                elif divided < -longest:
                    divided = -longest
                rewards[s, e] = divided
