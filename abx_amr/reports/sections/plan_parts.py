"""A plan's policies, its front, what information is worth, the discount audit, its certificate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import as_svg, inline_svg, plain
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Cell, Column, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import duration, number, percent

NAME = "Policies and parts"
PAGES = ("plan",)
ORDER = 10

Table = tuple[list[Column], list[list[Any]]]


def render(subject: PlanSubject) -> Markup | None:
    """Return all that the plan holds; None where it holds nothing."""
    policies = subject.policies
    return fill(
        "plan_parts.html",
        returns=inline_svg("policy_returns", {"policies": _drawn(subject)})
        if subject.has_figures and not policies.empty
        else None,
        policies=None if policies.empty else _policies(policies),
        certificate=_certificate(subject),
        episode=_episode(subject),
        front=_front(subject),
        information=_information(subject.content.get("information")),
        audit=_audit(subject.content.get("audit")),
        spend_down=number((subject.content.get("audit") or {}).get("spend_down"), 3),
    )


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
        Column("AMR at the end", numeric=True),
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
        ]
        for row in table.to_dict("records")
    ]
    return columns, rows


def _certificate(subject: PlanSubject) -> list[tuple[str, str]]:
    """Return how the optimum was computed, and how sure it is."""
    found = subject.optimum
    if not found:
        return []
    facts = [("method", str(found.get("method")))]
    if found.get("programme"):
        facts.append(("problem", str(found["programme"])))
    facts.append(("lower bound", number(found.get("lower"), 3)))
    facts.append(("upper bound", number(found.get("upper"), 3)))
    if found.get("confidence") is not None:
        facts.append(("both hold together with", percent(found["confidence"], 0)))
    if found.get("shortfall"):
        facts.append(("not as close as asked", str(found["shortfall"])))
    facts += [("agents may see too little", str(caveat)) for caveat in found.get("caveats") or []]
    facts.append(("computed in", duration(found.get("seconds"))))
    return facts


def _episode(subject: PlanSubject) -> Markup | None:
    """Return what the optimal policy gives over an episode, where the plan has kept that."""
    table = subject.optimal_episode
    if not subject.has_figures or table is None:
        return None
    from abx_amr.plots import optimal_policy

    names = [str(c).removeprefix("level_") for c in table if str(c).startswith("level_")]
    level = table[[f"level_{name}" for name in names]].to_numpy(dtype=np.float64)
    given = table[[f"given_{name}" for name in names]].to_numpy(dtype=np.float64)[1:]
    figure = optimal_policy.draw(
        given,
        level,
        antibiotics=tuple(plain(name) for name in names),
        num_patients=int(table["patients"].iloc[0]),
        title="",
    )
    return as_svg(figure, "patients treated by the optimal policy, and AMR, over an episode")


def _front(subject: PlanSubject) -> tuple[Markup | None, Table] | None:
    front = subject.content.get("front")
    if not front:
        return None
    points: list[dict[Any, Any]] = [
        {
            "kind": "optimum",
            "name": f"{point['lambda_weight']:g}",
            "individual": point["individual"],
            "final_amr": point["final_amr"],
        }
        for point in front
    ]
    if not subject.policies.empty:
        points += subject.policies[["kind", "name", "individual", "final_amr"]].to_dict("records")
    svg = inline_svg("front", {"front": pd.DataFrame(points)}) if subject.has_figures else None
    columns = [
        Column("weight of the community", numeric=True),
        Column("clinical benefit", numeric=True),
        Column("AMR at the end", numeric=True),
    ]
    rows = [
        [
            numbers(point["lambda_weight"]),
            numbers(point["individual"]),
            numbers(point["final_amr"], 3),
        ]
        for point in front
    ]
    return svg, (columns, rows)


def _information(rows: Any) -> Table | None:
    if not rows:
        return None
    columns = [Column("what is seen"), Column("return", numeric=True), Column("policy")]
    return columns, [
        [str(row["name"]), numbers(row["value"]), str(row.get("policy", ""))] for row in rows
    ]


def _audit(audit: Any) -> Table | None:
    if not audit or not audit.get("rows"):
        return None
    columns = [
        Column("gamma", numeric=True),
        Column("AMR in equilibrium", numeric=True),
        Column("return", numeric=True),
        Column("loss", numeric=True),
        Column("of the range", numeric=True),
        Column("whose"),
    ]
    own = audit.get("agent_gamma")
    rows = [
        [
            numbers(row["gamma"], 4),
            numbers(row["equilibrium_amr"], 3),
            numbers(row["episode_return"]),
            numbers(row["loss"]),
            percent(row["share_of_range"]),
            "the agent's" if row["gamma"] == own else "",
        ]
        for row in audit["rows"]
    ]
    return columns, rows
