"""Every trial and every seed: in the order in which they were run, and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.search import drawn_trials, same
from abx_amr.reports.sections.study_failures import was_interrupted
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Cell, Column, numbers, short_setting
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import duration, is_known, number
from abx_amr.studies.space import flatten

NAME = "Trials and seeds"
PAGES = ("study",)
ORDER = 20

_OUT = (
    "Hollow points went out of the race: their value is over few seeds, so that one may lie above "
    "the best by luck alone. "
)
_STATES = {"COMPLETE": "complete", "PRUNED": "out of the race", "FAIL": "failed"}
_COLLAPSED = "seeds whose policy has collapsed"


def render(subject: StudySubject) -> Markup | None:
    """Return history, seeds and the table of trials; None where there is no trial yet."""
    trials, space = drawn_trials(subject)
    if trials.empty:
        return None
    counts = seeds_of(subject).groupby("trial").size()
    trials = trials.assign(n_seeds=trials["number"].map(counts))
    direction = str(subject.summary.get("direction") or "maximize")
    drawn = []
    if subject.has_figures:
        tables = {"trials": trials, "seeds": seeds_of(subject)}
        drawn = [
            (
                inline_svg("study_history", tables, direction=direction),
                "Value of every trial in the order in which they were run, and the best so far. "
                f"{_OUT * bool((trials['state'] == 'PRUNED').any())}"
                "Point at a trial, or click it, to see it in all figures and in the table.",
            ),
            (
                inline_svg("seed_spread", tables),
                "Every seed's mean return of every trial, with their mean and standard deviation.",
            ),
        ]
    default = default_trial(subject)
    shown = trials.sort_values("value", ascending=direction != "maximize", kind="stable")
    told = _Told.of(shown)
    return fill(
        "study_trials.html",
        drawn=drawn,
        columns=_columns(space, told),
        rows=[_row(row, space, told, default) for row in shown.to_dict("records")],
        trials=[int(number) for number in shown["number"]],
        marked=_place_of_best(subject, shown),
    )


def seeds_of(subject: StudySubject) -> pd.DataFrame:
    """Return a row per trial and seed: trial, seed, episode_return (nan for a failed seed)."""
    table = subject.seeds
    if "seed" not in table:
        return pd.DataFrame(columns=["trial", "seed", "episode_return"])
    found = table[table["seed"].notna()]
    return pd.DataFrame(
        {
            "trial": found["number"].astype(int),
            "seed": found["seed"].astype(int),
            "episode_return": pd.to_numeric(found["episode_return"], errors="coerce"),
        }
    ).reset_index(drop=True)


@dataclass(frozen=True, kw_only=True)
class _Told:
    """Which columns tell trials apart."""

    states: bool
    n_seeds: bool
    collapsed: bool

    @classmethod
    def of(cls, trials: pd.DataFrame) -> _Told:
        """Return those of a table; a page's section on failures tells the collapsed seeds too."""
        states = trials["state"]
        return cls(
            states=bool(states.nunique() > 1 or (states != "COMPLETE").any()),
            n_seeds=trials["n_seeds"].nunique() > 1,
            collapsed="collapsed" in trials
            and bool((pd.to_numeric(trials["collapsed"]) > 0).any()),
        )


def _columns(space: pd.DataFrame, told: _Told) -> list[Column]:
    return [
        Column("trial", numeric=True),
        *([Column("state")] if told.states else []),
        Column("value", numeric=True, title="mean less the penalty for the spread over seeds"),
        Column("mean (std)", numeric=True, title="over seeds"),
        *([Column("seeds", numeric=True)] if told.n_seeds else []),
        *(Column(str(label), numeric=True) for label in space["label"]),
        *([Column("collapsed", numeric=True, title=_COLLAPSED)] if told.collapsed else []),
        Column("time", numeric=True),
    ]


def default_trial(subject: StudySubject) -> int | None:
    """Return the trial of the settings that the configuration has by itself; None: none is it."""
    trials, space = drawn_trials(subject)
    own = flatten({k: v for k, v in subject.config.items() if isinstance(v, Mapping)})
    paths = [*space["path"]]
    if not paths or any(path not in own for path in paths):
        return None
    for trial in trials.to_dict("records"):
        if all(same(own[path], trial.get(f"params.{path}")) for path in paths):
            return int(trial["number"])
    return None


def _row(
    trial: Mapping[Any, Any], space: pd.DataFrame, told: _Told, default: int | None
) -> list[Any]:
    seconds = trial.get("wall_time_seconds")
    return [
        Cell(
            f"{trial['number']}{' (default)' * (trial['number'] == default)}",
            float(trial["number"]),
        ),
        *([_state(trial)] if told.states else []),
        numbers(trial.get("value"), 2),
        _mean(trial),
        *([numbers(trial["n_seeds"], 0)] if told.n_seeds else []),
        *(short_setting(_plain(trial.get(f"params.{path}"))) for path in space["path"]),
        *([numbers(trial.get("collapsed"), 0)] if told.collapsed else []),
        Cell(duration(seconds), seconds if is_known(seconds) else None),
    ]


def _state(trial: Mapping[Any, Any]) -> str:
    if was_interrupted(trial):
        return "interrupted"
    return _STATES.get(str(trial["state"]), str(trial["state"]).lower())


def _mean(trial: Mapping[Any, Any]) -> Cell:
    cell = numbers(trial.get("mean_reward"), 2)
    std = trial.get("std_reward")
    return Cell(f"{cell.text} ({number(std, 2)})", cell.key) if is_known(std) else cell


def _plain(value: Any) -> Any:
    """Return a value of a table as it was searched: whole numbers without a point.

    Nothing for one that did not count in the trial.
    """
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def _place_of_best(subject: StudySubject, shown: pd.DataFrame) -> int | None:
    number = (subject.best or {}).get("number")
    places = [i for i, each in enumerate(shown["number"]) if each == number]
    return places[0] if places else None
