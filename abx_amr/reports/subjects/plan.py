"""A plan's folder as a page takes it: plan.json, written by abx-plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from abx_amr.reports.subjects.subject import PAGE, Reading


@dataclass(frozen=True)
class PlanSubject:
    """What is known of a clinic.

    Args:
        path: Its folder.
        has_figures: Whether figures are drawn.
    """

    path: Path
    has_figures: bool = True
    reading: Reading = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", Reading(self.path))

    @property
    def kind(self) -> str:
        """The page of a plan."""
        return "plan"

    @property
    def name(self) -> str:
        """The clinic's name."""
        return str(self.content.get("clinic") or self.path.name)

    @property
    def page_file(self) -> Path:
        """In its own folder."""
        return self.path / PAGE

    @property
    def problems(self) -> list[str]:
        """What could not be read."""
        return self.reading.problems

    @cached_property
    def content(self) -> dict[str, Any]:
        """What plan.json holds."""
        return self.reading.json(self.path / "plan.json")

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Command, versions, commit; empty for a plan of an earlier release."""
        file = self.path / "provenance.json"
        return self.reading.json(file) if file.is_file() else {}

    @cached_property
    def optimal_episode(self) -> pd.DataFrame | None:
        """A row per step of the optimal policy: patients, given_<X>, level_<X>; None: not kept."""
        return self.reading.table(self.path / "figures" / "data" / "optimal_episode.csv")

    @property
    def optimum(self) -> dict[str, Any]:
        """The optimum or its bounds; empty where there is none."""
        return self.content.get("optimum") or {}

    @cached_property
    def policies(self) -> pd.DataFrame:
        """One row per rule and agent, the best first."""
        table = pd.DataFrame(self.content.get("policies") or [])
        return table if table.empty else table.sort_values("value", ascending=False)

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Policies, and the front where it was asked for."""
        found = {"policies": self.policies}
        if self.content.get("front"):
            found["front"] = pd.DataFrame(self.content["front"])
        return {name: table for name, table in found.items() if not table.empty}
