"""The policy card on a run's page: what it does in words and tables, what it knows, its limits."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.card_markdown import behaviour_tables
from abx_amr.reports.card_writing import read_card
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Column
from abx_amr.reports.templating import fill

NAME = "Policy card"
PAGES = ("run",)
ORDER = 32


def render(subject: RunSubject) -> Markup | None:
    """Return what a clinician asks; its outcomes are a section of their own."""
    if subject.final is None or not subject.summary:
        return None
    card = read_card(subject)
    tables = [
        (heading[0], [Column(name, numeric=k > 0) for k, name in enumerate(heading)], rows)
        for heading, rows in behaviour_tables(card)
    ]
    return fill("card.html", card=card, tables=tables)
