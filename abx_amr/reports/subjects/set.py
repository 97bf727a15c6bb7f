"""A set of runs as a page takes it: the tables that abx-gather writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.reports.members import Member, members_of
from abx_amr.reports.subjects.subject import PAGE, Reading

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("conditions", "pairs", "overall", "runs")


@dataclass(frozen=True, kw_only=True)
class SetSubject:
    """Runs that are compared.

    Args:
        path: The folder that the page is written into.
        name: What the page is headed with.
        tables: Name (of TABLES) -> table.
        notes: What a reader of the tables must know.
        left_out: Runs that are in no table, and why.
        confidence: Of all intervals.
        has_figures: Whether figures are drawn.
        file: The page's name.
    """

    path: Path
    name: str
    tables: Mapping[str, pd.DataFrame]
    notes: Sequence[str] = ()
    left_out: Sequence[tuple[str, str]] = ()
    confidence: float | None = None
    has_figures: bool = True
    file: str = PAGE
    problems: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The page of a set."""
        return "set"

    @property
    def page_file(self) -> Path:
        """Beside the tables, or in the folder of the runs."""
        return self.path / self.file

    @cached_property
    def members(self) -> list[Member]:
        """The runs, as far as their folders are at hand."""
        return members_of(self.tables.get("runs"), self.path)

    @classmethod
    def in_folder(cls, folder: Path, *, has_figures: bool = True) -> SetSubject:
        """Return what abx-gather wrote into a folder."""
        reading = Reading(folder)
        tables = {}
        for name in TABLES:
            for ending in ("parquet", "csv"):
                table = reading.table(folder / f"{name}.{ending}")
                if table is not None:
                    tables[name] = table
                    break
        return cls(
            path=folder,
            name=folder.resolve().name,
            tables=tables,
            has_figures=has_figures,
            problems=reading.problems,
        )
