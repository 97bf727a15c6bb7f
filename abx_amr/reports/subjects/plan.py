"""A plan's folder as a page takes it: plan.json, written by abx-plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from abx_amr.reports.subjects.subject import FolderSubject

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PlanSubject(FolderSubject):
    """What is known of a clinic.

    Args:
        path: Its folder.
        has_figures: Whether figures are drawn.
    """

    KIND: ClassVar[str] = "plan"

    @property
    def name(self) -> str:
        """The clinic's name."""
        return str(self.content.get("clinic") or self.path.name)

    @cached_property
    def content(self) -> dict[str, Any]:
        """What plan.json holds."""
        return self.reading.json(self.path / "plan.json")

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Command, versions, commit; empty for a plan of an earlier release."""
        return self.provenance_in(self.path / "provenance.json")

    @cached_property
    def optimal_episode(self) -> pd.DataFrame | None:
        """A row per step of the optimal policy: patients, given_<X>, level_<X>; None: not kept."""
        return self.reading.table(self.path / "figures" / "data" / "optimal_episode.csv")

    @property
    def optimum_name(self) -> str:
        """What its value is: the optimum, or an upper bound of it."""
        is_it = self.optimum.get("is_exact") and not self.optimum.get("caveats")
        return "optimum" if is_it else "upper bound of the optimum"

    @property
    def optimum(self) -> dict[str, Any]:
        """The optimum or its bounds; empty where there is none."""
        return self.content.get("optimum") or {}

    @cached_property
    def policies(self) -> pd.DataFrame:
        """One row per rule and agent, the best first."""
        import pandas as pd

        table = pd.DataFrame(self.content.get("policies") or [])
        return table if table.empty else table.sort_values("value", ascending=False)

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Policies, and the front where it was asked for."""
        import pandas as pd

        found = {"policies": self.policies}
        if self.content.get("front"):
            found["front"] = pd.DataFrame(self.content["front"])
        return {name: table for name, table in found.items() if not table.empty}
