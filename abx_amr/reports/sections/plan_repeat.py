"""How a plan is repeated, and what can be done with it."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from abx_amr.reports.repeating import Repeated
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("plan",)
ORDER = 80


def render(subject: PlanSubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    experiment = (subject.provenance.get("choices") or {}).get("experiment")
    steps = []
    if experiment:
        clinic = f"experiment={experiment}"
        steps = [
            (
                "Play the optimal policy",
                shlex.join(["abx-evaluate", "agent_algorithm=optimal", clinic]),
            ),
            ("Train an agent in this clinic", shlex.join(["abx-train", clinic])),
        ]
    return fill("repeat.html", repeated=Repeated.of(subject.provenance), steps=steps)
