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


class Qmc(Sampler):
    """Optuna's own, whose place in the sequence is told by the index."""

    set_here = Sampler.set_here | {"independent_sampler"}

    def constructor(self) -> Callable[..., BaseSampler]:
        """Return Optuna's class with an index."""
        return _indexed_qmc()

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it in the sequence that sampler_seed names; what it cannot draw is independent."""
        from optuna.samplers import RandomSampler

        return self.constructor()(
            seed=draw.sampler_seed,
            independent_sampler=RandomSampler(seed=draw.seed),
            index=draw.index,
            **{"warn_independent_sampling": False} | dict(options),
        )

    def option_names(self) -> tuple[str, ...]:
        """Return the options of Optuna's class, which the one with an index hands on."""
        from optuna.samplers import QMCSampler

        parameters = inspect.signature(QMCSampler).parameters
        return tuple(name for name in parameters if name not in self.set_here)


def _indexed_qmc() -> Callable[..., Any]:
    """Return a QMCSampler whose place in the sequence is told by the index.

    Optuna's own counts its draws in the study, so that a worker killed while drawing would leave a
    gap. The first point of a study is independent; the sequence starts with the second.
    """
    from optuna.samplers import QMCSampler

    class IndexedQMCSampler(QMCSampler):
        def __init__(self, *, index: int, **options: Any) -> None:
            super().__init__(**options)
            self.index = index

        def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
            return max(0, self.index - 1)

    return IndexedQMCSampler
