"""What information is worth in a clinic, and what a discount factor costs a perfect learner."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Column, Table, levels, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import number, percent, rule

NAME = "Information and discounting"
PAGES = ("plan",)
ORDER = 40


def render(subject: PlanSubject) -> Markup | None:
    """Return two tables; None where neither was asked for."""
    audit = subject.content.get("audit")
    information = _information(subject.content.get("information"))
    audited = _audit(audit)
    if information is None and audited is None:
        return None
    return fill(
        "plan_discount.html",
        information=information,
        audit=audited,
        spend_down=number((audit or {}).get("spend_down"), 3),
    )


def _information(rows: Any) -> Table | None:
    if not rows:
        return None
    columns = [Column("what is seen"), Column("return", numeric=True), Column("policy")]
    return columns, [
        [str(row["name"]), numbers(row["value"]), rule(row.get("policy", ""))] for row in rows
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
            levels(row["equilibrium_amr"]),
            numbers(row["episode_return"]),
            numbers(row["loss"]),
            percent(row["share_of_range"]),
            "the agent's" if row["gamma"] == own else "",
        ]
        for row in audit["rows"]
    ]
    return columns, rows
