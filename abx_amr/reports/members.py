"""The runs of a set, read from their folders as far as these are at hand: clinic, origin, settings.

The tables of abx-gather name each run's folder; what differs between conditions stands in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.reports.subjects.subject import Reading
from abx_amr.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

#: Columns of a table of runs that say what was chosen; settings that differ are further ones.
CHOICES = ("experiment", "agent_algorithm")
_NO_PATHS = ("best_params_from",)
_UNSET = "not set"


@dataclass(frozen=True)
class Member:
    """A run of a set.

    Args:
        path: Its folder.
        name: Its name.
        condition: What it is a run of.
        clinic: What its clinic is called in the set.
    """

    path: Path
    name: str
    condition: str
    clinic: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its resolved configuration; empty where the folder is not here."""
        file = RunFolder(self.path).config_file
        return Reading(self.path).yaml(file) if file.is_file() else {}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Its command, versions, commit; empty where the folder is not here."""
        file = RunFolder(self.path).provenance_file
        return Reading(self.path).json(file) if file.is_file() else {}


def members_of(runs: pd.DataFrame | None, folder: Path) -> list[Member]:
    """Return the runs of a table of abx-gather, in its order.

    Args:
        runs: One row per run: run, condition, clinic, path.
        folder: Of the set, below or beside which a run may lie that was sent with it.
    """
    if runs is None or "path" not in runs:
        return []
    return [
        Member(
            path=_at_hand(Path(str(row["path"])), folder),
            name=str(row["run"]),
            condition=str(row["condition"]),
            clinic=str(row["clinic"]),
        )
        for row in runs.to_dict("records")
    ]


def _at_hand(path: Path, folder: Path) -> Path:
    places = (path, folder / path.name, folder.parent / path.name)
    return next((place for place in places if place.is_dir()), path)


def first_of_each(members: Sequence[Member], key: str) -> dict[str, Member]:
    """Return clinic, or condition -> the first of its runs whose folder is at hand."""
    found: dict[str, Member] = {}
    for member in members:
        name = str(getattr(member, key))
        if name not in found and member.path.is_dir():
            found[name] = member
    return found


def differing(runs: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return condition -> setting -> value, of the settings in which the conditions differ.

    What follows from a choice that is told, such as the settings that an algorithm alone has, is
    left out. Of a setting that differs between the runs of one condition every value is told.
    """
    chosen = [group for group in CHOICES if group in runs and runs[group].nunique(dropna=False) > 1]
    paths = [str(c) for c in runs if "." in str(c) or c in _NO_PATHS]
    told = [*chosen, *(path for path in paths if not _follows(runs, path, chosen))]
    by_condition = {
        str(condition): {path: _values(here[path]) for path in told}
        for condition, here in runs.groupby("condition", sort=False)
    }
    differ = [p for p in told if len({values[p] for values in by_condition.values()}) > 1]
    return {
        condition: {path: values[path] for path in differ if values[path] != _UNSET}
        for condition, values in by_condition.items()
    }


def _follows(runs: pd.DataFrame, path: str, chosen: Sequence[str]) -> bool:
    """Return whether a setting has one value for each choice of its section."""
    section = path.split(".")[0]
    if section not in chosen:
        return False
    return bool((runs.groupby(section, dropna=False)[path].nunique(dropna=False) == 1).all())


def _values(column: pd.Series) -> str:
    import pandas as pd

    return ", ".join(dict.fromkeys(_UNSET if pd.isna(v) else str(v) for v in column))


def common_choices(members: Sequence[Member]) -> Mapping[str, str]:
    """Return group -> what was chosen in it, of the groups in which every run chose the same."""
    chosen = [m.provenance.get("choices") or {} for m in members if m.provenance]
    if not chosen:
        return {}
    first, *others = chosen
    return {
        str(group): str(choice)
        for group, choice in first.items()
        if all(other.get(group) == choice for other in others)
    }
