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
from abx_amr.studies.study import open_study

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial

    from abx_amr.studies.storages import StudyStorage
    from abx_amr.studies.stored import StoredStudy
    from abx_amr.studies.study import StudyPlan


def trials_table(plan: StudyPlan, storage: StudyStorage) -> pd.DataFrame:
    """Return one row per trial: number, value (nan where there is none), state."""
    import pandas as pd

    backend, study_id = open_study(plan, storage)
    trials = backend.get_all_trials(study_id, deepcopy=False)
    return pd.DataFrame(
        {
            "number": [t.number for t in trials],
            "value": [t.values[0] if t.values else float("nan") for t in trials],
            "state": [t.state.name for t in trials],
        }
    )


def table_of(study: StoredStudy) -> pd.DataFrame:
    """Return one row per trial: what it is worth, what it was made of, who ran it."""
    import pandas as pd

    rows = [_trial_row(trial) | _parameters(trial) for trial in study.trials]
    return pd.DataFrame(rows, columns=_columns(rows, ("number", "state", "value")))


def seeds_table(study: StoredStudy) -> pd.DataFrame:
    """Return one row per trial and seed; a trial without results has one row without a seed."""
    import pandas as pd

    rows = []
    for trial in study.trials:
        for outcome in trial.user_attrs.get("seeds") or [{}]:
            of_seed = {
                "seed": outcome.get("seed"),
                "episode_return": outcome.get("episode_return"),
                "seed_failure": outcome.get("failure"),
                "seed_seconds": outcome.get("seconds"),
            }
            rows.append({"study": study.name, **_trial_row(trial), **of_seed, **_parameters(trial)})
    table = pd.DataFrame(rows, columns=_columns(rows, ("study", "number", "state", "value")))
    for whole in ("seed", "lineage", "retry_of", "retries"):
        if whole in table:
            table[whole] = table[whole].astype("Int64")
    return table


def _trial_row(trial: FrozenTrial) -> dict[str, Any]:
    kept = trial.user_attrs
    owner = kept.get("owner") or {}
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.values[0] if trial.values else None,
        "mean_reward": kept.get("mean_reward"),
        "std_reward": kept.get("std_reward"),
        "stability_penalty": kept.get("stability_penalty"),
        "lineage": kept.get("lineage"),
        "retry_of": kept.get("retry_of"),
        "retries": kept.get("retries"),
        "failure": kept.get("failure"),
        "started": trial.datetime_start,
        "ended": trial.datetime_complete,
        "wall_time_seconds": kept.get("wall_time_seconds"),
        "host": owner.get("host"),
        "pid": owner.get("pid"),
    }


def _parameters(trial: FrozenTrial) -> dict[str, Any]:
    return {f"params.{path}": value for path, value in trial.params.items()}


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
