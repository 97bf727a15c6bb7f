"""Any sampler that follows Optuna's interface, named by the path of its class."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, first_line
from abx_amr.studies.samplers.member import Draw, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class SamplerAt(Sampler):
    """The sampler at `path`, built anew for every point: it remembers nothing but the study.

    A constructor that takes a `seed` is given the point's own.
    """

    set_here = frozenset({"seed"})

    def __init__(self, path: str) -> None:
        """Name the class, such as optuna.samplers.BruteForceSampler."""
        self.path = path

    def constructor(self) -> type[BaseSampler]:
        """Return the class.

        Raises:
            InputError: There is none of this path, or it is no sampler of Optuna's kind.
        """
        from optuna.samplers import BaseSampler

        module, _, name = self.path.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(
                f"tuning.sampler._target_ {self.path!r} cannot be imported: {first_line(error)}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, BaseSampler)):
            raise InputError(
                f"tuning.sampler._target_ must name a subclass of optuna.samplers.BaseSampler, "
                f"not {self.path!r}"
            )
        return found

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return the sampler for one point."""
        constructor = self.constructor()
        seed = {"seed": draw.seed} if "seed" in inspect.signature(constructor).parameters else {}
        return constructor(**seed, **options)
