"""The shipped clinics under gymnasium's ids: gymnasium.make("abx_amr/paper_two-v0").

Gymnasium finds no plugins: `import abx_amr` registers the ids, or makes gymnasium do it when it is
imported later, so that no command pays for a library that it may not need.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abx_amr.envs.single_env import ClinicEnv
    from abx_amr.envs.vector_env import ClinicVectorEnv

NAMESPACE = "abx_amr"
#: Goes up when an id would give other episodes for the same seed.
VERSION = 0


def clinics() -> list[str]:
    """Return the shipped experiments that describe a clinic: those that name no prescriber.

    >>> "paper_two" in clinics(), "hrl_ppo_default" in clinics()
    (True, False)
    """
    from abx_amr.host.locations import packaged

    files = sorted(packaged("conf").joinpath("experiment").glob("*.yaml"))
    return [x.stem for x in files if "/agent_algorithm:" not in x.read_text(encoding="utf-8")]


def id_of(clinic: str) -> str:
    """Return the id of a shipped clinic.

    >>> id_of("paper_two")
    'abx_amr/paper_two-v0'
    """
    return f"{NAMESPACE}/{clinic}-v{VERSION}"


def register() -> None:
    """Register every shipped clinic, once."""
    import gymnasium

    for clinic in clinics():
        if id_of(clinic) not in gymnasium.registry:
            gymnasium.register(
                id_of(clinic),
                entry_point=f"{__name__}:make",
                vector_entry_point=f"{__name__}:make_vec",
                kwargs={"experiment": clinic},
            )


def register_with_gymnasium() -> None:
    """Register now where gymnasium is imported, or as soon as it is."""
    if "gymnasium" in sys.modules:
        register()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting(MetaPathFinder):
    """Finds gymnasium as others do, and has it register the ids behind its own."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how gymnasium is loaded; None for any other module."""
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_register(module: ModuleType) -> None:
            load(module)
            register()

        spec.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return spec


def make(*, experiment: str, overrides: Sequence[str] = (), seed: int | None = None) -> ClinicEnv:
    """Return a shipped clinic as gymnasium.make does.

    Args:
        experiment: its name.
        overrides: strings of the command line, for example "environment.max_time_steps=50".
        seed: names the random streams before the first `reset(seed=...)`; None draws one.
    """
    from abx_amr import api

    return api.make_env(*_overrides(experiment, overrides), seed=seed)


def make_vec(
    *, num_envs: int, experiment: str, overrides: Sequence[str] = (), seed: int | None = None
) -> ClinicVectorEnv:
    """Return a batch of one shipped clinic as gymnasium.make_vec does; arguments as for `make`."""
    from abx_amr import api
    from abx_amr.envs.vector_env import ClinicVectorEnv

    return ClinicVectorEnv(api.make_model(*_overrides(experiment, overrides)), num_envs, seed=seed)


def _overrides(experiment: str, overrides: Any) -> list[str]:
    """Return the command line of an id.

    Raises:
        InputError: the overrides are no list of strings, or choose another experiment.
    """
    from abx_amr.errors import InputError

    if isinstance(overrides, str) or not all(isinstance(one, str) for one in overrides):
        raise InputError(
            f"overrides must be a list of strings, such as ['environment.max_time_steps=50'], "
            f"got {overrides!r}"
        )
    for one in overrides:
        if one.startswith("experiment="):
            raise InputError(
                f"'{one}' would be another clinic than {id_of(experiment)}: make one of the ids "
                f"{', '.join(map(id_of, clinics()))}, or abx_amr.make_env('{one}')"
            )
    return [f"experiment={experiment}", *overrides]
