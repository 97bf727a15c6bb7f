"""A clinic's stewardship front: clinical benefit against resistance at the end."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Column, numbers
from abx_amr.reports.templating import fill

NAME = "Stewardship front"
PAGES = ("plan",)
ORDER = 30


def render(subject: PlanSubject) -> Markup | None:
    """Return figure and table; None where the front was not asked for."""
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
    return fill("plan_front.html", svg=svg, columns=columns, rows=rows)
