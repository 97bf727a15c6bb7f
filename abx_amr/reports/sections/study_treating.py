"""Whom a study's winner treats: by risk, resistance, group and time, over all of its seeds."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np
from markupsafe import Markup

from abx_amr.plots import treated_by_risk
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.finals import final_of, named
from abx_amr.reports.risks import ByRisk, by_part, by_risk, over_time_in_words
from abx_amr.reports.sections.study_repeat import train_command, trained_run
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Cell, Column, Table
from abx_amr.reports.templating import fill
from abx_amr.reports.treating import ByLevel, band_in_words, by_group, by_level
from abx_amr.reports.wording import amr, number, percent

NAME = "Whom the winner treats"
PAGES = ("study",)
ORDER = 9


def render(subject: StudySubject) -> Markup | None:
    """Return shares by level and group; None where no seed kept them."""
    told, whose = treatments_of(subject)
    levels = by_level(told)
    if not levels:
        return None
    risks = by_risk(told)
    more = None
    if subject.folder.best_params_file.is_file():
        more = f"{train_command(subject)}\nabx-report {shlex.quote(trained_run(subject))}"
    return fill(
        "study_treating.html",
        whose=whose,
        sentences=told_of(told),
        drawn=_drawn(subject, risks),
        risks=None if risks is None else _risks(risks),
        time=_parts(told),
        levels=_levels(levels),
        groups=_groups(told),
        more=more,
    )


def told_of(told: Any) -> list[str]:
    """Return in which states patients are treated, a sentence each."""
    risks, over_time = by_risk(told), over_time_in_words(told)
    return [
        *([] if risks is None else [risks.sentence()]),
        *([] if over_time is None else [over_time]),
        *(drug.sentence(knows_risk=risks is not None) for drug in by_level(told)),
    ]


def _drawn(subject: StudySubject, risks: ByRisk | None) -> Markup | None:
    if risks is None or not subject.has_figures:
        return None
    table = {"treated": risks.table()}
    return inline_svg(treated_by_risk.NAME, table, description=treated_by_risk.CAPTION)


def _risks(found: ByRisk) -> Table:
    """Return who is treated at all: a row per band of risk, a column per band of the lowest AMR."""
    met = found.columns()
    columns = [
        Column("observed risk of infection"),
        Column("of all patients", numeric=True),
        *(
            Column(
                f"AMR {band_in_words(found.levels[at.start], found.levels[at.stop])}", numeric=True
            )
            for at in met
        ),
        Column("at any AMR", numeric=True),
    ]
    total = float(found.patients.sum())
    rows = []
    for r in np.flatnonzero(found.patients.sum(axis=1)):
        came, treated = found.patients[r], found.treated[r]
        shares = [_share(treated[at].sum(), came[at].sum(), "not met") for at in met]
        low, high = found.risks[int(r)], found.risks[int(r) + 1]
        rows.append(
            [
                Cell(f"{percent(low, 0)} to {percent(high, 0)}", float(low)),
                _share(float(came.sum()), total),
                *shares,
                _share(treated.sum(), came.sum()),
            ]
        )
    return columns, rows


def _share(part: float, whole: float, none: str = "") -> Cell:
    return Cell(amr(part / whole), float(part / whole)) if whole else Cell(none)


def _parts(told: Any) -> Table | None:
    """Return a row per part of an episode."""
    parts = by_part(told)
    if not parts:
        return None
    names = [*parts[0][0]]
    columns = [
        Column("part of an episode", numeric=True),
        *(Column(f"given {name}", numeric=True) for name in names),
        Column("given none", numeric=True),
    ]
    rows = [
        [
            Cell(f"{number} of {len(parts)}", float(number)),
            *(_share(given.get(name, 0), total) for name in names),
            _share(total - sum(given.values()), total),
        ]
        for number, (given, total) in enumerate(parts, start=1)
    ]
    return columns, rows


def treatments_of(subject: StudySubject) -> tuple[Any, str]:
    """Return what the winner's seeds kept of their patients, and who it is."""
    final = final_of(subject.summary)
    if final is not None:
        seeds = "of its held-out seeds"
        return final.winner.treatments, f"{named(final.selected)}, in the episodes {seeds}"
    best = subject.best or {}
    return best.get("treatments"), f"trial {best.get('number')}, in the episodes that chose it"


def _levels(levels: list[ByLevel]) -> Table:
    """Return a row per band that any antibiotic's level lay in."""
    ends = levels[0].ends
    columns = [
        Column("visible AMR of the antibiotic"),
        *(
            column
            for drug in levels
            for column in (
                Column(f"given {drug.antibiotic}", numeric=True, title="of the patients then"),
                Column("of all patients", numeric=True, title="who came while its AMR lay there"),
            )
        ),
    ]
    rows = [
        [
            Cell(band_in_words(ends[at], ends[at + 1]), ends[at]),
            *(cell for drug in levels for cell in _cells(drug, at)),
        ]
        for at in range(len(ends) - 1)
        if any(drug.patients[at] for drug in levels)
    ]
    return columns, rows


def _cells(drug: ByLevel, at: int) -> tuple[Cell, Cell]:
    """Return the share of a band's patients who were given it, and how many of all they were."""
    if not drug.patients[at]:
        return Cell("not met"), Cell("0 %", 0.0)
    share, met = float(drug.shares[at]), float(drug.met[at])
    return Cell(amr(share), share), Cell(amr(met), met)


def _groups(told: Any) -> Table | None:
    groups = by_group(told)
    if not groups:
        return None
    names = [*next(iter(groups.values()))[0]]
    columns = [
        Column("group of patients"),
        Column("patients", numeric=True),
        *(Column(f"given {name}", numeric=True) for name in names),
        Column("given none", numeric=True),
    ]
    rows: list[list[Any]] = []
    for group, (given, total) in groups.items():
        shares = [*(given.get(name, 0.0) for name in names), 1.0 - sum(given.values())]
        rows.append(
            [
                group,
                Cell(number(total, 0), float(total)),
                *(Cell(amr(share), share) for share in shares),
            ]
        )
    return columns, rows
