"""tpe: a tree-structured Parzen estimator, the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.studies.samplers.member import Draw, Sampler, default_startup_trials

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler, TPESampler


class Tpe(Sampler):
    """Optuna's own, which counts running trials as bad ones (constant liar)."""

    set_here = Sampler.set_here | {"constraints_func"}

    def constructor(self) -> type[TPESampler]:
        """Return Optuna's class."""
        from optuna.samplers import TPESampler

        return TPESampler

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it with start-up trials that follow from n_trials."""
        unless_told: dict[str, Any] = {"n_startup_trials": default_startup_trials(draw.n_trials)}
        if draw.space.conditions:  # what only counts at times is searched with what counts then
            unless_told["group"] = True
        return super().build(draw, unless_told | dict(options))
