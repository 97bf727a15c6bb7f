"""Where a result comes from, as a page says it: command, versions, commit, machine."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from abx_amr.configuration.values import CLINIC_SECTIONS

_OF_A_CLINIC = ("experiment", *CLINIC_SECTIONS)
_REPEATED = (*_OF_A_CLINIC, "agent_algorithm", "training")
#: What a study gives its trials itself.
NOT_OF_A_STUDY = (
    "training.seed",
    "training.seeds",
    "training.additional_episodes",
)


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """How a result is repeated.

    Attributes:
        command: What was typed, None where it is not known or none of our commands.
        facts: Name and value of what else decides a result.
        warning: Why the same command may give something else.
        elsewhere: Where it is said, if it is not said here.
    """

    command: str | None
    facts: list[tuple[str, str]]
    warning: str | None
    elsewhere: str = "The command that made it is not recorded."

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Repeated:
        """Return what a provenance.json says, as far as it says it."""
        git, host = provenance.get("git") or {}, provenance.get("host") or {}
        seeds, versions = provenance.get("seeds") or {}, provenance.get("versions") or {}
        facts = [(f"{name} seed", str(seed)) for name, seed in seeds.items()]
        facts += [(str(name), str(version)) for name, version in versions.items() if version]
        if git.get("commit"):
            facts.append(("commit", str(git["commit"])[:12]))
        elif provenance.get("versions"):
            facts.append(("commit", "none: no repository here; the versions say what ran"))
        if provenance.get("started"):
            facts.append(("started", str(provenance["started"])))
        if host.get("platform"):
            facts.append(("platform", str(host["platform"])))
        return cls(
            command=command_of(provenance),
            facts=facts,
            warning="It was made with local changes that no commit holds."
            if git.get("has_local_changes")
            else None,
        )


def command_of(provenance: Mapping[str, Any]) -> str | None:
    """Return the command that a provenance.json holds, fit to be pasted whoever wrote the file.

    >>> command_of({"command": "abx-train run_name=a; rm -r ~"})
    "abx-train 'run_name=a;' rm -r '~'"
    >>> command_of({"command": "curl example.org"}), command_of({})
    (None, None)
    """
    try:
        words = shlex.split(str(provenance.get("command") or ""))
    except ValueError:
        return None
    if not words:
        return None
    name = PurePath(words[0]).name
    return shlex.join([name, *words[1:]]) if name.startswith("abx-") else None


def given_by(provenance: Mapping[str, Any], *, searched: Collection[str]) -> dict[str, str]:
    """Return key -> value of what a study's command said, without what it searched."""
    words = shlex.split(command_of(provenance) or "")[1:]
    pairs = [word.lstrip("+").partition("=") for word in words if "=" in word]
    return {key: value for key, _, value in pairs if key not in searched}


def settings_to_repeat(given: Mapping[str, str]) -> list[str]:
    """Return the settings of clinic, agent and training among them, to be put behind a command."""
    return [
        f"{key}={value}"
        for key, value in given.items()
        if key.split(".")[0] in _REPEATED and key not in NOT_OF_A_STUDY
    ]


def clinic_to_repeat(given: Mapping[str, str]) -> list[str]:
    """Return the settings of the clinic among them."""
    return [f"{key}={value}" for key, value in given.items() if key.split(".")[0] in _OF_A_CLINIC]
