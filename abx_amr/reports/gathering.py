"""Runs gathered into the tables of a set's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abx_amr.errors import InputError, counted
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.subjects.subject import PAGE
from abx_amr.runs.folder import RunFolder, run_folders_below


def gathered(
    folder: Path,
    runs: Sequence[Path] | None = None,
    *,
    name: str | None = None,
    file: str = PAGE,
    has_figures: bool = True,
) -> SetSubject:
    """Return the runs below a folder, or those named, as a set with its tables.

    Args:
        folder: Where the page lies.
        runs: Run folders (default: all below the folder).
        name: What the page is headed with.
        file: The page's name.
        has_figures: Whether figures are drawn.

    Raises:
        InputError: none of them is complete.
    """
    from abx_amr.comparison import comparing, conditions, reading
    from abx_amr.comparison.pairs import pairs_table

    chosen = run_folders_below(folder) if runs is None else [RunFolder(path) for path in runs]
    found, left_out = reading.read_runs(chosen)
    if not found:
        why = f": {left_out[0].name}: {left_out[0].reason}" if left_out else ""
        raise InputError(f"none of {counted(len(chosen), 'run')} in {folder} is complete{why}")
    found, repeated = reading.newest_of_each(found, [conditions.identity(run) for run in found])
    clinics, labels, notes = conditions.label_runs(found)
    grouped = comparing.grouped(found, clinics, labels)
    pairs = pairs_table(grouped)
    tables = {
        "conditions": comparing.conditions_table(grouped),
        "pairs": pairs,
        "overall": comparing.overall_table(grouped),
        "runs": reading.runs_table(found, clinics, labels, [run.settings for run in found]),
    }
    return SetSubject(
        path=folder,
        name=name or folder.resolve().name,
        tables={key: table for key, table in tables.items() if len(table)},
        notes=[*notes, *comparing.notes_on(grouped, pairs)],
        left_out=[(one.name, one.reason) for one in (*left_out, *repeated)],
        confidence=comparing.Bootstrap().confidence,
        has_figures=has_figures,
        file=file,
    )
