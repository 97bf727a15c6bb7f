"""A policy card as Markdown, for a message or a repository."""

from __future__ import annotations

import math
from collections.abc import Sequence

from abx_amr.errors import counted
from abx_amr.reports.behaviour import Share
from abx_amr.reports.card import PolicyCard
from abx_amr.reports.clinical import Outcome
from abx_amr.reports.markdown import escape, line, table
from abx_amr.reports.wording import has_no_width, rule, signed
from abx_amr.reports.wording import number as as_page

DENOMINATOR = (
    "Per 1,000 patients: of all who came, infected or not. Resistance: the share of infections "
    "that the antibiotic would not cure. Intervals: 95 %, over the evaluation's episodes."
)


def as_markdown(card: PolicyCard) -> str:
    """Return the card; every name in it is escaped."""
    lines = [f"# Policy card: {escape(card.name)}", "", line(card.about), ""]
    lines += ["## What it does", "", *_points(card.sentences), *_behaviour(card)]
    if card.missing:
        lines += ["Not known:", "", *_points(card.missing)]
    lines += ["## What comes of it", "", DENOMINATOR, *_against(card), "", *_outcomes(card), ""]
    if card.worth:
        lines += ["## What its return is, the score it was trained for", "", *_points(card.worth)]
    lines += ["## What it knows that a clinic may not", "", *_points(card.known)]
    lines += ["## Where it was trained, and what was not tested", "", *_points(card.limits)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _points(sentences: Sequence[str]) -> list[str]:
    return [*(f"- {line(sentence)}" for sentence in sentences), ""]


def _against(card: PolicyCard) -> list[str]:
    if card.rule is None:
        return []
    return [
        "",
        f"Differences are from the rule {escape(rule(card.rule))} on the same patients, in pairs; "
        "minus: the rule has more.",
    ]


def _outcomes(card: PolicyCard) -> list[str]:
    heading = ["outcome", "unit", "mean (95 % interval)"]
    if card.rule is not None:
        heading += ["the rule (95 % interval)", "difference (95 % interval)", ""]
    return table(heading, [outcome_cells(outcome, card.rule) for outcome in card.outcomes])


def outcome_cells(outcome: Outcome, beside: str | None) -> list[str]:
    """Return what a table says of an outcome: name, unit, mean, interval; the same of the rule."""
    own = f"{number(outcome.value)} ({interval(outcome.interval)})"
    cells = [outcome.name, outcome.unit, own]
    if beside is not None and outcome.difference is not None:
        found = outcome.difference
        cells += [
            f"{number(outcome.rule)} ({interval(outcome.rule_interval)})",
            f"{number(found.mean, is_signed=True)} ({interval(found.interval, is_signed=True)})",
            outcome.verdict,
        ]
    return cells


def _behaviour(card: PolicyCard) -> list[str]:
    lines = []
    for heading, rows in behaviour_tables(card):
        lines += [*table(heading, rows), ""]
    return lines


def behaviour_tables(card: PolicyCard) -> list[tuple[list[str], list[list[str]]]]:
    """Return heading and rows of each table of what a prescriber does."""
    done = card.behaviour
    shares: list[tuple[str, Sequence[Share]]] = [
        (f"reported resistance to {name}", of) for name, of in (done.by_level or {}).items()
    ]
    shares += [
        ("part of an episode", done.by_time),
        ("group of patients", done.by_group),
        ("observed probability of infection", done.by_risk),
    ]
    return [
        (
            [what, "patients", *(["any antibiotic"] if len(of[0].given) > 1 else []), *of[0].given],
            [_share_cells(share) for share in of],
        )
        for what, of in shares
        if of
    ]


def _share_cells(share: Share) -> list[str]:
    given = [*([share.treated] if len(share.given) > 1 else []), *share.given.values()]
    return [share.who, f"{share.patients:,}", *(f"{100 * each:.1f} %" for each in given)]


def number(value: float | None, *, is_signed: bool = False) -> str:
    """Return a number with one decimal.

    >>> number(1234.56), number(-0.5, is_signed=True), number(None), number(float("nan"))
    ('1,234.6', '−0.5', 'unknown', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    return signed(value, 1) if is_signed else as_page(value, 1)


def interval(ends: tuple[float, float] | None, *, is_signed: bool = False) -> str:
    """Return an interval; one of a single episode is not known."""
    if ends is None or not all(map(math.isfinite, ends)):
        return f"unknown ({counted(1, 'episode')})"
    if has_no_width(ends):
        return "the same in every episode"
    return " to ".join(number(end, is_signed=is_signed) for end in ends)
