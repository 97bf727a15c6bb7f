"""Where searched values were read back in built agents, kept, so that nothing is built to see it.

~/.local/state/abx-amr/read_back/<fingerprint>.json    below XDG_STATE_HOME where that is set
beside this file, in __pycache__/read_back             what `abx compile` has found for everybody

To build agents their libraries are loaded, which takes longer than everything else before a study
is ready; a process that only launches workers needs them for nothing more. What is kept counts for
the same configuration, the same versions and the same code alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from abx_amr.errors import InputError
from abx_amr.host import atomic_files
from abx_amr.host.locations import packaged
from abx_amr.host.plain_files import read_json
from abx_amr.host.signing import key_file
from abx_amr.host.versions import versions

#: Sections in which nothing is about agents.
_OF_OTHERS = ("storage", "hydra")
#: What of the tuning section decides which agents are built.
_OF_TUNING = ("search_space", "truncated_episodes", "members")

#: Packages whose code `_file` tells, by their versions or by their files.
_KNOWN = ("abx_amr", "stable_baselines3", "sb3_contrib")

#: Where the installation keeps what holds for all accounts.
INSTALLED = Path(__file__).parent / "__pycache__" / "read_back"

#: Choices of searched groups, and parameter -> where it is read back, see `Points.read_back_names`.
Names = list[tuple[Mapping[str, Any], dict[str, str]]]


def read(config: Mapping[str, Any], first_seed: int) -> Names | None:
    """Return what was kept of a study's configuration; or None."""
    name = _name(config, first_seed)
    return next((kept for folder in _folders() if (kept := _read(folder / name)) is not None), None)


def _read(file: Path) -> Names | None:
    try:
        kept = read_json(file)["names"]
        return [(dict(choices), _all_text(names)) for choices, names in kept]
    except (OSError, InputError, KeyError, TypeError, ValueError):
        return None


def keep(
    config: Mapping[str, Any], first_seed: int, names: Names, *, folder: Path | None = None
) -> None:
    """Keep the names for a study's configuration; where they cannot be, they are found again.

    Those of agents whose code lies elsewhere are not: nothing tells when it changes.

    Args:
        config: The study's plain, resolved configuration.
        first_seed: Seed of the agents that were looked into.
        names: What was found.
        folder: Where; None: the account's own.
    """
    if any(target.partition(".")[0] not in _KNOWN for target in _targets(_sections(config))):
        return
    with contextlib.suppress(OSError):
        for place in [folder] if folder else _folders()[:-1]:
            place.mkdir(parents=True, exist_ok=True)
            kept = {"names": [[dict(choices), dict(found)] for choices, found in names]}
            atomic_files.write_json(place / _name(config, first_seed), kept)


def _folders() -> list[Path]:
    """Return where it is looked for: the account's own, where it has a home, the installation's."""
    try:
        return [key_file().parent / "read_back", INSTALLED]
    except RuntimeError:
        return [INSTALLED]


def _all_text(names: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(name, str) for name in names.values()):
        raise TypeError("a name is no text")
    return dict(names)


def _targets(value: Any) -> Iterator[str]:
    """Yield the classes that a configuration names."""
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        for inner in value.values():
            yield from _targets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _targets(inner)


def _name(config: Mapping[str, Any], first_seed: int) -> str:
    tuning = {name: config["tuning"].get(name) for name in _OF_TUNING}
    told = [_sections(config), tuning, first_seed, versions(), _code()]
    text = json.dumps(told, sort_keys=True, default=repr)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections that agents and their clinic are built from, on however many threads."""
    others = ("tuning", *_OF_OTHERS)
    found = {n: v for n, v in config.items() if isinstance(v, Mapping) and n not in others}
    training = found.get("training", {})
    return {**found, "training": {k: v for k, v in training.items() if k != "torch_threads"}}


def _code() -> list[tuple[str, int, int]]:
    """Return what tells this installation's code from another: name, time and size of its files."""
    package = packaged("conf").parent / "abx_amr"
    files = [(file, file.stat()) for file in sorted(package.rglob("*.py"))]
    return [(str(file), stat.st_mtime_ns, stat.st_size) for file, stat in files]
