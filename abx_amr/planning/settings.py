"""What is asked of a plan, read from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abx_amr.errors import InputError
from abx_amr.simulator import checks


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The section plan: of the configuration.

    Attributes:
        episodes: Paired episodes for what chance decides.
        seed: Names them.
        tolerance: How wide bounds of an optimum may be, as a share of the range.
        rules: Whether rules are valued and tuned.
        audit: Whether discount factors are audited.
        gammas: Which.
        front: Whether the weight of the community is swept.
        lambda_weights: Over which values.
        information: Whether seeing more is valued.
        runs: Run folders or names of agents.
    """

    episodes: int
    seed: int
    tolerance: float
    rules: bool
    audit: bool
    gammas: list[float]
    front: bool
    lambda_weights: list[float]
    information: bool
    runs: list[str]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: A value is out of its range.
        """
        checks.whole_number("plan.episodes", self.episodes, 2)
        checks.whole_number("plan.seed", self.seed, 0)
        checks.number("plan.tolerance", self.tolerance, 0, 1, open_low=True)
        for name in ("rules", "audit", "front", "information"):
            checks.flag(f"plan.{name}", getattr(self, name))
        for name in ("gammas", "lambda_weights", "runs"):
            if not isinstance(getattr(self, name), list):
                value = getattr(self, name)
                raise InputError(f"plan.{name} must be a list: write plan.{name}=[{value}]")
        for gamma in self.gammas:
            checks.number("plan.gammas", gamma, 0, 1, open_low=True, open_high=True)
        for weight in self.lambda_weights:
            checks.number("plan.lambda_weights", weight, 0, 1)
        if self.audit and not self.gammas:
            raise InputError("plan.gammas must hold at least one discount factor")
        if self.front and not self.lambda_weights:
            raise InputError("plan.lambda_weights must hold at least one weight")


def gamma_of(section: Any) -> float | None:
    """Return an agent's discount factor, None for a rule or where it does not discount.

    >>> gamma_of({"gamma": 0.99}), gamma_of({"gamma": 1}), gamma_of({})
    (0.99, None, None)
    >>> gamma_of({"gamma": 0.99, "one_minus_gamma": 0.25})
    0.75
    """
    gamma = section.get("gamma") if isinstance(section, Mapping) else None
    complement = section.get("one_minus_gamma") if isinstance(section, Mapping) else None
    if isinstance(complement, float):
        gamma = 1.0 - complement
    if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0 < gamma < 1:
        return None
    return float(gamma)
