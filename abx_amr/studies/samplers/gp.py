"""gp: a Gaussian process, for few and costly trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.studies.samplers.member import Draw, Sampler, default_startup_trials

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler, GPSampler

    from abx_amr.studies.search_space import SearchSpace


class Gp(Sampler):
    """Optuna's own."""

    set_here = Sampler.set_here | {"independent_sampler", "constraints_func"}

    def constructor(self) -> type[GPSampler]:
        """Return Optuna's class."""
        from optuna.samplers import GPSampler

        return GPSampler

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it with start-up trials that follow from n_trials."""
        unless_told = {
            "n_startup_trials": default_startup_trials(draw.n_trials),
            "warn_independent_sampling": False,
        }
        return super().build(draw, unless_told | dict(options))

    def drawn_at_random(self, space: SearchSpace) -> list[str]:
        """Return those that only count at times."""
        return list(space.conditions)
