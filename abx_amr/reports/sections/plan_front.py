"""A clinic's stewardship front: clinical benefit against resistance over the episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.plots import stewardship_front
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.tables import Column, levels, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import rule

NAME = "Stewardship front"
PAGES = ("plan",)
ORDER = 30

_COLUMNS = (
    *("weight of the community", "clinical benefit", "AMR over the episode", "AMR at the end"),
)


def render(subject: PlanSubject) -> Markup | None:
    """Return figure and table; None where the front was not asked for."""
    front = subject.content.get("front")
    if not front:
        return None
    svg = _figure(subject, front) if subject.has_figures else None
    rows = [
        [
            numbers(point["lambda_weight"]),
            numbers(point["individual"]),
            levels(point.get("mean_amr")),
            levels(point["final_amr"]),
        ]
        for point in front
    ]
    columns = [Column(name, numeric=True) for name in _COLUMNS]
    return fill("plan_front.html", svg=svg, columns=columns, rows=rows)


def _figure(subject: PlanSubject, front: list[Mapping[str, Any]]) -> Markup | None:
    """Return the figure; None for a plan of release 0.1, which kept no AMR over the episode."""
    steps = subject.content.get("max_time_steps")
    if steps is None or any("mean_amr" not in point for point in front):
        return None
    table = stewardship_front.table_of(
        front, subject.content.get("policies") or (), steps=int(steps)
    )
    table["name"] = table["name"].map(rule)
    return inline_svg(stewardship_front.NAME, {"front": table})
