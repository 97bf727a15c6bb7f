"""What is asked of a plan, read from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from abx_amr import checks
from abx_amr.errors import InputError


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
