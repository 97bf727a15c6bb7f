"""How a run is repeated, and what can be done with it next."""

from __future__ import annotations

import math
import shlex
from dataclasses import replace

from markupsafe import Markup

from abx_amr.errors import InputError
from abx_amr.reports.card import against_of
from abx_amr.reports.repeating import Repeated, command_of
from abx_amr.reports.sources_of_gap import computing_command
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import is_known

NAME = "Repeat it, go on"
PAGES = ("run",)
ORDER = 80


def render(subject: RunSubject) -> Markup:
    """Return the command, versions and commit, and commands to paste."""
    repeated = Repeated.of(subject.provenance)
    if repeated.command is None:
        repeated = replace(repeated, command=_same_again(subject))
    return fill("repeat.html", repeated=repeated, steps=_next_steps(subject))


def _same_again(subject: RunSubject) -> str | None:
    """Return the command that does what a notebook did; None where that is not known."""
    try:
        overrides = subject.folder.read_overrides()
    except InputError:
        return None
    name = "abx-evaluate" if subject.is_evaluation else "abx-train"
    return shlex.join([name, *overrides]) if overrides or not subject.is_evaluation else None


def _next_steps(subject: RunSubject) -> list[tuple[str, str]]:
    run = f"run={subject.path}"
    steps = []
    if training := _training(subject):
        steps.append(("Train the agent again that was evaluated here", training))
    if "abx-plan" in str(subject.summary.get("optimum_note")):
        steps.append(("Compute the optimum of this clinic, once", subject.plan_command))
    if computing := computing_command(subject.summary.get("gap"), subject.plan_command):
        steps.append(("Compute the missing parts of the gap, for the next evaluation", computing))
    rule = subject.summary.get("best_rule") or {}
    other = against_of(rule) if rule else "greedy"
    overrides = [str(one) for one in rule.get("overrides") or []]
    if subject.learned and not subject.is_evaluation:
        steps.append(
            (
                "Evaluate it on 500 unseen episodes, against a rule",
                shlex.join(["abx-evaluate", run, "evaluation.episodes=500", f"against={other}"]),
            )
        )
    if overrides:
        steps.append(("Play the best tuned rule itself", shlex.join(["abx-evaluate", *overrides])))
    if not subject.is_evaluation:
        if subject.clinic:
            plan = ["abx-plan", *subject.clinic, f"plan.runs=[{subject.path}]"]
            steps.append(
                ("Set it beside all rules and the optimum of the clinic", shlex.join(plan))
            )
        if subject.learned:
            more = f"training.additional_episodes={_a_tenth(subject)}"
            train = ["abx-train", f"resume_from={subject.path}", more]
            steps.append(("Train it further, for a tenth of what it had", shlex.join(train)))
    return steps


def _training(subject: RunSubject) -> str | None:
    """Return the command by which the run was trained that an evaluation played."""
    if subject.evaluated is None:
        return None
    return command_of(subject.reading.json(subject.evaluated.provenance_file))


def _a_tenth(subject: RunSubject) -> int:
    """Return a tenth of the episodes that a run was trained for, at least one."""
    steps = (subject.config.get("environment") or {}).get("max_time_steps")
    transitions = subject.summary.get("transitions")
    if not is_known(steps) or not is_known(transitions) or not steps:
        return 100
    return max(1, math.ceil(transitions / steps / 10))
