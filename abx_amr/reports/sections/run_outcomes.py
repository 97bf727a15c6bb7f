"""What comes of a prescriber, in clinical words: patients, outcomes and resistance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup

from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Column, intervals, numbers
from abx_amr.reports.templating import fill

NAME = "Outcomes"
PAGES = ("run",)
ORDER = 35

PATIENTS = (
    *("treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"),
    *("untreated_infected", "untreated_not_infected"),
)
#: Column of the evaluation -> what it counts.
COUNTS = {
    "benefits": "benefits (an infection resolved)",
    "failures": "clinical failures",
    "adverse_events": "adverse events of treatment",
    "recoveries": "recovered without treatment",
    "treated_infected_sensitive": "treated for an infection that was sensitive",
    "treated_infected_resistant": "treated for an infection that was resistant",
    "treated_not_infected": "treated without an infection",
    "untreated_infected": "infected and not treated",
}


def render(subject: RunSubject) -> Markup | None:
    """Return rates per 1,000 patients and levels of resistance, with intervals over episodes."""
    episodes = subject.final
    if episodes is None or any(name not in episodes for name in (*PATIENTS, *COUNTS)):
        return None
    patients = episodes[[*PATIENTS]].sum(axis=1)
    rows = [
        [text, *_estimate(1000 * episodes[name] / patients, 0)] for name, text in COUNTS.items()
    ]
    for name in subject.antibiotics:
        rate = 1000 * episodes[f"prescriptions_{name}"] / patients
        rows.append([f"prescriptions of {name}", *_estimate(rate, 0)])
    levels = []
    for name in subject.antibiotics:
        for column, text in (("mean_true_amr", "mean over the episode"), ("final_true_amr", "end")):
            levels.append([name, text, *_estimate(episodes[f"{column}_{name}"], 3)])
    interval = Column("95 % interval", numeric=True)
    return fill(
        "outcomes.html",
        per_episode=f"{float(patients.mean()):,.0f}",
        count=len(episodes),
        columns=[Column("what happened"), Column("per 1,000 patients", numeric=True), interval],
        rows=rows,
        level_columns=[
            Column("antibiotic"),
            Column("when"),
            Column("AMR level", numeric=True),
            interval,
        ],
        levels=levels,
    )


def _estimate(values: pd.Series, digits: int) -> list[object]:
    """Return the mean over episodes and its bootstrap interval."""
    from abx_amr.evaluation.statistics import summarise

    found = summarise(np.asarray(values, dtype=np.float64), resamples=2_000)
    return [numbers(found.mean, digits), intervals(found.mean_interval, digits)]
