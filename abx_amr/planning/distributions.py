"""Chances and quantiles of the normal and of Student's t distribution, from SciPy.

SciPy's functions are loaded by whoever calls one, not by whoever might: it takes as long as all of
the planner.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", float, NDArray[np.float64])


def normal_chance(z: Values) -> Values:
    """Return the chance that a standard normal is at most `z`, of the same shape.

    >>> float(normal_chance(0.0))
    0.5
    """
    from scipy.special import ndtr

    chance: Values = ndtr(z)
    return chance


def normal_quantile(chance: Values) -> Values:
    """Return the value that a standard normal is at most with each chance, of the same shape.

    >>> float(normal_quantile(0.5))
    0.0
    """
    from scipy.special import ndtri

    value: Values = ndtri(chance)
    return value


def t_quantile(freedom: int, chance: float) -> float:
    """Return the value that a t-distributed one of so many degrees of freedom is at most.

    >>> round(t_quantile(9, 0.975), 3)
    2.262
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, chance))
