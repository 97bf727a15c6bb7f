"""How the runs of a set are looked at one by one, repeated, and compared with more."""

from __future__ import annotations

import shlex

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.repeating import Repeated
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("set",)
ORDER = 80


def render(subject: SetSubject) -> Markup | None:
    """Return commands to paste; None without runs."""
    runs = subject.tables.get("runs")
    if runs is None or runs.empty:
        return None
    best = runs.sort_values("return", ascending=False).iloc[0]
    name, steps_trained = str(best["run"]), best.get("steps")
    steps = [("See the best run by itself, with what made it", ["abx-report", name])]
    if pd.notna(steps_trained) and float(steps_trained) > 0:
        fairly = ["evaluation.episodes=500", "against=greedy"]
        evaluate = ["abx-evaluate", f"run={name}", *fairly]
        steps.append(("Play it on 500 unseen episodes, against a rule", evaluate))
    steps.append(("Compare these with all other runs", ["abx-gather"]))
    return fill(
        "repeat.html",
        repeated=Repeated(
            command=None,
            facts=[],
            warning=None,
            elsewhere="Each run holds the command, the versions and the commit that made it.",
        ),
        steps=[(title, shlex.join(words)) for title, words in steps],
    )
