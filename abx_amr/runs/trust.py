"""Which classes what is read from a run or a study may name: reading it must run no strange code.

Composing a configuration of one's own is free: whoever types it runs it. A folder may come from
anybody. What it names is limited to classes of the package and of the libraries beneath that only
compute, and to those of the project that is worked in, with the modules that its marker lists:

    abx-project.yaml    trusted: [our_rewards]

A run that this account wrote, or that the user trusts (trust=true), may name any class.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.checks import flag
from abx_amr.configuration.classes import locate
from abx_amr.errors import InputError
from abx_amr.host.former_names import present_name
from abx_amr.host.locations import MARKER, Project, find_project
from abx_amr.host.signing import is_signed, signature

if TYPE_CHECKING:
    from abx_amr.runs.folder import RunFolder

#: What provenance.json calls the account's signature of config.yaml.
SIGNATURE = "config_signature"
_ALGORITHM = "agent_algorithm._target_"
#: Rooms whose classes may be agents; those of the libraries are algorithms or refused.
_AGENTS = ("abx_amr.agents.", "abx_amr.planning.policy.", "stable_baselines3.", "sb3_contrib.")
#: Rooms whose classes may be parts of clinics and agents.
_PARTS = ("abx_amr.simulator.", "abx_amr.hierarchy.options.", "abx_amr.agents.schedules.")
#: Where classes of networks are written, and where they must be defined.
_NETWORKS = ("torch.nn.", "torch.optim.", "stable_baselines3.common.")
_NETWORK_HOMES = (
    *("torch.nn.modules.activation.", "torch.optim."),
    *("stable_baselines3.common.torch_layers.", "stable_baselines3.common.sb2_compat."),
)
#: Sections of a run's configuration of which nothing is built when it is read or gone on with.
_NOT_BUILT = ("storage", "tuning", "hydra", "tracker")


def check_named_classes(
    config: Mapping[str, Any], *, where: Path | str, trust: bool = False
) -> None:
    """Refuse a configuration that was read where it names a class of unknown origin.

    Nothing is imported that is not allowed by its name.

    Args:
        config: Sections, or values at dotted paths.
        where: What it was read from.
        trust: Whether it may name any.

    Raises:
        InputError: naming the class, the key and the cures.
    """
    if trust:
        return
    project = find_project()
    for key, named in named_classes(config):
        path = present_name(named)
        if not _is_allowed(key, path, project):
            module = path.partition(".")[0]
            listing = f", or list its module in {MARKER} (trusted: [{module}])" if project else ""
            raise InputError(
                f"{where} names {named} ({key}), which is no class of abx-amr or of the project "
                "that you work in, and this account did not write it: what it names is run; if "
                f"you know where it comes from, add trust=true{listing}"
            )


def without_trust(config: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a configuration without the key `trust`, which is of one command, and its value.

    Raises:
        InputError: it is neither true nor false.
    """
    rest = {key: value for key, value in config.items() if key != "trust"}
    return rest, flag("trust", config.get("trust", False))


def named_classes(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key and the dotted path of everything in a configuration that names a class.

    >>> list(named_classes({"a": {"_target_": "m.A"}, "b": [{"activation_fn": "m.B"}]}))
    [('a._target_', 'm.A'), ('b.0.activation_fn', 'm.B')]
    """
    if isinstance(config, Mapping):
        for name, value in config.items():
            inner = f"{key}.{name}" if key else str(name)
            is_class = inner.endswith(("_target_", "_fn", "_class"))
            if isinstance(value, str) and is_class:
                yield inner, value
            elif inner not in _NOT_BUILT:
                yield from named_classes(value, inner)
    elif isinstance(config, list | tuple):
        for position, value in enumerate(config):
            yield from named_classes(value, f"{key}.{position}")


def signed(folder: RunFolder) -> dict[str, str]:
    """Return what provenance.json holds for this account to know its own configuration by."""
    made = signature(folder.config_file.read_bytes())
    return {} if made is None else {SIGNATURE: made.decode("ascii")}


def is_own(folder: RunFolder) -> bool:
    """Return whether this account wrote a run's configuration as it is."""
    try:
        found = folder.read_provenance().get(SIGNATURE)
        content = folder.config_file.read_bytes()
    except (InputError, OSError):
        return False
    return isinstance(found, str) and is_signed(content, found.encode("utf-8", "replace"))


def _is_allowed(key: str, path: str, project: Project | None) -> bool:
    """Return whether a class may be named: by where it is said to be, then by where it is."""
    if project is not None:
        modules = tuple(f"{module}." for module in project.trusted_modules())
        if path.startswith(modules) or project.file_of(path) is not None:
            home = _home(path, key)
            return home.startswith(modules) or project.file_of(home) is not None
    is_network = key.endswith(("_fn", "_class"))
    rooms = _NETWORKS if is_network else _AGENTS if key == _ALGORITHM else _PARTS
    if not path.startswith(rooms):
        return False
    if path.startswith(("stable_baselines3.", "sb3_contrib.")) and not is_network:
        return True  # an on-policy algorithm, or refused when it is built
    homes = _NETWORK_HOMES if is_network else rooms
    return isinstance(locate(path, key=key), type) and _home(path, key).startswith(homes)


def _home(path: str, key: str) -> str:
    """Return where a class or function is defined, '' for anything else."""
    found = locate(path, key=key)
    if not (isinstance(found, type) or inspect.isfunction(found)):
        return ""
    return f"{found.__module__}.{found.__qualname__}"
