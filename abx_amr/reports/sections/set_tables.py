"""The tables of a set: conditions with their returns, paired tests, all clinics, all runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.tables import Cell, Column, Table, intervals, numbers, signed
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import collapse_in_words, duration, is_known, percent

NAME = "Conditions compared"
PAGES = ("set",)
ORDER = 10


def render(subject: SetSubject) -> Markup | None:
    """Return figure and tables; None where nothing was gathered."""
    conditions, runs = subject.tables.get("conditions"), subject.tables.get("runs")
    if conditions is None or runs is None:
        return None
    sure = percent(subject.confidence, 0) if subject.confidence else "95 %"
    shown = {"conditions": conditions, "runs": runs}
    svg = inline_svg("returns", shown) if subject.has_figures else None
    return fill(
        "set_tables.html",
        svg=svg,
        interval=sure,
        conditions=_conditions(conditions, sure),
        pairs=_pairs(subject.tables.get("pairs"), sure),
        overall=_overall(subject.tables.get("overall"), sure),
        runs=_runs(runs),
        notes=subject.notes,
        left_out=subject.left_out,
    )


def _conditions(table: pd.DataFrame, sure: str) -> Table:
    columns = [
        Column("condition"),
        Column("clinic"),
        Column("seeds", numeric=True),
        Column("mean", numeric=True),
        Column(f"{sure} interval", numeric=True),
        Column("IQM", numeric=True, title="mean of the middle half"),
        Column("AMR", numeric=True),
        Column("prescriptions", numeric=True),
        Column("gap", numeric=True, title="of the mean return to the optimum"),
        Column("expected gap", numeric=True, title="to the optimum, without the episodes' luck"),
        Column("against the best rule", numeric=True, title="on the same episodes"),
    ]
    ordered = table.sort_values(["clinic", "mean"], ascending=[True, False])
    rows = [
        [
            str(row["condition"]),
            str(row["clinic"]),
            Cell(str(row["seeds"]) if row["learns"] else "rule", float(row["seeds"])),
            numbers(row["mean"]),
            intervals((row["mean_low"], row["mean_high"])),
            numbers(row["iqm"]),
            numbers(row["mean_amr"], 3),
            numbers(row["prescriptions"], 1),
            numbers(row["gap"]),
            numbers(row.get("expected_gap")),
            signed(row.get("best_rule_difference")),
        ]
        for row in ordered.to_dict("records")
    ]
    return columns, rows


def _pairs(table: pd.DataFrame | None, sure: str) -> Table | None:
    if table is None or table.empty:
        return None
    columns = [
        Column("difference of"),
        Column("clinic"),
        Column("pairs", numeric=True),
        Column("mean", numeric=True),
        Column(f"{sure} interval", numeric=True),
        Column("t test", numeric=True, title="p-value, corrected for their number (Holm)"),
        Column("Wilcoxon", numeric=True, title="p-value, corrected for their number (Holm)"),
        Column(
            "P(better)",
            numeric=True,
            title="chance that a run of the first beats one of the second",
        ),
    ]
    rows = [
        [
            f"{row['first']} − {row['second']}",
            str(row["clinic"]),
            numbers(row["pairs"], 0),
            signed(row["difference"]),
            intervals((row["low"], row["high"])),
            numbers(row["t_p_holm"], 3),
            numbers(row["wilcoxon_p_holm"], 3),
            numbers(row["probability_of_improvement"]),
        ]
        for row in table.to_dict("records")
    ]
    return columns, rows


def _overall(table: pd.DataFrame | None, sure: str) -> Table | None:
    if table is None or table.empty:
        return None
    columns = [
        Column("condition"),
        Column("clinics", numeric=True),
        Column("runs", numeric=True),
        Column("share of the range", numeric=True),
        Column(f"{sure} interval", numeric=True),
        Column("IQM", numeric=True),
    ]
    rows = [
        [
            str(row["condition"]),
            numbers(row["clinics"], 0),
            numbers(row["runs"], 0),
            numbers(row["mean"], 3),
            intervals((row["mean_low"], row["mean_high"]), 3),
            numbers(row["iqm"], 3),
        ]
        for row in table.sort_values("mean", ascending=False).to_dict("records")
    ]
    return columns, rows


def _runs(table: pd.DataFrame) -> Table:
    is_any = "collapse" in table and bool(table["collapse"].notna().any())
    collapsed = [Column("collapsed", title="the policy does the same whatever it sees")]
    columns = [
        Column("run"),
        Column("condition"),
        *(collapsed if is_any else ()),
        Column("seed", numeric=True),
        Column("return", numeric=True),
        Column("std", numeric=True),
        Column("gap", numeric=True),
        Column("AMR", numeric=True),
        Column("steps", numeric=True),
        Column("time", numeric=True),
    ]
    return columns, [_run(row, is_any) for row in table.to_dict("records")]


def _run(row: Mapping[Any, Any], tells_collapse: bool) -> list[Any]:
    seconds = row.get("training_seconds")
    seed = row["seed"]
    is_rule = pd.isna(seed)
    return [
        str(row["run"]),
        str(row["condition"]),
        *([collapse_in_words(row["collapse"])] if tells_collapse else ()),
        Cell("rule" if is_rule else str(int(seed)), None if is_rule else float(seed)),
        numbers(row["return"]),
        numbers(row["return_std"]),
        numbers(row["gap"]),
        numbers(row["mean_amr"], 3),
        numbers(row["steps"], 0),
        Cell(duration(seconds), seconds if is_known(seconds) else None),
    ]
