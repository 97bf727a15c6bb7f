"""Any sampler that follows Optuna's interface, named by the path of its class."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, first_line
from abx_amr.host.locations import make_own_modules_importable
from abx_amr.studies.samplers.member import Draw, Sampler

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class SamplerAt(Sampler):
    """The sampler at `path`, built anew for every point: it remembers nothing but the study.

    A constructor that takes a `seed` is given the point's own; one that takes a `search_space`, as
    those of OptunaHub do, is given what is searched, unless it is told otherwise.
    """

    set_here = frozenset({"seed"})

    def __init__(self, path: str) -> None:
        """Name the class, such as optuna.samplers.BruteForceSampler."""
        self.path = path

    def constructor(self) -> type[BaseSampler]:
        """Return the class; a module of the user's own, beside the shell, counts.

        Raises:
            InputError: There is none of this path, or it is no sampler of Optuna's kind.
        """
        from optuna.samplers import BaseSampler

        make_own_modules_importable()
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

    def option_names(self) -> tuple[str, ...] | None:
        """Return the constructor's arguments; None: it takes any."""
        parameters = inspect.signature(self.constructor()).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        return super().option_names()

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return the sampler for one point.

        Raises:
            InputError: its constructor refuses its options.
        """
        constructor = self.constructor()
        known = {"seed": draw.seed, "search_space": dict(draw.space)}
        takes = inspect.signature(constructor).parameters
        given = {name: value for name, value in known.items() if name in takes}
        try:
            return constructor(**given | dict(options))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"tuning.sampler._target_ {self.path!r} cannot be built: {first_line(error)}"
            ) from error
