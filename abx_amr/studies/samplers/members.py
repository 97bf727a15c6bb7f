"""The samplers there are: one for each file of this folder that holds a class of a sampler."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path

from abx_amr.errors import InputError, unknown
from abx_amr.studies.samplers.member import Sampler
from abx_amr.studies.samplers.target import SamplerAt

_NO_MEMBERS = ("choice", "member", "members", "target")


@cache
def members() -> dict[str, Sampler]:
    """Return name -> sampler, by name; a file's name is its sampler's."""
    folder, package = str(Path(__file__).parent), __name__.rpartition(".")[0]
    names = sorted(m.name for m in pkgutil.iter_modules([folder]) if m.name not in _NO_MEMBERS)
    return {name: _member_in(f"{package}.{name}") for name in names}


def sampler_names() -> tuple[str, ...]:
    """Return the names that `tuning.sampler` may have."""
    return tuple(members())


def sampler_name(name: object) -> str:
    """Return the one spelling of a sampler's name; the path of a class stays as it is.

    >>> [sampler_name(n) for n in ("TPE", "Random", "CmaEs", "CMAES", "CMA-ES", "tpe")]
    ['tpe', 'random', 'cmaes', 'cmaes', 'cmaes', 'tpe']
    """
    if "." in str(name):
        return str(name)
    plain = str(name).lower().replace("-", "").replace("_", "").removesuffix("sampler")
    if plain in members():
        return plain
    raise InputError(unknown("tuning.sampler", str(name), sampler_names()))


def sampler_called(name: str) -> Sampler:
    """Return the sampler of this name, or the one at this path."""
    return SamplerAt(name) if "." in name else members()[name]


def _member_in(module: str) -> Sampler:
    imported = importlib.import_module(module)
    (member,) = (
        found
        for _, found in inspect.getmembers(imported, inspect.isclass)
        if issubclass(found, Sampler) and found.__module__ == module
    )
    return member()
