"""How a plan is repeated, and what can be done with it."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from abx_amr.reports.repeating import Repeated, clinic_to_repeat, given_by
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("plan",)
ORDER = 80


def render(subject: PlanSubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    given = given_by(subject.provenance, searched=())
    clinic = clinic_to_repeat(given)
    steps = []
    if clinic:
        steps = [
            (
                "Play the optimal policy",
                shlex.join(["abx-evaluate", "agent_algorithm=optimal", *clinic]),
            ),
            ("Train an agent in this clinic", shlex.join(["abx-train", *clinic])),
        ]
    return fill("repeat.html", repeated=Repeated.of(subject.provenance), steps=steps)
