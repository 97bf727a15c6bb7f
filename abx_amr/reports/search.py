"""What a study's trials say of the searched values: as tables, with importance and read-back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.wording import is_known
from abx_amr.studies.importance import Importance, ValuedPoint, importance_of
from abx_amr.studies.parameters import path_of, value_of
from abx_amr.studies.search_space import SearchSpace, is_same
from abx_amr.studies.space import describe
from abx_amr.studies.tables import in_a_cell


def space_table(space: SearchSpace, *, at: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return a row per searched value: path, label, low, high, is_log, choices (None: a number).

    Args:
        space: What is searched.
        at: Path -> value: of a key that is searched in several ways, the one that counts there.
    """
    described = {
        path: _counting(fields, {} if at is None else at)
        for path, fields in describe(space).items()
    }
    rows = [
        {"path": path, "label": path.rsplit(".", 1)[-1], **_reach(described[path])}
        for path in space.paths
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "low", "high", "is_log", "choices"])
    shared = table["label"].duplicated(keep=False)
    table.loc[shared, "label"] = table.loc[shared, "path"]
    return table.astype(object).where(table.notna(), None)


def _counting(described: Any, point: Mapping[str, Any]) -> Any:
    """Return the ways of searching a key that count at a point; all where none does."""
    if not isinstance(described, list):
        return described
    found = [
        way
        for way in described
        if all(
            any(is_same(point[on], value) for value in values)
            for on, values in way["when"].items()
            if on in point
        )
    ]
    return found or described


def _reach(described: Any) -> dict[str, Any]:
    """Return low, high, is_log and choices of a path; over all ways of searching it."""
    ways = described if isinstance(described, list) else [described]
    if any("choices" in fields for fields in ways):
        every = [choice for fields in ways for choice in fields.get("choices", ())]
        choices = list(dict.fromkeys(map(in_a_cell, every)))
        return {"low": None, "high": None, "is_log": False, "choices": choices}
    return {
        "low": min(fields["low"] for fields in ways),
        "high": max(fields["high"] for fields in ways),
        "is_log": any(fields.get("log") for fields in ways),
        "choices": None,
    }


def drawn_trials(subject: StudySubject) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the trials and the searched values that both trials and space know."""
    space = space_table(subject.space)
    trials = subject.trials.copy()
    has = [f"params.{path}" in trials for path in space["path"]]
    known = space[has].reset_index(drop=True)
    for row in known[known["choices"].notna()].to_dict("records"):
        column = trials[f"params.{row['path']}"]
        trials[f"params.{row['path']}"] = pd.Series(
            [_typed(v, row["choices"]) for v in column], dtype=object
        )
    return trials, known


def importance(subject: StudySubject) -> list[Importance]:
    """Return the importance of what was searched among all points, and among the good ones."""
    trials, space = drawn_trials(subject)
    race = subject.summary.get("race")
    finished = trials[trials["state"].isin(["COMPLETE", "PRUNED"])]
    returns: dict[int, list[float | None]] = {}
    for row in subject.seeds.dropna(subset=["seed"]).to_dict("records"):
        found = row["episode_return"]
        returns.setdefault(int(row["number"]), []).append(float(found) if is_known(found) else None)
    points = []
    for row in finished.to_dict("records"):
        with suppress(ValueError, KeyError):  # of another space: the study was extended
            points.append(
                ValuedPoint(
                    point=_point(row, subject.space, space),
                    value=float(row["value"]),
                    returns=returns.get(int(row["number"]), []),
                )
            )
    weight = subject.summary.get("stability_penalty_weight")
    return importance_of(
        points,
        subject.space,
        direction="minimize" if subject.summary.get("direction") == "minimize" else "maximize",
        penalty_weight=0.2 if weight is None else float(weight),
        first_seeds=race["first_seeds"] if race else None,
    )


def importance_table(found: Sequence[Importance], space: SearchSpace) -> pd.DataFrame:
    """Return a row per searched value and set of points: label, share, of."""
    labels = dict(space_table(space)[["path", "label"]].to_numpy())
    rows = [
        {"label": labels[path], "share": share, "of": one.of}
        for one in found
        for path, share in one.shares.items()
    ]
    return pd.DataFrame(rows, columns=["label", "share", "of"])


def _point(row: Mapping[Any, Any], space: SearchSpace, table: pd.DataFrame) -> dict[str, Any]:
    """Return path -> value of a trial's row, for what counts in it."""
    reach = {each["path"]: each for each in table.to_dict("records")}
    point: dict[str, Any] = {}
    for name, distribution in space.items():
        path = path_of(name)
        if space.counts(name, point):
            found = row[f"params.{path}"]
            if reach[path]["choices"] is not None:
                point[path] = value_of(name, _typed(found, reach[path]["choices"]))
            else:
                is_whole = type(distribution).__name__.startswith("Int")
                point[path] = int(found) if is_whole else float(found)
    return point


def _typed(found: Any, choices: Sequence[Any]) -> Any:
    """Return a value as the choices have it: a table of CSV knows text, float and int alone."""
    return next((choice for choice in choices if same(choice, found)), found)


def same(searched: Any, found: Any) -> bool:
    """Return whether two values are the same setting, whatever file they were read from.

    >>> same(4, 4.0), same(True, "True"), same(None, float("nan")), same(1e-3, 0.001000001)
    (True, True, True, False)
    """
    if searched is None or found is None:
        return all(v is None or (isinstance(v, float) and math.isnan(v)) for v in (searched, found))
    try:
        return math.isclose(float(searched), float(found), rel_tol=1e-9)
    except (TypeError, ValueError):
        return str(searched) == str(found)
