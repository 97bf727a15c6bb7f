"""Why a run is below the optimum: the gap part by part, and where its actions are others."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.plots import regret_by_amr
from abx_amr.reports.expectation import Expected, expected_return, known_ends
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.sources_of_gap import (
    NEARLY_ALL,
    NOT_TOLD,
    PARTS,
    meaning_of,
    neighbours_of,
    why_missing,
)
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Cell, Column, numbers
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import amr, is_known, number, percent
from abx_amr.reports.worth import optimum_name, width_of

NAME = "Why it is below the optimum"
PAGES = ("run",)
ORDER = 20

_MOSTLY = 0.9  # of the states, below which acting otherwise wants an explanation
_SMALL = 0.1  # of the range from never treating, below which a gap is small


def render(subject: RunSubject) -> Markup | None:
    """Return the parts and the agreement with the optimum, None where neither was computed."""
    gap, agreement = subject.summary.get("gap"), subject.summary.get("agreement")
    if isinstance(gap, dict):
        gap = in_expectation(gap, subject.summary)
    if not isinstance(gap, dict) and not isinstance(agreement, dict):
        return None
    parts = _parts(gap or {})
    missing = _missing(parts)
    known = pd.DataFrame(
        [
            {"name": name_of(p, is_told=not missing), "start": p["from"], "end": p["to"]}
            for p in parts
            if is_known(p.get("value")) and is_known(p.get("from")) and is_known(p.get("to"))
        ]
    )
    return fill(
        "gap.html",
        sentence=_sentence(gap or {}, parts, luck_in(subject.summary)),
        optimum=optimum_name(subject.summary),
        svg=inline_svg("gap_parts", {"gap": known}) if len(known) and subject.has_figures else None,
        columns=[
            Column("part"),
            Column("costs", numeric=True),
            Column("share", numeric=True),
            Column("what it is"),
        ],
        rows=[row_of(part, gap or {}, missing, subject.plan_command) for part in parts],
        is_told=not missing,
        regret=_regret(agreement or {}) if subject.has_figures else None,
        agreement=_agreement(agreement or {}, width_of(subject.summary)),
        level_columns=[
            Column("antibiotic"),
            Column("AMR level", numeric=True),
            Column("of the visits", numeric=True),
            Column("as the optimum", numeric=True),
            Column("regret per step", numeric=True, title="expected return lost by a step there"),
        ],
        level_rows=[_level(row) for row in (agreement or {}).get("by_level") or []],
        note=(agreement or {}).get("note"),
    )


def largest_part(summary: dict[str, Any]) -> str | None:
    """Return which part of a run's gap is the largest, None where no part is known."""
    gap = summary.get("gap")
    if not isinstance(gap, dict):
        return None
    gap = in_expectation(gap, summary)
    return _sentence(gap, _parts(gap), luck_in(summary))


def luck_in(summary: dict[str, Any]) -> float:
    """Return how far luck may move a gap either way: half a 95 % interval of what is earned."""
    expected = expected_return(summary)
    if expected is not None:
        return expected.reach
    low, high = summary.get("mean_return_interval_95") or (None, None)
    return (high - low) / 2 if is_known(low) and is_known(high) else 0.0


def in_expectation(gap: dict[str, Any], summary: dict[str, Any]) -> dict[str, Any]:
    """Return a gap's parts without the luck of the episodes, where the expectation is known.

    The luck is in the last part, which ends at the mean return: it ends at the expected one.

    >>> found = in_expectation(
    ...     {"total": 3.0, "parts": [{"name": "learning", "value": 3.0, "to": -13.0}]},
    ...     {"optimum": -10.0, "agreement": {"expected_gap": 4.0}},
    ... )
    >>> found["total"], found["parts"]
    (4.0, [{'name': 'learning', 'value': 4.0, 'to': -14.0}])
    """
    expected, total = expected_return(summary), gap.get("total")
    if expected is None or not is_known(total):
        return gap
    luck = float(summary["optimum"]) - expected.mean - total
    parts = [
        {**part, "value": part["value"] + luck, "to": expected.mean}
        if part["name"] == "learning" and is_known(part.get("value"))
        else part
        for part in _parts(gap)
    ]
    return {**gap, "total": total + luck, "parts": parts}


def _regret(agreement: dict[str, Any]) -> Markup | None:
    levels = pd.DataFrame(agreement.get("by_level") or [])
    return None if levels.empty else inline_svg(regret_by_amr.NAME, {regret_by_amr.NAME: levels})


def _parts(gap: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in gap.get("parts") or [] if isinstance(part, dict) and "name" in part]


def _sentence(gap: dict[str, Any], parts: list[dict[str, Any]], luck: float) -> str | None:
    """Return which part is the largest, as far as luck, which is all in the last, lets it be told.

    Args:
        gap: Total, reference, references.
        parts: Of it.
        luck: How far it may move the last part.
    """
    known = [part for part in parts if is_known(part.get("value"))]
    if not known:
        return None
    if is_known(gap.get("total")) and float(gap["total"]) <= 0:
        return (
            "The mean return of these episodes lies above the optimum's expectation: they were "
            "easier than most, and the parts say little. More episodes tell more "
            "(abx-evaluate with evaluation.episodes=1000)."
        )
    if missing := _missing(parts):
        return (
            f"Of the {number(gap.get('total'))} to the {gap.get('reference', 'optimum')} not all "
            f"parts are told apart: {' and '.join(missing)} would have to be computed first."
        )
    most, *others = sorted(known, key=lambda part: -float(part["value"]))
    second = others[0] if others else None
    if (
        second is not None
        and "learning" in (most["name"], second["name"])
        and most["value"] - second["value"] <= luck
    ):
        names = [PARTS.get(part["name"], (part["name"],))[0] for part in (most, second)]
        return (
            f"Of the {number(gap.get('total'))} to the {gap.get('reference', 'optimum')}, "
            f"“{names[0]}” ({number(most['value'])}) and “{names[1]}” ({number(second['value'])}) "
            "are the largest parts; which of the two is larger, the luck of these episodes hides."
        )
    name, _ = PARTS.get(most["name"], (most["name"], ""))
    meaning = meaning_of(most, gap.get("references") or {})
    return (
        f"Of the {number(gap.get('total'))} to the {gap.get('reference', 'optimum')}, the largest "
        f"part, {number(most['value'])}{_nearly_all(most, gap)}, is “{name}”: {meaning}."
    )


def _missing(parts: list[dict[str, Any]]) -> list[str]:
    """Return the names of the parts that were not computed."""
    return [
        f"“{PARTS.get(part['name'], (str(part['name']),))[0]}”"
        for part in parts
        if not is_known(part.get("value"))
    ]


def name_of(part: dict[str, Any], *, is_told: bool) -> str:
    """Return what a part is called: the last otherwise while it holds what was not computed."""
    if part["name"] == "learning" and not is_told:
        return NOT_TOLD
    return PARTS.get(part["name"], (str(part["name"]),))[0]


def _nearly_all(part: dict[str, Any], gap: dict[str, Any]) -> str:
    total = gap.get("total")
    is_most = is_known(total) and NEARLY_ALL * total <= part["value"] < total
    return " and so nearly all of it" if is_most else ""


def row_of(
    part: dict[str, Any], gap: dict[str, Any], missing_parts: list[str], plan: str
) -> list[Any]:
    """Return the row of a part: what it is called, what it costs, its share, what it is."""
    name = name_of(part, is_told=not missing_parts)
    meaning, total = meaning_of(part, gap.get("references") or {}), gap.get("total")
    if name == NOT_TOLD:
        meaning = f"{' and '.join(missing_parts)} and what is not learned"
    value = part.get("value")
    share = value / total if is_known(value) and is_known(total) and total else None
    if part.get("why_missing"):
        meaning = f"{meaning} (inside “{NOT_TOLD}”; {why_missing(part, plan)})"
    about = "about " * (neighbours_of(part) is not None and is_known(value))
    costs = Cell(f"{about}{number(value)}", value if is_known(value) else None)
    return [name, costs, percent(share, 0), meaning]


def _agreement(found: dict[str, Any], width: float | None) -> str | None:
    if not is_known(found.get("share_of_states")):
        return None
    cost, regret = found.get("expected_gap"), found.get("regret")
    more = ""
    if is_known(cost):
        low, high = known_ends(found.get("expected_gap_interval_95") or (), around=cost)
        sure = Expected(mean=cost, low=low, high=high).within
        more = f" What it does otherwise costs {number(cost)} an episode in expectation ({sure})."
    elif is_known(regret):
        more = f" What it does otherwise costs {number(regret, 3)} per step."
    near = (
        " Many of its other choices cost next to nothing: there, nearly as good actions differ."
        if found["share_of_states"] < _MOSTLY
        else ""
    )
    return (
        f"In {percent(found['share_of_states'], 0)} of the states that it met, the agent did what "
        f"the optimal policy does there.{more}{near if _is_small(cost, width) else ''}"
    )


def _is_small(cost: Any, width: float | None) -> bool:
    """Return whether a gap is a small part of what can be gained over never treating."""
    return is_known(cost) and is_known(width) and cost < _SMALL * width


def _level(row: dict[str, Any]) -> list[Any]:
    low, high = row.get("level_low"), row.get("level_high")
    return [
        str(row.get("antibiotic")),
        Cell(f"{amr(low)} to {amr(high)}", float(low) if is_known(low) else None),
        percent(row.get("share_of_states_visited"), 0),
        percent(row.get("agrees"), 0),
        numbers(row.get("regret"), 3),
    ]
