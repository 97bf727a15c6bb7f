"""What every rule and agent of a plan earns, beside the optimum."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Cell, Column, Table, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import percent

NAME = "Policies"
PAGES = ("plan",)
ORDER = 10


def render(subject: PlanSubject) -> Markup | None:
    """Return figure and table; None where no policy was valued."""
    policies = subject.policies
    if policies.empty:
        return None
    svg = None
    if subject.has_figures:
        svg = inline_svg("policy_returns", {"policies": _drawn(subject)})
    return fill("plan_policies.html", svg=svg, policies=_policies(policies))


def _drawn(subject: PlanSubject) -> pd.DataFrame:
    """Return a row per policy and one for the optimum, with intervals of two standard errors."""
    rows = [
        {
            "name": row["name"],
            "kind": row["kind"],
            "value": row["value"],
            "low": row["value"] - 1.96 * row["standard_error"],
            "high": row["value"] + 1.96 * row["standard_error"],
        }
        for row in subject.policies.to_dict("records")
    ]
    found = subject.optimum
    if found:
        name = "optimum" if found.get("is_exact") else "optimum (bounds)"
        value = found["upper"]
        rows.append(
            {
                "name": name,
                "kind": "optimum",
                "value": value,
                "low": found["lower"],
                "high": found["upper"],
            }
        )
    return pd.DataFrame(rows)


def _policies(table: pd.DataFrame) -> Table:
    columns = [
        Column("policy"),
        Column("kind"),
        Column("return", numeric=True),
        Column("standard error", numeric=True),
        Column("gap", numeric=True),
        Column("of the range", numeric=True),
        Column("AMR at the end", numeric=True, title="mean over antibiotics, from 0 to 1"),
        Column("sees the time", title="knows how much of the episode is left"),
    ]
    rows = [
        [
            str(row["name"]),
            str(row["kind"]),
            numbers(row["value"]),
            Cell("exact", 0.0) if row["standard_error"] == 0 else numbers(row["standard_error"]),
            numbers(row["optimality_gap"]),
            percent(row["share_of_range"]),
            numbers(row["final_amr"], 3),
            {"True": "yes", "False": "no"}.get(str(row.get("sees_time")), ""),
        ]
        for row in table.to_dict("records")
    ]
    return columns, rows
