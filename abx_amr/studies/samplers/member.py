"""What a sampler is here: one class in a file of this folder, called as the file is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from abx_amr.studies.search_space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What the drawing of one point follows from.

    Attributes:
        space: Configuration path -> values.
        n_trials: The study's.
        sampler_seed: The study's.
        index: Points drawn before this one; a retry is no point of its own.
        seed: This point's own, from sampler_seed and index.
        first_points: Those that the study begins with, which are given.
    """

    space: SearchSpace
    n_trials: int
    sampler_seed: int
    index: int
    seed: int
    first_points: Sequence[Mapping[str, Any]] = ()


class Sampler(ABC):
    """A way of drawing points, without any memory of its own: it is built anew for every point."""

    #: Arguments of the constructor that are no options of the user.
    set_here: ClassVar[frozenset[str]] = frozenset({"self", "seed", "index"})

    @abstractmethod
    def constructor(self) -> Callable[..., BaseSampler]:
        """Return the class whose arguments are the sampler's options; Optuna is imported here."""

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return Optuna's sampler for one point."""
        return self.constructor()(seed=draw.seed, **options)

    def budget(self, n_trials: int, space: SearchSpace) -> int:
        """Return how many finished trials complete a study.

        Raises:
            InputError: The sampler cannot search such a space.
        """
        return n_trials

    def drawn_at_random(self, space: SearchSpace) -> list[str]:
        """Return the parameters that the sampler cannot search and draws at random."""
        return []

    def option_names(self) -> tuple[str, ...] | None:
        """Return what `tuning.sampler_options` may hold; None: anything."""
        parameters = inspect.signature(self.constructor()).parameters
        return tuple(name for name in parameters if name not in self.set_here)


def default_startup_trials(n_trials: int) -> int:
    """Return how many points are drawn at random first: max(10, n_trials // 4), capped at n_trials.

    >>> [default_startup_trials(n) for n in (5, 20, 50, 100)]
    [5, 10, 12, 25]
    """
    return min(n_trials, max(10, n_trials // 4))
