"""cmaes: an evolution strategy with covariance matrix adaptation, for numbers."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.studies.samplers.member import Draw, Sampler

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler, CmaEsSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

    from abx_amr.studies.search_space import SearchSpace

log = logging.getLogger(__name__)


class CmaEs(Sampler):
    """Optuna's own, which sees the point's index where it asks for the trial's number."""

    set_here = Sampler.set_here | {"independent_sampler", "source_trials"}

    def constructor(self) -> type[CmaEsSampler]:
        """Return Optuna's class, which reads what is stored of the strategy as numbers alone."""
        from optuna.samplers import CmaEsSampler

        class Restoring(CmaEsSampler):
            def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
                for trial in reversed(completed_trials):
                    stored = {
                        key: value
                        for key, value in trial.system_attrs.items()
                        if key.startswith(self._attr_key_optimizer)
                    }
                    if stored:
                        return _strategy(self._concat_optimizer_attrs(stored))
                return None

        return Restoring

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it without its warnings of what it draws at random."""
        sampler = super().build(draw, {"warn_independent_sampling": False} | dict(options))
        return _numbered_by_index()(sampler, draw.index)

    def drawn_at_random(self, space: SearchSpace) -> list[str]:
        """Return those with choices, which are no numbers, and those that only count at times."""
        from optuna.distributions import CategoricalDistribution

        return [
            name
            for name, distribution in space.items()
            if isinstance(distribution, CategoricalDistribution) or name in space.conditions
        ]


#: What a strategy of the library is made of, by the modules of any release.
_MADE_OF = {"CMA", "SepCMA", "CMAwM", "scalar", "dtype", "_reconstruct", "ndarray", "_frombuffer"}
_MODULES = ("cmaes.", "numpy.core.", "numpy._core.")


class _StrategyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class of the library or of NumPy's arrays; a storage may come from anybody."""
        if name not in _MADE_OF or not f"{module}.".startswith((*_MODULES, "numpy.")):
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a strategy")
        return super().find_class(module, name)


def _strategy(stored: str) -> Any:
    """Return the strategy that a trial keeps, None and a warning where it holds anything else."""
    try:
        return _StrategyUnpickler(io.BytesIO(bytes.fromhex(stored))).load()
    except Exception as error:  # a damaged pickle makes the machine that reads it raise anything
        log.warning("the strategy of cmaes that is stored is not used: %s", error)
        return None


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
