"""random: every point independent of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abx_amr.studies.samplers.member import Sampler

if TYPE_CHECKING:
    from optuna.samplers import RandomSampler


class Random(Sampler):
    """Optuna's own."""

    def constructor(self) -> type[RandomSampler]:
        """Return Optuna's class."""
        from optuna.samplers import RandomSampler

        return RandomSampler
