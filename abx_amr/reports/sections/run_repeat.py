"""How a run is repeated, and what can be done with it next."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from abx_amr.reports.repeating import Repeated
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("run",)
ORDER = 80


def render(subject: RunSubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    return fill("repeat.html", repeated=Repeated.of(subject.provenance), steps=_next_steps(subject))


def _next_steps(subject: RunSubject) -> list[tuple[str, str]]:
    run = f"run={subject.path}"
    steps = []
    rule = subject.summary.get("best_rule") or {}
    overrides = [str(one) for one in rule.get("overrides") or []]
    if subject.learned and not subject.is_evaluation:
        steps.append(
            (
                "Evaluate it on 500 unseen episodes, against a rule",
                shlex.join(["abx-evaluate", run, "evaluation.episodes=500", "against=greedy"]),
            )
        )
    if overrides:
        steps.append(("Play the best tuned rule itself", shlex.join(["abx-evaluate", *overrides])))
    if not subject.is_evaluation:
        experiment = (subject.provenance.get("choices") or {}).get("experiment")
        if experiment:
            plan = ["abx-plan", f"experiment={experiment}", f"plan.runs=[{subject.path}]"]
            steps.append(
                ("Set it beside all rules and the optimum of the clinic", shlex.join(plan))
            )
        if subject.learned:
            more = ["abx-train", f"resume_from={subject.path}", "training.additional_episodes=100"]
            steps.append(("Train it further", shlex.join(more)))
    return steps
