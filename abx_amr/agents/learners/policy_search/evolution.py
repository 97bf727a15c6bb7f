"""Separable CMA-ES (Ros and Hansen 2008, arXiv 1604.00772 for the constants): a search by ranks.

Candidates are drawn around a mean, each weight with a spread of its own; the better half moves the
mean and shapes the spread. Only the order of the scores counts. All draws come from the caller, so
that a generation is the same whoever computes it.

Shapes: N candidates, Q weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SMALLEST, _LARGEST = 1e-12, 1e6


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """Where a search stands between two generations.

    Attributes:
        mean: The policy in the middle, (Q,).
        step_size: Scale of all spreads.
        variances: Of each weight, in units of the step size, (Q,).
        step_path: Where the mean has been going, in units of the spreads, (Q,).
        variance_path: The same, in units of the step size, (Q,).
        generation: Generations told so far.
    """

    mean: Floats
    step_size: float
    variances: Floats
    step_path: Floats
    variance_path: Floats
    generation: int = 0

    @classmethod
    def begin(cls, mean: Floats, step_size: float) -> Evolution:
        """Return a search that has told nothing yet."""
        zeros = np.zeros_like(mean)
        return cls(
            mean=mean.copy(),
            step_size=step_size,
            variances=np.ones_like(mean),
            step_path=zeros,
            variance_path=zeros.copy(),
        )

    def candidates(self, normals: Floats) -> Floats:
        """Return candidates (N, Q) from standard normals of that shape."""
        return self.mean + self.step_size * np.sqrt(self.variances) * normals

    def told(self, candidates: Floats, scores: Floats) -> Evolution:
        """Return the search after candidates (N, Q) have scored (N,); the higher the better."""
        constants = Constants.of(len(candidates), self.mean.size)
        order = np.argsort(-scores, kind="stable")[: len(constants.weights)]
        moves = (candidates[order] - self.mean) / self.step_size
        move = constants.weights @ moves
        spread = np.sqrt(self.variances)

        keep = 1.0 - constants.step_rate
        gain = math.sqrt(constants.step_rate * (2.0 - constants.step_rate) * constants.effective)
        step_path = keep * self.step_path + gain * move / spread
        length = float(np.linalg.norm(step_path)) / constants.expected_length
        exponent = constants.step_rate / constants.step_damping * (length - 1.0)

        generation = self.generation + 1
        warmed_up = math.sqrt(1.0 - keep ** (2 * (generation + 1)))
        goes_on = length / warmed_up < 1.4 + 2.0 / (self.mean.size + 1)
        keep = 1.0 - constants.path_rate
        gain = math.sqrt(constants.path_rate * (2.0 - constants.path_rate) * constants.effective)
        variance_path = keep * self.variance_path + goes_on * gain * move

        one, all_ranks = constants.rank_one, constants.rank_all
        stalled = (not goes_on) * constants.path_rate * (2.0 - constants.path_rate)
        variances = (1.0 + one * stalled - one - all_ranks) * self.variances
        variances += one * variance_path**2 + all_ranks * (constants.weights @ moves**2)
        return replace(
            self,
            mean=self.mean + self.step_size * move,
            step_size=min(self.step_size * math.exp(exponent), _LARGEST),
            variances=np.maximum(variances, _SMALLEST),
            step_path=step_path,
            variance_path=variance_path,
            generation=generation,
        )

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Return everything needed to go on to the bit."""
        return {
            "mean": self.mean.copy(),
            "variances": self.variances.copy(),
            "step_path": self.step_path.copy(),
            "variance_path": self.variance_path.copy(),
            "scalars": np.array([self.step_size, float(self.generation)]),
        }

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[np.float64]]) -> Evolution:
        """Return the search whose `state()` this is."""
        step_size, generation = state["scalars"].tolist()
        return cls(
            mean=np.array(state["mean"]),
            step_size=step_size,
            variances=np.array(state["variances"]),
            step_path=np.array(state["step_path"]),
            variance_path=np.array(state["variance_path"]),
            generation=int(generation),
        )


@dataclass(frozen=True, kw_only=True)
class Constants:
    """How fast a search of N candidates of Q weights learns.

    Attributes:
        weights: Of the better half, the best first, (N // 2,); their sum is 1.
        effective: How many equally weighted candidates they amount to.
        step_rate: Learning rate of the step size's path.
        step_damping: How slowly the step size follows.
        expected_length: Of Q standard normals.
        path_rate: Learning rate of the variances' path.
        rank_one: Learning rate of the variances from their path.
        rank_all: Learning rate of the variances from this generation.
    """

    weights: Floats
    effective: float
    step_rate: float
    step_damping: float
    expected_length: float
    path_rate: float
    rank_one: float
    rank_all: float

    @classmethod
    def of(cls, population: int, size: int) -> Constants:
        """Return the constants of the literature."""
        half = population // 2
        weights = math.log(half + 1) - np.log(np.arange(1, half + 1))
        weights /= weights.sum()
        effective = 1.0 / float(np.sum(weights**2))
        step_rate = (effective + 2.0) / (size + effective + 3.0)
        too_many = max(0.0, math.sqrt((effective - 1.0) / (size + 1.0)) - 1.0)
        full = 2.0 / effective / (size + math.sqrt(2.0)) ** 2
        full += (1.0 - 1.0 / effective) * min(
            1.0, (2.0 * effective - 1.0) / ((size + 2.0) ** 2 + effective)
        )
        return cls(
            weights=weights,
            effective=effective,
            step_rate=step_rate,
            step_damping=1.0 + 2.0 * too_many + step_rate,
            expected_length=math.sqrt(size) * (1.0 - 1.0 / (4.0 * size) + 1.0 / (21.0 * size**2)),
            path_rate=4.0 / (size + 4.0),
            rank_one=2.0 / ((size + 1.3) ** 2 + effective),
            rank_all=(size + 2.0) / 3.0 * full,
        )
