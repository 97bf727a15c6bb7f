"""Schedules for learning rates and clip ranges: progress remaining (1 to 0) -> value.

Stable-Baselines3 calls them with the share of training that remains: 1 at the start, 0 at the end.
"""

from dataclasses import dataclass

from abx_amr import checks


@dataclass(frozen=True, kw_only=True)
class LinearSchedule:
    """From `initial` to `final` in a straight line.

    >>> LinearSchedule(initial=0.5, final=0.25)(0.5)
    0.375
    """

    initial: float
    final: float

    def __post_init__(self) -> None:
        """Check the two values.

        Raises:
            InputError: a value is negative or not a finite number.
        """
        object.__setattr__(self, "initial", checks.number("initial", self.initial, 0.0))
        object.__setattr__(self, "final", checks.number("final", self.final, 0.0))

    def __call__(self, progress_remaining: float) -> float:
        """Return the value when this share of training remains, clamped to [0, 1]."""
        remaining = min(max(float(progress_remaining), 0.0), 1.0)
        return remaining * self.initial + (1.0 - remaining) * self.final


@dataclass(frozen=True, kw_only=True)
class ExponentialSchedule:
    """From `initial` to `final` by the same factor in every equal share of training.

    >>> round(ExponentialSchedule(initial=1e-2, final=1e-4)(0.5), 12)
    0.001
    """

    initial: float
    final: float

    def __post_init__(self) -> None:
        """Check the two values.

        Raises:
            InputError: a value is not a finite number above 0.
        """
        for name in ("initial", "final"):
            value = checks.number(name, getattr(self, name), 0.0, open_low=True)
            object.__setattr__(self, name, value)

    def __call__(self, progress_remaining: float) -> float:
        """Return the value when this share of training remains, clamped to [0, 1]."""
        remaining = min(max(float(progress_remaining), 0.0), 1.0)
        return float(self.initial**remaining * self.final ** (1.0 - remaining))


@dataclass(frozen=True, kw_only=True)
class ComplementSchedule:
    """A discount factor whose distance from 1 changes by the same factor in equal shares.

    >>> round(ComplementSchedule(initial=0.99, final=0.9999)(0.5), 12)
    0.999
    """

    initial: float
    final: float

    def __post_init__(self) -> None:
        """Check the two values.

        Raises:
            InputError: a value is not between 0 and 1.
        """
        for name in ("initial", "final"):
            value = checks.number(
                name, getattr(self, name), 0.0, 1.0, open_low=True, open_high=True
            )
            object.__setattr__(self, name, value)

    def __call__(self, progress_remaining: float) -> float:
        """Return the value when this share of training remains, clamped to [0, 1]."""
        distance = ExponentialSchedule(initial=1.0 - self.initial, final=1.0 - self.final)
        return 1.0 - distance(progress_remaining)
