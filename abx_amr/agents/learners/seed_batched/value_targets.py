"""The scale of a value function that learns targets of mean 0 and deviation 1.

The networks predict (value - mean) / deviation; mean and deviation follow the targets, and whenever
they move the last layer is rescaled so that every predicted value stays (PopArt, arXiv 1602.07714).

Shapes: N transitions, Q parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO

from abx_amr.agents.learners.seed_batched.networks import Networks

Floats32 = NDArray[np.float32]

#: How much of the moments is renewed by the targets of one update.
RENEWED = 0.1
_SMALLEST = 1e-6


class ValueScale:
    """One seed's mean and deviation of value targets; they stand in its agent, for checkpoints.

    Attributes:
        mean: Of the targets so far, weighed by how recent they are; 0 before the first.
        deviation: Likewise; 1 before the first.
    """

    def __init__(self, agent: PPO, networks: Networks) -> None:
        """Begin where the agent's stand."""
        self._agent: Any = agent
        at, _, inputs, _ = networks.layers[-1]
        self._head = slice(int(at), int(at + inputs + 1))
        moments: tuple[float, float, float] = getattr(agent, "value_moments", (0.0, 0.0, 0.0))
        self._seen, self._first, self._second = moments
        self._rescale()

    def _rescale(self) -> None:
        self.mean, self.deviation = 0.0, 1.0
        if self._seen > 0.0:
            self.mean = self._first / self._seen
            square = self._second / self._seen - self.mean**2
            self.deviation = math.sqrt(max(square, _SMALLEST))

    def follow(self, targets: Floats32, theta: Floats32) -> None:
        """Move towards the targets (N,), with the last layer in `theta` (Q,), changed in place."""
        mean, deviation = self.mean, self.deviation
        wide = targets.astype(np.float64)
        self._seen += RENEWED * (1.0 - self._seen)
        self._first += RENEWED * (float(wide.mean()) - self._first)
        self._second += RENEWED * (float((wide**2).mean()) - self._second)
        self._rescale()
        self._agent.value_moments = (self._seen, self._first, self._second)
        head = theta[self._head]
        head *= deviation / self.deviation
        head[-1] += (mean - self.mean) / self.deviation

    def scaled(self, values: Floats32) -> Floats32:
        """Return values (N,) as the networks predict them."""
        return ((values - self.mean) / self.deviation).astype(np.float32)
