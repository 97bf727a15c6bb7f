"""What a study's trials say of the searched values: as tables, with importance and read-back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from abx_amr.reports.subjects import StudySubject
from abx_amr.studies.parameters import path_of, value_of
from abx_amr.studies.points import drawn_from
from abx_amr.studies.search_space import SearchSpace, is_same
from abx_amr.studies.space import describe
from abx_amr.studies.tables import in_a_cell

#: Trials below which importance is told with a caveat, and below which it is not told.
ENOUGH, LEAST = 30, 8


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


def importance(subject: StudySubject) -> pd.DataFrame | None:
    """Return a row per searched value and set of trials: label, share, of; None for too few trials.

    Once among all trials with a value, and once more among the good ones: those that survived
    racing, the better half where there is none. PED-ANOVA (Watanabe, Bansal, Hutter 2023, arXiv
    2304.10255), as Optuna computes it: how much the values of the best trials are distributed
    otherwise than those of the trials that they are among.
    """
    trials, space = drawn_trials(subject)
    known = trials[np.isfinite(pd.to_numeric(trials["value"], errors="coerce"))]
    everything = _shares(subject, known, space)
    if everything is None:
        return None
    survivors = known[known["state"] != "PRUNED"]
    if len(survivors) < len(known):
        name, good = f"{len(survivors)} that survived racing", _shares(subject, survivors, space)
    else:
        half = -(-len(known) // 2)
        name = f"the better {half}"
        good = _shares(subject, known, space, region=0.5) if half >= LEAST else None
    tables = [everything.assign(of=f"all {len(known)} with a value")]
    tables += [] if good is None else [good.assign(of=name)]
    return pd.concat(tables, ignore_index=True)


def _shares(
    subject: StudySubject, known: pd.DataFrame, space: pd.DataFrame, *, region: float = 1.0
) -> pd.DataFrame | None:
    """Return a row per searched value: label, share; None for too few trials.

    Args:
        subject: The study.
        known: Its trials with a value.
        space: What both trials and space know.
        region: The share of the trials, the best, that the very best are held against.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from abx_amr.studies.stored import quiet_optuna

    quiet_optuna()
    if len(known) < LEAST or len(space) < 2 or known["value"].nunique() < 2:
        return None
    is_minimised = subject.summary.get("direction") == "minimize"
    study = optuna.create_study(direction="minimize" if is_minimised else "maximize")
    for row in known.to_dict("records"):
        try:
            params = drawn_from(_point(row, subject.space, space), subject.space)
            if not subject.space.is_point(params):
                continue
            trial = optuna.create_trial(
                params=params,
                distributions={name: subject.space[name] for name in params},
                value=float(row["value"]),
            )
        except ValueError:
            continue  # of another space: the study was extended
        study.add_trial(trial)
    if len(study.trials) < LEAST:
        return None
    evaluator = PedAnovaImportanceEvaluator(region_quantile=region)
    found = get_param_importances(study, evaluator=evaluator)
    labels = dict(zip(space["path"], space["label"], strict=True))
    rows = [{"label": labels[path_of(name)], "share": share} for name, share in found.items()]
    return pd.DataFrame(rows) if len(rows) > 1 else None


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
