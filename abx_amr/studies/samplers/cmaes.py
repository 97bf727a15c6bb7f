"""cmaes: an evolution strategy with covariance matrix adaptation, for numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.studies.samplers.member import Draw, Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler, CmaEsSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState


class CmaEs(Sampler):
    """Optuna's own, which sees the point's index where it asks for the trial's number."""

    set_here = Sampler.set_here | {"independent_sampler", "source_trials"}

    def constructor(self) -> type[CmaEsSampler]:
        """Return Optuna's class."""
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it without its warnings of what it draws at random."""
        sampler = super().build(draw, {"warn_independent_sampling": False} | dict(options))
        return _numbered_by_index()(sampler, draw.index)

    def drawn_at_random(self, space: Mapping[str, BaseDistribution]) -> list[str]:
        """Return the paths with choices: it knows numbers only."""
        from optuna.distributions import CategoricalDistribution

        return [path for path, d in space.items() if isinstance(d, CategoricalDistribution)]


def _numbered_by_index() -> Callable[[BaseSampler, int], BaseSampler]:
    """Return a wrapper for a sampler that seeds itself with a number: it sees the index."""
    from optuna.samplers import BaseSampler as Base

    class NumberedByIndex(Base):
        def __init__(self, sampler: Base, index: int) -> None:
            self.sampler = sampler
            self.index = index

        def infer_relative_search_space(
            self, study: Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return self.sampler.infer_relative_search_space(study, trial)

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            moved = copy.copy(trial)
            moved.number = self.index
            return self.sampler.sample_relative(study, moved, search_space)

        def sample_independent(
            self,
            study: Study,
            trial: FrozenTrial,
            param_name: str,
            param_distribution: BaseDistribution,
        ) -> Any:
            return self.sampler.sample_independent(study, trial, param_name, param_distribution)

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            self.sampler.before_trial(study, trial)

        def after_trial(
            self,
            study: Study,
            trial: FrozenTrial,
            state: TrialState,
            values: Sequence[float] | None,
        ) -> None:
            self.sampler.after_trial(study, trial, state, values)

    return NumberedByIndex
