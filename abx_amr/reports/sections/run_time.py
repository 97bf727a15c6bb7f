"""A run's evaluation over time: resistance, prescriptions, outcomes and reward."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.templating import fill

NAME = "Over an episode"
PAGES = ("run",)
ORDER = 40

FIGURES = {
    "amr": "Resistance over time: true level and what the clinic is told.",
    "prescriptions": "Prescriptions over time.",
    "outcomes": "Who was treated, and what came of it.",
    "reward_parts": "The reward and what it is made of, per step and summed up.",
}


def render(subject: RunSubject) -> Markup | None:
    """Return the figures over time, None where the steps were not kept."""
    if not subject.has_figures:
        return None
    drawn = [
        (svg, text)
        for name, text in FIGURES.items()
        if (svg := inline_svg(name, subject.drawn, description=text)) is not None
    ]
    return fill("figures.html", drawn=drawn, advice=None) if drawn else None
