"""The commands that are installed, in the order in which a newcomer meets them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

#: What belongs to `abx` alone, and its line in the list.
OWN = {
    "doctor": "check the installation, and print what belongs in a bug report",
    "compile": "compile the clinic and the agents now, so that no later command waits for it",
    "completion": "print the shell's completion: abx completion bash (zsh, fish)",
}


def commands() -> Mapping[str, EntryPoint]:
    """Return train, tune, ... -> the console script that was installed as abx-train, abx-tune."""
    found = {
        script.name.removeprefix("abx-"): script
        for script in entry_points(group="console_scripts")
        if script.name.startswith("abx-") and script.value.startswith("abx_amr.")
    }
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


#: The order in which a newcomer meets them; others follow by name.
_ORDER = (
    *("init", "app", "train", "evaluate", "tune", "study", "gather", "report", "plan"),
    "postgres",
)


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
