"""Where searched values were read back in built agents, kept, so that nothing is built to see it.

~/.local/state/abx-amr/read_back/<fingerprint>.json    below XDG_STATE_HOME where that is set

To build agents their libraries are loaded, which takes longer than everything else before a study
is ready; a process that only launches workers needs them for nothing more. What is kept counts for
the same configuration, the same versions and the same code alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
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
_OF_TUNING = ("search_space", "truncated_episodes")


def read(config: Mapping[str, Any], first_seed: int) -> dict[str, str] | None:
    """Return what was kept of a study's configuration, see `Points.read_back_names`; or None."""
    try:
        kept = read_json(_file(config, first_seed))["names"]
    except (OSError, RuntimeError, InputError, KeyError, TypeError):  # RuntimeError: no home
        return None
    if not isinstance(kept, dict) or not all(isinstance(name, str) for name in kept.values()):
        return None
    return kept


def keep(config: Mapping[str, Any], first_seed: int, names: Mapping[str, str]) -> None:
    """Keep the names for a study's configuration; where they cannot be, they are found again."""
    with contextlib.suppress(OSError, RuntimeError):
        file = _file(config, first_seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write_json(file, {"names": dict(names)})


def _file(config: Mapping[str, Any], first_seed: int) -> Path:
    sections = {
        name: value
        for name, value in config.items()
        if isinstance(value, Mapping) and name not in ("tuning", *_OF_OTHERS)
    }
    tuning = {name: config["tuning"].get(name) for name in _OF_TUNING}
    told = [sections, tuning, first_seed, versions(), _code()]
    text = json.dumps(told, sort_keys=True, default=repr)
    return (
        key_file().parent / "read_back" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    )


def _code() -> list[tuple[str, int, int]]:
    """Return what tells this installation's code from another: name, time and size of its files."""
    package = packaged("conf").parent / "abx_amr"
    files = [(file, file.stat()) for file in sorted(package.rglob("*.py"))]
    return [(str(file), stat.st_mtime_ns, stat.st_size) for file, stat in files]
