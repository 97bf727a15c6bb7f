"""The files that keep a clinic in a project: an experiment, and the parts that are its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from abx_amr.app.clinic.draft import TWO_GROUPS, Draft
from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_text
from abx_amr.host.folder_names import check_folder_name
from abx_amr.host.locations import packaged

_MARK = "# Made in abx-app"
_LARGEST_NAME = 60


def experiment_name(name: str) -> str:
    """Return a clinic's name when a file and a command line can have it.

    Raises:
        InputError: it cannot.

    >>> experiment_name("three_drugs")
    'three_drugs'
    """
    if not name:
        raise InputError("name: the clinic needs a name, such as three_drugs")
    check_folder_name("name", name)
    if not name[0].isalpha() or not name.isascii() or set(name) & set(".,=+~()@%^-"):
        raise InputError(
            f"name must be letters, digits and _, a letter first, such as three_drugs, got {name!r}"
        )
    if len(name) > _LARGEST_NAME:
        raise InputError(f"name must have at most {_LARGEST_NAME} characters, got {len(name)}")
    return name


def files_of(draft: Draft) -> dict[str, str]:
    """Return path below conf/ -> text of each file that a clinic consists of."""
    name, sections = draft.name, draft.sections()
    own = draft.population == TWO_GROUPS
    files = {
        f"antibiotics/{name}.yaml": _file(
            "Formulary", f"abx-train antibiotics={name}", sections["antibiotics"]
        )
    }
    if own:
        files[f"patient_generator/{name}.yaml"] = _file(
            "Population", f"abx-train patient_generator={name}", sections["patient_generator"]
        )
    values: dict[str, Any] = {
        "defaults": [
            {"override /antibiotics": name},
            {"override /patient_generator": name if own else draft.population},
            {"override /reward_calculator": draft.reward},
        ],
        "environment": sections["environment"],
        "reward_calculator": sections["reward_calculator"],
    }
    drugs = ", ".join(drug.name for drug in draft.drugs)
    head = f"{_MARK}: a clinic of this project with {drugs}.\n#   abx-train experiment={name}\n"
    files[f"experiment/{name}.yaml"] = f"# @package _global_\n{head}{_yaml(values)}"
    return files


def save(draft: Draft, workplace: Workplace) -> list[Path]:
    """Write the files of a clinic; return them, the experiment last.

    Raises:
        InputError: its name cannot be one, or a file that was not made here has it.
    """
    experiment_name(draft.name)
    for name in files_of(draft):
        if (packaged("conf") / name).is_file():
            raise InputError(f"name: abx-amr has a conf/{name} of its own: choose another name")
    files = {workplace.conf / path: text for path, text in files_of(draft).items()}
    for path in files:
        if path.exists() and not is_ours(path):
            there = path.relative_to(workplace.root)
            raise InputError(f"name: {there} is there and was not made here: choose another name")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return list(files)


def saved_clinics(workplace: Workplace) -> list[tuple[str, float]]:
    """Return name and moment of each clinic that was saved here, in seconds since 1970."""
    files = [file for file in (workplace.conf / "experiment").glob("*.yaml") if is_ours(file)]
    return [(file.stem, file.stat().st_mtime) for file in files]


def is_ours(path: Path) -> bool:
    """Return whether a file was made here, so that it may be replaced."""
    try:
        return _MARK in path.read_text(encoding="utf-8")[:200]
    except (OSError, UnicodeDecodeError):
        return False


def _file(what: str, command: str, content: Mapping[str, Any]) -> str:
    return f"{_MARK}: {what.lower()} of this project.\n#   {command}\n{_yaml(content)}"


def _yaml(content: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=100))
