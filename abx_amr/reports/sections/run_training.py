"""How a run was trained: its evaluations on the way, and how the search went."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.plots import learning_curve
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Column, setting
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import duration, is_known, number, rule
from abx_amr.runs.figures import references_of

NAME = "Training"
PAGES = ("run",)
ORDER = 50

FIGURES = {
    "learning_curve": "Mean return of each evaluation, and what it is measured against.",
    "search_progress": "What each generation of the policy search earned, and its step size.",
}


def render(subject: RunSubject) -> Markup | None:
    """Return the learning curve and what training took; None for what was only played."""
    found = subject.summary
    if subject.is_evaluation or not found.get("transitions"):
        return None
    facts = [
        ("steps of the clinic", number(found.get("transitions"), 0)),
        ("updates", number(found.get("updates"), 0)),
        ("best evaluation", number(found.get("best_return"))),
        ("stopped early", "yes" if found.get("stopped_early") else "no"),
        ("time to train", duration(found.get("training_seconds"))),
        ("training seed", str(found.get("seed"))),
    ]
    if is_known(found.get("evaluation_seconds")):
        facts.append(("time to evaluate", duration(found["evaluation_seconds"])))
    drawn = [
        (svg, text)
        for name, text in FIGURES.items()
        if subject.has_figures and (svg := _drawn(name, subject, text)) is not None
    ]
    tuned = found.get("tuned_values") or {}
    effective = found.get("effective_values") or {}
    return fill(
        "training.html",
        drawn=drawn,
        facts=facts,
        columns=[
            Column("setting"),
            Column("found by the study", numeric=True),
            Column("read back from the agent", numeric=True),
        ],
        tuned=[[path, setting(v), setting(effective.get(path))] for path, v in tuned.items()],
    )


def _drawn(name: str, subject: RunSubject, text: str) -> Markup | None:
    if name == learning_curve.NAME:
        known = {rule(named): value for named, value in references_of(subject.summary).items()}
        return inline_svg(name, subject.drawn, description=text, references=known)
    return inline_svg(name, subject.drawn, description=text)
