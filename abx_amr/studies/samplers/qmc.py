"""qmc: a quasi-Monte Carlo sequence, which covers a space more evenly than random points."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.studies.samplers.member import Draw, Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study

    from abx_amr.studies.search_space import SearchSpace


class Qmc(Sampler):
    """Optuna's own, whose place in the sequence is told by the index."""

    set_here = Sampler.set_here | {"independent_sampler"}

    def constructor(self) -> Callable[..., BaseSampler]:
        """Return Optuna's class with a place."""
        return _placed_qmc()

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it in the sequence that sampler_seed names; what it cannot draw is independent."""
        from optuna.samplers import RandomSampler

        return self.constructor()(
            seed=draw.sampler_seed,
            independent_sampler=RandomSampler(seed=draw.seed),
            place=max(0, draw.index - max(1, len(draw.first_points))),
            **{"warn_independent_sampling": False} | dict(options),
        )

    def drawn_at_random(self, space: SearchSpace) -> list[str]:
        """Return those that only count at times."""
        return list(space.conditions)

    def option_names(self) -> tuple[str, ...]:
        """Return the options of Optuna's class, which the one with a place hands on."""
        from optuna.samplers import QMCSampler

        parameters = inspect.signature(QMCSampler).parameters
        return tuple(name for name in parameters if name not in self.set_here)


def _placed_qmc() -> Callable[..., Any]:
    """Return a QMCSampler whose place in the sequence is told.

    Optuna's own counts its draws in the study, so that a worker killed while drawing would leave a
    gap. The first point of a study is given or independent; the sequence starts after it.
    """
    from optuna.samplers import QMCSampler

    class PlacedQMCSampler(QMCSampler):
        def __init__(self, *, place: int, **options: Any) -> None:
            super().__init__(**options)
            self.place = place

        def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
            return self.place

    return PlacedQMCSampler
