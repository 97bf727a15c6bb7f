"""What a study's trials say of the searched values: as tables, with importance and read-back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from abx_amr.reports.subjects import StudySubject
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.space import describe

#: Trials below which importance is told with a caveat, and below which it is not told.
ENOUGH, LEAST = 30, 8


def space_table(space: SearchSpace) -> pd.DataFrame:
    """Return a row per searched value: path, label, low, high, is_log, choices (None: a number)."""
    described = describe(space)
    rows = [
        {
            "path": path,
            "label": path.rsplit(".", 1)[-1],
            "low": fields.get("low"),
            "high": fields.get("high"),
            "is_log": bool(fields.get("log")),
            "choices": fields.get("choices"),
        }
        for path, fields in ((path, described[path]) for path in space)
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "low", "high", "is_log", "choices"])
    shared = table["label"].duplicated(keep=False)
    table.loc[shared, "label"] = table.loc[shared, "path"]
    return table.astype(object).where(table.notna(), None)


def drawn_trials(subject: StudySubject) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the trials and the searched values that both trials and space know."""
    space = space_table(subject.space)
    trials = subject.trials.copy()
    has = [f"params.{path}" in trials for path in space["path"]]
    known = space[has].reset_index(drop=True)
    for path in known.loc[known["choices"].notna(), "path"]:
        column = trials[f"params.{path}"]
        trials[f"params.{path}"] = pd.Series(
            [_typed(v, subject, path) for v in column], dtype=object
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
            given = {path: _typed(row[f"params.{path}"], subject, path) for path in space["path"]}
            trial = optuna.create_trial(
                params=given,
                distributions={path: subject.space[path] for path in space["path"]},
                value=float(row["value"]),
            )
        except ValueError:
            continue  # of another space: the study was extended
        study.add_trial(trial)
    evaluator = PedAnovaImportanceEvaluator(region_quantile=region)
    found = get_param_importances(study, evaluator=evaluator)
    labels = dict(zip(space["path"], space["label"], strict=True))
    return pd.DataFrame([{"label": labels[path], "share": share} for path, share in found.items()])


def _typed(value: Any, subject: StudySubject, path: str) -> Any:
    """Return a value as its distribution has it: a table of CSV knows text, float and int alone."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    distribution = subject.space[path]
    if isinstance(distribution, CategoricalDistribution):
        return next((c for c in distribution.choices if same(c, value)), value)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


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
