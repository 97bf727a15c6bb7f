"""Build the role of an agent that chooses options: its library and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.classes import (
    check_arguments,
    dataclass_arguments,
    instantiate_nested,
    locate,
)
from abx_amr.configuration.mistakes import no_library_key
from abx_amr.configuration.values import section_of
from abx_amr.errors import InputError, unknown

if TYPE_CHECKING:
    from abx_amr.hierarchy.library import OptionEntry
    from abx_amr.hierarchy.manager import ManagerRole

_OPTION_TYPES = {
    "block": "abx_amr.hierarchy.options.Block",
    "alternation": "abx_amr.hierarchy.options.Alternation",
    "heuristic": "abx_amr.hierarchy.options.Heuristic",
}


def build_manager_role(config: Mapping[str, Any]) -> ManagerRole:
    """Return the manager's role: its options as they are configured, and its settings.

    Raises:
        InputError: an unknown key, option type or parameter; the message names the option.
    """
    from abx_amr.hierarchy.manager import ManagerRole, ManagerSettings

    hrl = section_of(config, "hrl")
    if "option_library" in hrl:
        raise InputError(no_library_key())
    settings = ManagerSettings(**dataclass_arguments(ManagerSettings, hrl, key="hrl"))
    library = section_of(config, "option_library")
    parts = ("options", "for_each_antibiotic")
    for key in library:
        if key not in parts:
            raise InputError(unknown("option_library key", str(key), parts))
    entries, templates = (_option_entries(library.get(part) or {}, part) for part in parts)
    return ManagerRole(entries=entries, for_each_antibiotic=templates, settings=settings)


def _option_entries(section: Any, part: str) -> tuple[OptionEntry, ...]:
    """Return the options under `option_library.<part>`, each with its class."""
    from abx_amr.hierarchy.library import OptionEntry
    from abx_amr.hierarchy.options import Option

    if not isinstance(section, Mapping):
        raise InputError(f"option_library.{part} must map names to options, got {section!r}")
    found = []
    for name, entry in section.items():
        key = f"option_library.{part}.{name}"
        if not isinstance(entry, Mapping):
            raise InputError(f"{key} must be a section with its type, got {entry!r}")
        parameters = dict(entry)
        kind = parameters.pop("type", "custom")
        target = parameters.pop("_target_", None)
        if kind != "custom":
            if not isinstance(kind, str) or kind not in _OPTION_TYPES:
                known = (*_OPTION_TYPES, "custom")
                raise InputError(f"option '{name}': {unknown('type', str(kind), known)}")
            if target is not None:
                raise InputError(f"option '{name}': _target_ goes with type: custom, not {kind}")
            target = _OPTION_TYPES[kind]
        elif not isinstance(target, str):
            raise InputError(
                f"option '{name}' needs a type ({', '.join(_OPTION_TYPES)}), or the _target_ of a "
                "class of its own"
            )
        made = locate(target, key=f"{key}._target_")
        if not (isinstance(made, type) and issubclass(made, Option)):
            raise InputError(
                f"option '{name}': {target} must be an Option: a class that inherits from "
                "abx_amr.hierarchy.options.Option"
            )
        check_arguments(made, (*parameters, "name"), key=f"option '{name}': {key}")
        arguments = {k: instantiate_nested(v, key=f"{key}.{k}") for k, v in parameters.items()}
        found.append(OptionEntry(name=str(name), made=made, arguments=arguments))
    return tuple(found)
