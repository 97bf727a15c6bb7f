"""What treating a patient is worth by its attributes: of the shipped reward, of those that declare.

Shapes: N patients, K antibiotics, six attributes in the order of ATTRIBUTES. Whatever is linear in
each attribute has the expectations of independent attributes for its own expectation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.problem import NotComputable
from abx_amr.rng import stream
from abx_amr.simulator.patients import ATTRIBUTES
from abx_amr.simulator.rewards import ClinicalReward, LinearReward, RewardModel

Floats = NDArray[np.float64]
Means = Sequence[Floats | float]
Ends = Sequence[tuple[float, float]]

_CHECKED = 64  # patients among whom a declaration is checked
_CLOSE = 1e-6


class Worth(Protocol):
    """A reward as the planner takes it."""

    @property
    def harm(self) -> Floats:
        """What each treatment adds whoever gets it, left out of the gain, (K,)."""
        ...

    def expected(self, means: Means, number: int) -> tuple[Floats, Floats, Floats]:
        """Return gain and slope, (N, 1 or K), and what no treatment is worth, (N,).

        Args:
            means: Expected effect of each attribute up to its cap, (N,) or a number.
            number: N.
        """
        ...

    def only(self, kept: NDArray[np.int64]) -> Worth:
        """Return the same with some of the antibiotics."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClinicalWorth:
    """The shipped reward.

    Attributes:
        harms: Expected adverse effect of each antibiotic, <= 0.
        benefit: Value of a benefit.
        failure: Value of a failure, < 0.
        benefit_chance: Its probability, before a patient's multipliers.
        failure_chance: Likewise of a failure.
    """

    harms: tuple[float, ...]
    benefit: float
    failure: float
    benefit_chance: float
    failure_chance: float

    @property
    def harm(self) -> Floats:
        """The adverse effects, (K,)."""
        return np.array(self.harms)

    def expected(self, means: Means, number: int) -> tuple[Floats, Floats, Floats]:
        """Return gain and slope, (N, 1), and what no treatment is worth, (N,)."""
        infected, benefit_value, failure_value, benefit_chance, failure_chance, recovery = means
        benefit = self.benefit * self.benefit_chance * benefit_value * benefit_chance
        failure = self.failure * self.failure_chance * failure_value * failure_chance
        untreated = infected * (recovery * self.benefit * benefit_value + (1 - recovery) * failure)
        gain = infected * benefit - untreated + np.zeros(number)
        slope = infected * (benefit - failure) + np.zeros(number)
        return gain[:, None], slope[:, None], untreated + np.zeros(number)

    def only(self, kept: NDArray[np.int64]) -> ClinicalWorth:
        """Return the same with some of the antibiotics."""
        return replace(self, harms=tuple(self.harms[j] for j in kept))


@dataclass(frozen=True, kw_only=True)
class DeclaredWorth:
    """A reward that declares its expected values.

    Attributes:
        reward: Whose they are.
        corners: Values at the ends of what occurs, which determine all others.
        kept: Which antibiotics are meant.
    """

    reward: LinearReward = field(repr=False)
    corners: tuple[float, ...]
    kept: tuple[int, ...]

    @property
    def harm(self) -> Floats:
        """Nothing: it is in what is declared."""
        return np.zeros(len(self.kept))

    def expected(self, means: Means, number: int) -> tuple[Floats, Floats, Floats]:
        """Return gain and slope, (N, K), and what no treatment is worth, (N,)."""
        rows = np.stack(np.broadcast_arrays(*means, np.zeros(number))[:-1], axis=-1)
        susceptible, resistant = (_values(self.reward, rows, level) for level in (0.0, 1.0))
        untreated = susceptible[:, -1]
        kept = list(self.kept)
        gain = susceptible[:, kept] - untreated[:, None]
        return gain, susceptible[:, kept] - resistant[:, kept], untreated

    def only(self, kept: NDArray[np.int64]) -> DeclaredWorth:
        """Return the same with some of the antibiotics."""
        return replace(self, kept=tuple(self.kept[j] for j in kept))


def linear(reward: RewardModel) -> LinearReward:
    """Return a reward that is the shipped one, or declares to be linear.

    Raises:
        NotComputable: It is neither, or lacks what its declaration asks for.
    """
    name = type(reward).__name__
    if type(reward) is not ClinicalReward and not _is_declared(type(reward)):
        raise NotComputable(f"the optimum is not computed for the reward {name}")
    for asked in ("lambda_weight", "epsilon", "attribute_caps"):
        if not hasattr(reward, asked):
            raise NotComputable(f"{name} declares is_linear and has no {asked}")
    return cast(LinearReward, reward)


def worth_of(reward: RewardModel, ends: Ends) -> Worth:
    """Return what treating is worth where attributes, up to their caps, lie between `ends`, (6, 2).

    Raises:
        NotComputable: See `linear`; or the reward is not as linear as it declares.
    """
    if type(reward) is ClinicalReward:
        return ClinicalWorth(
            harms=tuple(reward.harms.prod(axis=1).tolist()),
            benefit=reward.benefit_value,
            failure=reward.failure_value,
            benefit_chance=reward.benefit_probability,
            failure_chance=reward.failure_probability,
        )
    name, declared = type(reward).__name__, linear(reward)
    corners = np.array(list(product(*ends)))
    at_corners = [_values(declared, corners, level) for level in (0.0, 1.0)]
    draws = stream(0, "planning", "declared reward")
    shares = draws.random((_CHECKED, len(ATTRIBUTES)))
    low, high = np.array(ends).T
    weight = np.array(
        [[math.prod(w) for w in product(*zip(1 - s, s, strict=True))] for s in shares]
    )
    level = float(draws.random())
    expected = (1 - level) * weight @ at_corners[0] + level * weight @ at_corners[1]
    found = _values(declared, low + shares * (high - low), level)
    error = np.abs(found - expected).max()
    if not error <= _CLOSE * max(1.0, float(np.abs(at_corners).max())):
        raise NotComputable(
            f"expected_reward of {name} is not linear in the AMR level and in each attribute,"
            " as is_linear declares"
        )
    lost = at_corners[0] - at_corners[1]
    if lost.min() < -_CLOSE or np.abs(lost[:, -1]).max() > _CLOSE:
        raise NotComputable(
            f"expected_reward of {name} must fall with the AMR level where patients are treated,"
            " and not change where they are not"
        )
    number = len(declared.antibiotics)
    said = tuple(np.concatenate([np.ravel(ends), *map(np.ravel, at_corners)]).tolist())
    return DeclaredWorth(reward=declared, corners=said, kept=tuple(range(number)))


def _is_declared(reward: type) -> bool:
    """Return whether a class declares to be linear, for the score and expectations it has."""
    for one in reward.__mro__:
        if "is_linear" in vars(one):
            return bool(vars(one)["is_linear"])
        if {"score", "expected_reward"} & set(vars(one)):
            return False
    return False


def _values(reward: LinearReward, attributes: Floats, level: float) -> Floats:
    """Return the expected value of each treatment of patients (N, 6) at a level, (N, K + 1)."""
    levels = np.full((len(attributes), len(reward.antibiotics)), level)
    return np.asarray(reward.expected_reward(attributes, levels), dtype=np.float64)
