"""How the seeds of a study's trials learned, where the study has kept it."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill

NAME = "How they learned"
PAGES = ("study",)
ORDER = 25

_TEXT = (
    "One line for each training seed of each trial, from the start of its training (left) to the "
    "end: the mean return of its latest training episodes. In training an agent tries things at "
    "random, so that its line may lie below what it earns where it is evaluated. Lines that still "
    "rise at the end say that longer trainings may rank the settings otherwise."
)


def render(subject: StudySubject) -> Markup | None:
    """Return the curves of all seeds, a sentence where none was kept; None without a trial."""
    if subject.curves.empty:
        return None if subject.trials.empty else fill("study_learning.html", svg=None)
    if not subject.has_figures:
        return None
    best = (subject.best or {}).get("number")
    tables = {"curves": subject.curves}
    svg = inline_svg("training_returns", tables, description=_TEXT, best=best)
    return None if svg is None else fill("study_learning.html", svg=svg, text=_TEXT)
