"""What every rule and agent of a plan earns, beside the optimum."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Cell, Column, Table, intervals, levels, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import number, percent, rule

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
    line = subject.optimum_name if subject.optimum else None
    return fill(
        "plan_policies.html",
        svg=svg,
        line=line,
        policies=_policies(subject),
        has_agents=bool((policies["kind"] == "agent").any()),
    )


def _drawn(subject: PlanSubject) -> pd.DataFrame:
    """Return a row per policy and one for the optimum, with intervals of two standard errors."""
    rows = [
        {
            "name": rule(row["name"]),
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


def _policies(subject: PlanSubject) -> Table:
    columns = [
        Column("policy"),
        Column("kind"),
        Column("return", numeric=True),
        Column("95 % interval", numeric=True, title="over the episodes that the plan played"),
        Column("gap", numeric=True, title="to the optimum, or its upper bound"),
        Column("of the range", numeric=True, title="from never treating to the optimum"),
        Column("AMR at the end", numeric=True, title="mean over antibiotics"),
        Column("sees time", title="knows how much of the episode is left"),
    ]
    rows = [
        [
            rule(row["name"]),
            str(row["kind"]),
            numbers(row["value"]),
            _sure(row["value"], row["standard_error"]),
            numbers(row["optimality_gap"]),
            percent(row["share_of_range"]),
            levels(row["final_amr"]),
            {"True": "yes", "False": "no"}.get(str(row.get("sees_time")), ""),
        ]
        for row in subject.policies.to_dict("records")
    ]
    return columns, [*([_optimum(subject)] if subject.optimum else []), *rows]


def _sure(value: float, error: float) -> Cell:
    reach = 1.96 * error
    return Cell("exact", value) if error == 0 else intervals((value - reach, value + reach))


def _optimum(subject: PlanSubject) -> list[Any]:
    """Return the row of the optimum: exact, or between its bounds."""
    found, episode = subject.optimum, subject.optimal_episode
    is_exact = bool(found.get("is_exact"))
    low, high = found.get("lower"), found.get("upper")
    final = None
    if episode is not None:
        names = [c for c in episode if str(c).startswith("level_")]
        final = float(episode[names].iloc[-1].mean())
    return [
        "optimum" if is_exact else "optimum (bounds)",
        "optimum",
        numbers(high) if is_exact else Cell(f"{number(low)} to {number(high)}", high),
        Cell("exact", 0.0) if is_exact else "",
        numbers(0.0) if is_exact else "",
        percent(1.0) if is_exact else "",
        levels(final),
        "yes",
    ]
