"""The tables of a set: conditions with their returns, paired tests, all clinics, all runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.tables import Cell, Column, Table, levels, numbers, signed, with_interval
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import collapse_in_words, duration, is_known, percent, rule

NAME = "Conditions compared"
PAGES = ("set",)
ORDER = 10

_UNLIKELY = 0.05  # a p-value below which two conditions are told apart
_GAP = "to the optimum, in expectation where that is known"


def render(subject: SetSubject) -> Markup | None:
    """Return figure and tables; None where nothing was gathered."""
    conditions, runs = subject.tables.get("conditions"), subject.tables.get("runs")
    if conditions is None or runs is None:
        return None
    sure = percent(subject.confidence, 0) if subject.confidence else "95 %"
    is_expected = _knows_expectation(conditions)
    shown = {"conditions": conditions, "runs": runs}
    if is_expected:
        shown = {name: _in_expectation(table) for name, table in shown.items()}
    svg = inline_svg("returns", shown) if subject.has_figures else None
    return fill(
        "set_tables.html",
        svg=svg,
        is_expected=is_expected,
        interval=sure,
        conditions=_conditions(conditions, sure),
        pairs=_pairs(subject.tables.get("pairs"), sure),
        overall=_overall(subject.tables.get("overall"), sure),
        runs=_runs(runs),
        notes=subject.notes,
        left_out=subject.left_out,
    )


def _knows_expectation(table: pd.DataFrame) -> bool:
    return "expected_return" in table and bool(table["expected_return"].notna().all())


def _in_expectation(table: pd.DataFrame) -> pd.DataFrame:
    """Return conditions, or runs, as they are drawn: by what they are worth in expectation."""
    names = {
        "mean": "expected_return",
        "mean_low": "expected_low",
        "mean_high": "expected_high",
        "return": "expected_return",
    }
    return table.assign(**{own: table[expected] for own, expected in names.items() if own in table})


def _conditions(table: pd.DataFrame, sure: str) -> Table:
    several = table["clinic"].nunique() > 1
    is_expected = "expected_return" in table and bool(table["expected_return"].notna().any())
    columns = [
        Column("condition"),
        *([Column("clinic")] if several else []),
        Column("seeds", numeric=True),
        *(
            [Column(f"expected return ({sure})", numeric=True, title="without the episodes' luck")]
            if is_expected
            else []
        ),
        Column(f"mean of the episodes ({sure})", numeric=True),
        Column("IQM", numeric=True, title="of the episodes played: mean of the middle half"),
        Column("AMR at the end", numeric=True, title="mean over antibiotics"),
        Column("given per episode", numeric=True, title="antibiotics, to any patient"),
        Column("gap", numeric=True, title=_GAP),
        Column("against best rule", numeric=True, title="on the same episodes"),
    ]
    order = "expected_return" if is_expected else "mean"
    ordered = table.sort_values(["clinic", order], ascending=[True, False])
    rows = [
        [
            rule(row["condition"]),
            *([str(row["clinic"])] if several else []),
            Cell(str(row["seeds"]) if row["learns"] else "rule", float(row["seeds"])),
            *([_expected(row)] if is_expected else []),
            with_interval(row["mean"], (row["mean_low"], row["mean_high"])),
            numbers(row["iqm"]),
            levels(row.get("final_amr")),
            numbers(row["prescriptions"], 1),
            numbers(_gap(row)),
            signed(row.get("best_rule_difference")),
        ]
        for row in ordered.to_dict("records")
    ]
    return columns, rows


def _expected(row: Mapping[Any, Any]) -> Cell:
    return with_interval(row["expected_return"], (row["expected_low"], row["expected_high"]))


def _gap(row: Mapping[Any, Any]) -> Any:
    """Return what a condition or a run lacks to the optimum, by its expected return if known."""
    return gap if is_known(gap := row.get("expected_gap")) else row["gap"]


def _pairs(table: pd.DataFrame | None, sure: str) -> Table | None:
    if table is None or table.empty:
        return None
    several = table["clinic"].nunique() > 1
    columns = [
        Column("difference of"),
        *([Column("clinic")] if several else []),
        Column("pairs", numeric=True),
        Column(f"mean ({sure})", numeric=True),
        Column("p, t test", numeric=True, title="of the mean difference; corrected (Holm)"),
        Column("p, Wilcoxon", numeric=True, title="of the ranks of differences; corrected (Holm)"),
        Column(
            "chance that it is better",
            numeric=True,
            title="chance that a run of the first beats one of the second",
        ),
        Column("so"),
    ]
    rows = [
        [
            f"{row['first']} − {row['second']}",
            *([str(row["clinic"])] if several else []),
            numbers(row["pairs"], 0),
            with_interval(row["difference"], (row["low"], row["high"]), is_signed=True),
            numbers(row["t_p_holm"], 3),
            numbers(row["wilcoxon_p_holm"], 3),
            numbers(row["probability_of_improvement"] if row["pairs"] else None),
            _told_apart(row),
        ]
        for row in table.to_dict("records")
    ]
    return columns, rows


def _told_apart(row: Mapping[Any, Any]) -> str:
    """Return what a pair of conditions comes to.

    >>> _told_apart({"pairs": 3, "t_p_holm": 0.4, "difference": 22.0})
    'cannot be told apart'
    >>> _told_apart({"pairs": 0}), _told_apart({"pairs": 5, "t_p_holm": 0.01, "difference": -2.0})
    ('no training seed in common', 'the first is worse')
    """
    if not row["pairs"]:
        return "no training seed in common"
    if not is_known(p_value := row["t_p_holm"]) or p_value >= _UNLIKELY:
        return "cannot be told apart"
    return f"the first is {'better' if row['difference'] > 0 else 'worse'}"


def _overall(table: pd.DataFrame | None, sure: str) -> Table | None:
    if table is None or table.empty:
        return None
    columns = [
        Column("condition"),
        Column("clinics", numeric=True),
        Column("runs", numeric=True),
        Column(f"share of the range ({sure})", numeric=True),
        Column("IQM", numeric=True),
    ]
    rows = [
        [
            str(row["condition"]),
            numbers(row["clinics"], 0),
            numbers(row["runs"], 0),
            with_interval(row["mean"], (row["mean_low"], row["mean_high"]), 3),
            numbers(row["iqm"], 3),
        ]
        for row in table.sort_values("mean", ascending=False).to_dict("records")
    ]
    return columns, rows


def _runs(table: pd.DataFrame) -> Table:
    is_any = "collapse" in table and bool(table["collapse"].notna().any())
    expects = "expected_return" in table and bool(table["expected_return"].notna().any())
    collapsed = [Column("collapsed", title="what the policy has come down to")]
    columns = [
        Column("run"),
        Column("condition"),
        *(collapsed if is_any else ()),
        Column("seed", numeric=True),
        *([Column("expected", numeric=True, title="return in expectation")] if expects else []),
        Column("return", numeric=True, title="mean of the episodes played"),
        Column("std", numeric=True, title="over episodes"),
        Column("gap", numeric=True, title=_GAP),
        Column("AMR at the end", numeric=True, title="mean over antibiotics"),
        Column("transitions", numeric=True, title="steps that it was trained for"),
        Column("training time", numeric=True),
    ]
    return columns, [_run(row, is_any, expects) for row in table.to_dict("records")]


def _run(row: Mapping[Any, Any], tells_collapse: bool, expects: bool) -> list[Any]:
    seconds = row.get("training_seconds")
    seed = row["seed"]
    is_rule = pd.isna(seed)
    return [
        str(row["run"]),
        str(row["condition"]),
        *([collapse_in_words(row["collapse"])] if tells_collapse else ()),
        Cell("rule" if is_rule else str(int(seed)), None if is_rule else float(seed)),
        *([numbers(row["expected_return"])] if expects else []),
        numbers(row["return"]),
        numbers(row["return_std"]),
        numbers(_gap(row)),
        levels(row.get("final_amr")),
        numbers(row["steps"], 0),
        Cell(duration(seconds), seconds if is_known(seconds) else None),
    ]
