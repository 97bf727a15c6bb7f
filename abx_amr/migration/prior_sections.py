"""What a section of the prior tool is read with: values taken out, and notes of what is lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.locations import packaged

Plain = dict[str, Any]


ATTRIBUTES = (
    "prob_infected",
    "benefit_value_multiplier",
    "failure_value_multiplier",
    "benefit_probability_multiplier",
    "failure_probability_multiplier",
    "recovery_without_treatment_prob",
)


NO_TREATMENT = "no_treatment"


@dataclass
class Notes:
    """What was not carried over, what was filled in, and what means something else here."""

    lost: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def lose(self, what: str, value: Any, why: str) -> None:
        """Note a setting that was not carried over."""
        shown = "" if isinstance(value, Mapping | list) and len(str(value)) > 60 else f" = {value}"
        self.lost.append(f"{what}{shown}: {why}")

    def fill(self, what: str, value: Any) -> None:
        """Note a setting that was not given, and what it is here."""
        self.filled.append(f"{what}: not given, {value} is used")

    def lose_rest(self, rest: Mapping[str, Any], where: str) -> None:
        """Note settings for which there is no counterpart."""
        for key, value in rest.items():
            self.lose(f"{where}{key}", value, "there is no such setting here")


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What an umbrella became: group -> content, and values of the experiment itself."""

    members: Mapping[str, Plain]
    values: Plain


def default_of(group: str, name: str = "default") -> Plain:
    """Return the content of a packaged file, without what it inherits.

    A key that another one may set (`${oc.select:KEY,25}`) is what it is where that is not given.
    """
    text = (packaged("conf") / group / f"{name}.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{oc\.select:[\w.]+,\s*([^}]+)\}", r"\1", text)
    content: Plain = yaml.safe_load(text)
    content.pop("defaults", None)
    return content


def fill_group(notes: Notes, section: str, name: str) -> None:
    """Note a section that the umbrella does not name, and which of ours takes its place."""
    notes.filled.append(f"{section}: the umbrella names none, {section}={name} is used")


def take(section: Plain, key: str, default: Any, notes: Notes, where: str) -> Any:
    """Take a value out of a section, or our default, which is noted."""
    if key in section:
        return section.pop(key)
    notes.fill(f"{where}{key}", default)
    return default


def take_section(section: Plain, key: str, where: str) -> Plain:
    """Take a section out of a section, an empty one where it is not there.

    Raises:
        InputError: it is something else.
    """
    value = section.pop(key, None)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"--from-umbrella: {where}{key} must be a section, got {value!r}")
    return dict(value)


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list that a file must hold.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, list):
        raise InputError(
            f"--from-umbrella: {what} holds a value of the wrong kind: it must be a list, "
            f"got {value!r}"
        )
    return list(value)


def number_of(value: Any, what: str) -> float:
    """Return a number that a file must hold.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"--from-umbrella: {what} holds a value of the wrong kind: it must be a number, "
            f"got {value!r}"
        )
    return float(value)


def mapping_of(value: Any, what: str) -> Mapping[str, Any]:
    """Return a section with entries that a file must hold.

    Raises:
        InputError: it is empty, or something else.
    """
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"--from-umbrella: {what} must be a section with entries, got {value!r}")
    return value


def check_name(name: object, where: str) -> None:
    """Refuse an antibiotic's name that YAML has read as something else.

    Raises:
        InputError: it is no text.
    """
    if not isinstance(name, str):
        raise InputError(
            f"--from-umbrella: {where} has the antibiotic {name!r}, which is no text: YAML reads "
            "an unquoted no, on or 1 so; quote it in the file, such as 'no'"
        )
