"""What comes of a prescriber, in clinical words: patients, outcomes and resistance."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.card_writing import rule_of
from abx_amr.reports.clinical import COUNTS, PATIENTS, Outcome, outcomes_of, patients_of
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Cell, Column, with_interval
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import rule as rule_in_words

NAME = "Outcomes"
PAGES = ("run",)
ORDER = 35

_COLUMNS = [
    Column("what happened"),
    Column("unit"),
    Column("mean (95 % interval)", numeric=True),
]


def render(subject: RunSubject) -> Markup | None:
    """Return outcomes with intervals over episodes, beside those of a rule in pairs."""
    episodes = subject.final
    if episodes is None or any(name not in episodes for name in (*PATIENTS, *COUNTS)):
        return None
    episodes = episodes.sort_values("episode").reset_index(drop=True)
    name, rule = rule_of(subject) or (None, None)
    columns = [*_COLUMNS]
    if name is not None:
        columns += [
            Column("the rule (95 %)", numeric=True, title=f"{rule_in_words(name)}, same patients"),
            Column("difference (95 %)", numeric=True, title="in pairs; minus: the rule has more"),
            Column("better or worse"),
        ]
    return fill(
        "outcomes.html",
        per_episode=f"{float(patients_of(episodes).mean()):,.0f}",
        count=len(episodes),
        rule=None if name is None else rule_in_words(name),
        columns=columns,
        rows=[_cells(outcome) for outcome in outcomes_of(episodes, rule)],
    )


def _cells(outcome: Outcome) -> list[str | Cell]:
    cells: list[str | Cell] = [
        outcome.name,
        outcome.unit,
        with_interval(outcome.value, outcome.interval, 1),
    ]
    if outcome.difference is not None:
        found = outcome.difference
        cells += [
            with_interval(outcome.rule, outcome.rule_interval, 1),
            with_interval(found.mean, found.interval, 1, is_signed=True),
            outcome.verdict,
        ]
    return cells
