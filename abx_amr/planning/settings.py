"""What is asked of a plan, read from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from abx_amr.checks import Index, Range, Share, check_fields
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

    episodes: Annotated[int, Range(low=2)]
    seed: Index
    tolerance: Annotated[float, Range(low=0.0, high=1.0, open_low=True)]
    rules: bool
    audit: bool
    gammas: list[Annotated[float, Range(low=0.0, high=1.0, open_low=True, open_high=True)]]
    front: bool
    lambda_weights: list[Share]
    information: bool
    runs: list[str]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: A value is out of its range.
        """
        check_fields(self, key="plan")
        if self.audit and not self.gammas:
            raise InputError("plan.gammas must hold at least one discount factor")
        if self.front and not self.lambda_weights:
            raise InputError("plan.lambda_weights must hold at least one weight")
