"""The best settings: where they lie in what was searched, and what the built agent had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.finals import final_of, named
from abx_amr.reports.search import same, space_table
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Column, setting
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import value
from abx_amr.studies.members import SEARCHED_GROUPS

NAME = "Best settings"
PAGES = ("study",)
ORDER = 10

_EDGE = 0.02  # of the range, from which a value counts as lying at its end


def render(subject: StudySubject) -> Markup | None:
    """Return a row per searched value; None where there is no best trial."""
    best = subject.best
    if best is None:
        return None
    final = final_of(subject.summary)
    params, effective = best.get("params") or {}, best.get("effective_values") or {}
    caption = "Settings of the best trial"
    if final is not None and final.params:
        params, effective = final.params, final.effective_values
        caption = f"Settings that the final has selected: {named(final.selected)}"
    searched = {
        row["path"]: row for row in space_table(subject.space, at=params).to_dict("records")
    }
    rows, at_end = [], []
    for path, found in params.items():
        row = searched.get(path)
        end = None if row is None else _end(found, row)
        if end is not None:
            at_end.append(path.rsplit(".", 1)[-1])
        rows.append(
            [
                path,
                setting(found),
                setting(effective[path]) if path in effective else _not_kept(path),
                "" if row is None else _range(row),
                end or "",
            ]
        )
    return fill(
        "study_found.html",
        caption=caption,
        columns=[
            Column("setting"),
            Column("best", numeric=True),
            Column("read back", numeric=True, title="what the built agent was found to use"),
            Column("searched"),
            Column("lies"),
        ],
        rows=rows,
        at_end=at_end,
        receipt=_receipt(subject),
    )


def _not_kept(path: str) -> str:
    return "its configuration" if path in SEARCHED_GROUPS else "not kept"


def _range(row: Mapping[Any, Any]) -> str:
    if row["choices"] is not None:
        return ", ".join(map(value, row["choices"]))
    return f"{value(row['low'])} to {value(row['high'])}{', log' if row['is_log'] else ''}"


def _end(found: Any, row: Mapping[Any, Any]) -> str | None:
    """Return at which end of a range of numbers a value lies, None where it lies within."""
    if row["choices"] is not None:
        return None
    import pandas as pd

    from abx_amr.plots.parallel_coordinates import position

    place = float(position(pd.Series([found]), row)[0])
    return (
        "at the lower end" if place < _EDGE else "at the upper end" if place > 1 - _EDGE else None
    )


def _receipt(subject: StudySubject) -> str:
    """Return of how many trials the read-back values are the searched ones."""
    kept = subject.read_back
    trials = {int(row["number"]): row for row in subject.trials.to_dict("records")}
    differing = [
        number
        for number, values in kept.items()
        if number in trials
        and any(
            f"params.{path}" in trials[number] and not same(trials[number][f"params.{path}"], found)
            for path, found in values.items()
        )
    ]
    if not kept:
        return "No trial kept what was read back from its agents."
    if differing:
        return (
            f"Beware: in {counted(len(differing), 'trial')} the agent had other values than were "
            f"searched: {', '.join(map(str, differing[:10]))}."
        )
    return (
        f"In all {counted(len(kept), 'trial')} that kept them, the values read back from the built "
        "agent are those that were searched."
    )
