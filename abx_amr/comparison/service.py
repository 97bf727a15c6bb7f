"""Gather runs, put them into conditions and compare these: one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from abx_amr.checks import Count, Index, Range, fits
from abx_amr.comparison import comparing, conditions, reading
from abx_amr.comparison.pairs import pairs_table
from abx_amr.errors import InputError, counted
from abx_amr.host.notebook import result_as_html

if TYPE_CHECKING:
    import pandas as pd

#: Key -> what it must be.
ASKED: dict[str, Any] = {
    "results_dir": str,
    "runs": list[str],
    "what": Literal["runs", "evaluations"],
    "by": list[str],
    "against": str | None,
    "folder": str,
    "format": Literal["csv", "parquet", "both"],
    "figures": bool,
    "report": bool,
    "confidence": Annotated[float, Range(low=0.0, high=1.0, open_low=True, open_high=True)],
    "resamples": Count,
    "seed": Index,
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs in one table, the conditions they make, and paired tests between these.

    Attributes:
        tables: runs and conditions; pairs where two conditions share a clinic, overall where there
            are several clinics.
        notes: What makes a comparison less fair than it looks.
        left_out: Folders that are no run to gather, with the reason.
        n_runs: How many runs were gathered.
        n_conditions: How many conditions they make.
        n_clinics: In how many clinics.
    """

    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    notes: Sequence[str]
    left_out: Sequence[reading.LeftOut] = field(repr=False)
    n_runs: int
    n_conditions: int
    n_clinics: int

    @property
    def runs(self) -> pd.DataFrame:
        """A row for each run."""
        return self.tables["runs"]

    @property
    def conditions(self) -> pd.DataFrame:
        """A row for each condition of each clinic: mean and IQM with intervals, over runs."""
        return self.tables["conditions"]

    @property
    def pairs(self) -> pd.DataFrame | None:
        """A row for each two conditions, paired by training seed; None where there are none."""
        return self.tables.get("pairs")

    @property
    def overall(self) -> pd.DataFrame | None:
        """A row for each condition over all clinics; None for one clinic."""
        return self.tables.get("overall")

    def counts(self) -> str:
        """Return how much was gathered, for people."""
        counts = {"run": self.n_runs, "condition": self.n_conditions, "clinic": self.n_clinics}
        runs, conditions, clinics = (counted(count, name) for name, count in counts.items())
        return f"{runs}, {conditions} in {clinics}"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        tables = {"conditions": self.conditions[[*_OF_CONDITIONS]]}
        if self.pairs is not None:
            tables["pairs, by training seed"] = self.pairs[[*_OF_PAIRS]]
        facts = {f"note {number}": note for number, note in enumerate(self.notes, start=1)}
        if self.left_out:
            facts["left out"] = ", ".join(f"{one.name}: {one.reason}" for one in self.left_out)
        return result_as_html(self.counts(), facts, tables)


_OF_CONDITIONS = ("clinic", "condition", "seeds", "mean", "mean_low", "mean_high", "iqm", "gap")
_OF_PAIRS = ("clinic", "first", "second", "pairs", "difference", "low", "high", "t_p_holm")


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a comparison, checked.

    Raises:
        InputError: a value is not of its kind.
    """
    settings = dict(asked)
    for key in ("runs", "by"):
        if isinstance(settings[key], str):
            settings[key] = [settings[key]]
    for key, declared in ASKED.items():
        fits(key, settings[key], declared)
    return settings


def gather(asked: Mapping[str, Any]) -> Comparison:
    """Return the runs that the settings choose, compared; nothing is written.

    Raises:
        InputError: none of the folders holds a complete run, or a condition is unknown.
    """
    folders = reading.chosen_folders(asked["results_dir"], asked["runs"])
    runs, left_out = reading.read_runs(folders, kind=asked["what"])
    if not runs:
        more = f" (and {counted(len(left_out) - 1, 'other')})" if len(left_out) > 1 else ""
        why = f": {left_out[0].name}: {left_out[0].reason}{more}" if left_out else ""
        raise InputError(f"none of {len(folders)} folders holds a complete run to gather{why}")
    runs, repeated = reading.newest_of_each(runs, [conditions.identity(run) for run in runs])
    clinics, labels, notes = conditions.label_runs(runs, by=asked["by"])
    grouped = comparing.grouped(runs, clinics, labels)
    bootstrap = comparing.Bootstrap(
        confidence=asked["confidence"], resamples=asked["resamples"], seed=asked["seed"]
    )
    pairs = pairs_table(grouped, against=asked["against"], bootstrap=bootstrap)
    tables = {
        "runs": reading.runs_table(runs, clinics, labels, [run.settings for run in runs]),
        "conditions": comparing.conditions_table(grouped, bootstrap),
        "pairs": pairs,
        "overall": comparing.overall_table(grouped, bootstrap),
    }
    return Comparison(
        tables={name: table for name, table in tables.items() if len(table)},
        notes=[*notes, *comparing.notes_on(grouped, pairs)],
        left_out=[*left_out, *repeated],
        n_runs=len(runs),
        n_conditions=len(grouped),
        n_clinics=len(set(clinics)),
    )
