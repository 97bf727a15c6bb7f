"""How the seeds of a study's trials learned, where the study has kept it."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.templating import fill

NAME = "How they learned"
PAGES = ("study",)
ORDER = 25

_TEXT = (
    "One line for each training seed of each trial, from the start of its training (left) to the "
    "end: the mean return of its latest training episodes. In training an agent tries things at "
    "random, so that its line may lie below what it earns where it is evaluated."
)
_LATE = 0.8  # of a training, from which on its end is looked at
_STEEP = 0.1  # of all that a line has risen, by which it rises in its end where it still learns


def render(subject: StudySubject) -> Markup | None:
    """Return the curves of all seeds, a sentence where none was kept; None without a trial."""
    if subject.curves.empty:
        return None if subject.trials.empty else fill("study_learning.html", svg=None)
    if not subject.has_figures:
        return None
    text = " ".join(filter(None, (_TEXT, rising_of(subject))))
    best = (subject.best or {}).get("number")
    tables = {"curves": subject.curves}
    svg = inline_svg("training_returns", tables, description=text, best=best)
    return None if svg is None else fill("study_learning.html", svg=svg, text=text)


def rising_of(subject: StudySubject) -> str | None:
    """Return how many of the lines still rise at their end; None where no line tells."""
    lines = [
        line.sort_values("transitions") for _, line in subject.curves.groupby(["trial", "seed"])
    ]
    told = [found for line in lines if (found := still_rises(line)) is not None]
    if not told:
        return None
    rising = sum(told)
    if not rising:
        return "No line of its trainings still rises at the end."
    count = counted(len(told), "line")
    return (
        f"{rising} of the {count} of its trainings still {'rises' if rising == 1 else 'rise'} at "
        "the end: longer trainings may rank the settings otherwise."
    )


def still_rises(line: pd.DataFrame) -> bool | None:
    """Return whether a line's last fifth gains a tenth of all that it gains; None: too few points.

    The means of the last fifth and of the fifth before it are compared.

    Args:
        line: transitions, training_return, in their order.

    >>> steps = pd.Series(range(1, 11))
    >>> still_rises(pd.DataFrame({"transitions": steps, "training_return": 3.0 * steps}))
    True
    >>> still_rises(pd.DataFrame({"transitions": steps, "training_return": steps.clip(upper=5)}))
    False
    """
    share = line["transitions"] / line["transitions"].max()
    earned = line["training_return"]
    last = earned[share > _LATE]
    before = earned[(share > 2 * _LATE - 1) & (share <= _LATE)]
    if last.empty or before.empty:
        return None
    return bool(last.mean() - before.mean() > _STEEP * (earned.max() - earned.min()) > 0)
