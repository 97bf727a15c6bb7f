"""What a prescriber does: whom it treats with what, at which resistance, and when."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from abx_amr.plots import treatment_by_group
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.templating import fill
from abx_amr.runs.figures import group_names
from abx_amr.runs.seen_patients import risk_is_seen

NAME = "What it does"
PAGES = ("run",)
ORDER = 30

#: Figure -> what is written below it.
FIGURES = {
    "policy_map": (
        "How often each antibiotic is given, by the visible AMR levels before the step, and over "
        "time. Hatched: not visited, or hardly ever."
    ),
    "treatment_by_group": (
        "What was given to whom: the shares of each group of patients, and of each observed "
        "probability of infection, who were given what."
    ),
    "policy_by_risk": (
        "Whom it treats: how often each antibiotic is given, by a patient's observed risk of "
        "infection and the visible AMR."
    ),
    "option_by_amr": "Which option the manager chooses, by the visible AMR at the decision.",
    "option_usage": "How often each option is chosen, and for how long.",
}


def render(subject: RunSubject) -> Markup | None:
    """Return the figures of the policy, and how to see whom it treats where that was not kept."""
    if not subject.has_figures:
        return None
    drawn = [
        (svg, text)
        for name, text in FIGURES.items()
        if (svg := _drawn(name, subject, text)) is not None
    ]
    advice = None
    if "patients" not in subject.drawn and risk_is_seen(subject.config):
        advice = shlex.join(["abx-evaluate", f"run={subject.path}", "trajectories=true"])
    if not drawn and advice is None:
        return None
    return fill("figures.html", drawn=drawn, advice=advice)


def _drawn(name: str, subject: RunSubject, text: str) -> Markup | None:
    if name == treatment_by_group.NAME:
        groups = group_names(subject.config)
        return inline_svg(name, subject.drawn, description=text, groups=groups)
    return inline_svg(name, subject.drawn, description=text)
