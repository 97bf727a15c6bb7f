"""What one trial is worth: the mean over its seeds, less a penalty for their spread."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["maximize", "minimize"]
#: Beyond it squares of differences are no numbers any more.
LARGEST_RETURN = 1e150


@dataclass(frozen=True)
class SeedOutcome:
    """What one training seed of a trial gave: an episode return, or why there is none.

    `collapse` is what kind of collapse its policy shows, None where it shows none.
    """

    seed: int
    episode_return: float | None
    failure: str | None = None
    effective_values: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    collapse: str | None = None

    @property
    def failure_reason(self) -> str | None:
        """Why this seed does not count, None where it does; a return must be a number to count."""
        if self.failure is not None:
            return self.failure
        if self.episode_return is None:
            return "no return"
        if not math.isfinite(self.episode_return):
            return f"non-finite return ({self.episode_return})"
        if abs(self.episode_return) > LARGEST_RETURN:
            return f"return beyond all measure ({self.episode_return:g})"
        return None


@dataclass(frozen=True)
class TrialScore:
    """The value told to the study and what it was made of; None where no seed counted."""

    value: float
    mean_reward: float | None
    std_reward: float | None
    stability_penalty: float | None
    failed_seeds: Mapping[int, str]

    @property
    def has_failed(self) -> bool:
        """Whether too few seeds remained, so that the value is the worst there is."""
        return not math.isfinite(self.value)


def robust_score(
    returns: Sequence[float], *, penalty_weight: float = 0.2, direction: Direction = "maximize"
) -> float:
    """Return mean - penalty_weight * std to maximise, mean + penalty_weight * std to minimise.

    std is the population's (ddof 0).

    >>> robust_score([1.0, 3.0], penalty_weight=0.5)
    1.5
    >>> robust_score([1.0, 3.0], penalty_weight=0.5, direction="minimize")
    2.5
    """
    mean, std = _mean_and_std(returns)
    return mean - penalty_weight * std if direction == "maximize" else mean + penalty_weight * std


def worst_value(direction: Direction) -> float:
    """Return the worst value there is: -inf to maximise, +inf to minimise."""
    return -math.inf if direction == "maximize" else math.inf


def default_min_successful_seeds(n_seeds: int) -> int:
    """Return how many of `n_seeds` seeds a trial needs to count: ceil((n + 1) / 2), 1 for one seed.

    >>> [default_min_successful_seeds(n) for n in (1, 2, 3, 4, 5)]
    [1, 2, 2, 3, 3]
    """
    return 1 if n_seeds == 1 else math.ceil((n_seeds + 1) / 2)


def score_outcomes(
    outcomes: Sequence[SeedOutcome],
    *,
    penalty_weight: float,
    direction: Direction,
    min_successful_seeds: int,
) -> TrialScore:
    """Return the robust score over the seeds that succeeded, the worst value where too few did."""
    failed = {o.seed: reason for o in outcomes if (reason := o.failure_reason) is not None}
    returns = [
        o.episode_return for o in outcomes if o.seed not in failed and o.episode_return is not None
    ]
    if len(returns) < max(1, min_successful_seeds):
        return TrialScore(worst_value(direction), None, None, None, failed)
    mean, std = _mean_and_std(returns)
    value = robust_score(returns, penalty_weight=penalty_weight, direction=direction)
    if not math.isfinite(value):
        value = worst_value(direction)
    return TrialScore(value, mean, std, penalty_weight * std, failed)


def _mean_and_std(returns: Sequence[float]) -> tuple[float, float]:
    if not returns:
        raise ValueError("returns must hold at least one number")
    mean = math.fsum(returns) / len(returns)
    return mean, math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / len(returns))
