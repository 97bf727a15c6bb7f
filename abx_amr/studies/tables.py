"""A study's trials as a table."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_bytes

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.studies.records import SeedRecord, StudyRecord, TrialRecord


def table_of(study: StudyRecord) -> pd.DataFrame:
    """Return one row per trial: what it is worth, what it was made of, who ran it."""
    import pandas as pd

    rows = [_trial_row(trial) | _parameters(trial) for trial in study.trials]
    return pd.DataFrame(rows, columns=_columns(rows, ("number", "state", "value")))


def seeds_table(study: StudyRecord) -> pd.DataFrame:
    """Return one row per trial and seed; a trial without results has one row without a seed."""
    import pandas as pd

    rows = []
    for trial in study.trials:
        seeds: list[SeedRecord | None] = [*trial.seeds]
        for of_seed in map(_of_seed, seeds or [None]):
            rows.append({"study": study.name, **_trial_row(trial), **of_seed, **_parameters(trial)})
    table = pd.DataFrame(rows, columns=_columns(rows, ("study", "number", "state", "value")))
    for whole in ("seed", "episodes", "lineage", "retry_of", "retries"):
        if whole in table:
            table[whole] = table[whole].astype("Int64")
    return table


def _trial_row(trial: TrialRecord) -> dict[str, Any]:
    owner = trial.owner
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "mean_reward": trial.mean_reward,
        "std_reward": trial.std_reward,
        "stability_penalty": trial.stability_penalty,
        **_length(trial),
        "collapsed": None if trial.collapsed_seeds is None else len(trial.collapsed_seeds),
        "lineage": trial.lineage,
        "retry_of": trial.retry_of,
        "retries": trial.retries if trial.retry_of is not None else None,
        "failure": trial.failure,
        "started": trial.started,
        "ended": trial.ended,
        "wall_time_seconds": trial.wall_time_seconds,
        "host": None if owner is None else owner.process.host,
        "pid": None if owner is None else owner.process.pid,
    }


def _length(trial: TrialRecord) -> dict[str, int]:
    """Return how long the trainings were, where a race has shorter ones."""
    lengths = {seed.episodes for seed in trial.seeds if seed.episodes is not None}
    return {"episodes": max(lengths)} if lengths else {}


def of_whole_trainings(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose values may be compared: without a race's points of short trainings.

    Args:
        table: A row per trial, or per trial and seed.
    """
    if "episodes" not in table:
        return table
    episodes = table["episodes"]
    whole: pd.DataFrame = table[episodes.isna() | (episodes == episodes.max())]
    return whole


def _of_seed(seed: SeedRecord | None) -> dict[str, Any]:
    return {
        "seed": None if seed is None else seed.seed,
        "episode_return": None if seed is None else seed.episode_return,
        "seed_failure": None if seed is None else seed.failure,
        "seed_seconds": None if seed is None else seed.seconds,
    }


def _parameters(trial: TrialRecord) -> dict[str, Any]:
    return {f"params.{path}": in_a_cell(value) for path, value in trial.params.items()}


def in_a_cell(value: Any) -> Any:
    """Return a value as a table holds it: lists and sections as JSON."""
    return json.dumps(value) if isinstance(value, list | Mapping) else value


def _columns(rows: Sequence[Mapping[str, Any]], least: Sequence[str]) -> list[str]:
    """Return the columns in the order in which they are first seen."""
    return list(dict.fromkeys([*least, *(column for row in rows for column in row)]))


def write_table(table: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write `name`.csv and `name`.parquet atomically; return the files.

    In Parquet a column of several types (choices such as 32 and "auto") is JSON text.

    Raises:
        InputError: the folder cannot be made or written.
    """
    text = table.to_csv(index=False).encode()
    plain = table.copy()
    for column in plain.columns:
        kinds = {type(value) for value in plain[column].dropna()}
        if len(kinds) > 1 and not kinds <= {int, float}:
            plain[column] = [None if _is_missing(v) else json.dumps(v) for v in plain[column]]
    binary = io.BytesIO()
    plain.to_parquet(binary, index=False)
    files = [folder / f"{name}.csv", folder / f"{name}.parquet"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in zip(files, (text, binary.getvalue()), strict=True):
            write_bytes(file, content)
    except OSError as error:
        raise InputError(f"{folder}: the tables cannot be written: {error.strerror}") from error
    return files


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
