"""The prior tool's option libraries as ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abx_amr.errors import InputError
from abx_amr.migration.prior_files import (
    Part,
    Umbrella,
    find,
    read_yaml,
)
from abx_amr.migration.prior_sections import (
    NO_TREATMENT,
    Notes,
    Plain,
    list_of,
    mapping_of,
    take_section,
)

#: What an option's file says for people, or of how the prior tool found the class of its type.
_OF_NO_EFFECT = ("description", "version", "plugin", "loader_module", "loader_function")


OPTION_PARAMETERS = {
    "block": ("antibiotic", "duration"),
    "alternation": ("sequence",),
    "heuristic": (
        *("duration", "action_thresholds", "uncertainty_threshold"),
        *("use_relative_uncertainty", "default_recovery_without_treatment_prob"),
    ),
}


def _old_places(umbrella: Umbrella) -> list[Path]:
    """Return where the prior tool was called, as far as can be guessed: its project lies there."""
    return [umbrella.file.parent, Path.cwd(), *umbrella.file.parent.parents]


def library_of(reference: Any, umbrella: Umbrella) -> Part:
    """Return the option library that an umbrella gives or names."""
    if isinstance(reference, Mapping):
        return Part(content=reference, file=umbrella.file)
    message = f"--from-umbrella: hrl.option_library in '{umbrella.file}'"
    folders = [umbrella.options_folder, umbrella.config_folder, *_old_places(umbrella)]
    file = find(str(reference), folders, said_by=message)
    return Part(content=read_yaml(file, said_by=message), file=file)


def translate_options(
    library: Part, umbrella: Umbrella, drugs: Sequence[str], notes: Notes
) -> dict[str, Plain]:
    """Return name -> option for those that have a counterpart."""
    section = dict(library.content)
    for of_the_file in ("library_name", *_OF_NO_EFFECT):
        section.pop(of_the_file, None)
    entries = section.pop("options", None)
    notes.lose_rest(section, f"{library.file.name}: ")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise InputError(f"--from-umbrella: '{library.file}' must list its options, got {entries}")
    found: dict[str, Plain] = {}
    for entry in entries:
        own = dict(mapping_of(entry, f"each of the options in '{library.file}'"))
        name, kind = str(own.pop("option_name", "")), own.pop("option_type", None)
        where = f"option {name}"
        if not isinstance(kind, str) or kind not in OPTION_PARAMETERS:
            why = "its class must be rewritten, see the example in components/options.py"
            notes.lose(where, kind, why if kind == "custom" else "no such type of option")
            continue
        if name in found:
            notes.lose(where, kind, "a second option of this name")
            continue
        parameters: Plain = {}
        if (reference := own.pop("option_subconfig_file", None)) is not None:
            folders = [library.folder, umbrella.options_folder, umbrella.config_folder]
            folders += _old_places(umbrella)
            file = find(str(reference), folders, said_by=f"--from-umbrella: '{library.file}'")
            parameters |= read_yaml(file, said_by=f"--from-umbrella: {where}")
        parameters |= take_section(own, "config_params_override", f"{where}: ")
        for said_before in ("option_name", "option_type", "name", "type", *_OF_NO_EFFECT):
            parameters.pop(said_before, None)
            own.pop(said_before, None)
        notes.lose_rest(own, f"{where}: ")
        known = OPTION_PARAMETERS[kind]
        taken = {key: parameters.pop(key) for key in known if key in parameters}
        notes.lose_rest(parameters, f"{where}: ")
        fitting = _fitting(kind, taken, drugs, where, notes)
        if fitting is not None:
            found[name] = {"type": kind, **fitting}
    return found


def _fitting(
    kind: str, taken: Plain, drugs: Sequence[str], where: str, notes: Notes
) -> Plain | None:
    """Return an option's parameters in our words, None where it is none for this formulary."""
    required = {"block": ("antibiotic", "duration"), "alternation": ("sequence",)}
    for key in required.get(kind, ("duration", "action_thresholds")):
        if key not in taken:
            notes.lose(where, kind, f"it has no {key}")
            return None
    if kind == "heuristic":
        thresholds = dict(mapping_of(taken["action_thresholds"], f"{where}: action_thresholds"))
        known = {f"prescribe_{drug}": drug for drug in drugs}
        for key in [k for k in thresholds if k not in known and k != "prescribe_*"]:
            notes.lose(f"{where}: action_thresholds.{key}", thresholds.pop(key), "no antibiotic")
        if not thresholds:
            notes.lose(where, kind, "no threshold of it is left")
            return None
        return {**taken, "action_thresholds": thresholds}
    key = "antibiotic" if kind == "block" else "sequence"
    given = [taken[key]] if kind == "block" else list_of(taken[key], f"{where}: {key}")
    words = [NO_TREATMENT if str(g).lower() == NO_TREATMENT else str(g) for g in given]
    strange = [word for word in words if word not in (*drugs, NO_TREATMENT)]
    if strange:
        notes.lose(where, kind, f"'{strange[0]}' is no antibiotic of the environment")
        return None
    return {**taken, key: words[0] if kind == "block" else words}
