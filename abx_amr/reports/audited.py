"""What an audit of a study reads: its files, and its trials from wherever they are; data alone.

A study that was sent is read where it lies, and nothing in it is changed: a database in its folder
is read from a copy.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from abx_amr.errors import InputError, first_line
from abx_amr.reports.subjects.stored import settings_of, summary_of, without_folder
from abx_amr.reports.subjects.study import OWN_STORAGES, seed_results
from abx_amr.reports.subjects.subject import Reading
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.records import SeedRecord, StudyRecord, TrialRecord
from abx_amr.studies.storages import StudyStorage
from abx_amr.studies.stored import read_study

#: Whether a point of the audit passed (None: it cannot be said), and the evidence.
Finding = tuple[bool | None, str]

_ROUNDING = 1e-9  # relative, below which two numbers are the same
_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class AuditedTrial:
    """A trial as it is recorded; what a record does not tell is None.

    Attributes:
        number: In the study.
        state: COMPLETE, PRUNED, FAIL, RUNNING or WAITING.
        value: What it was told to be worth.
        lineage: The number of its point, which retries share.
        params: Configuration path -> value.
        seeds: What each seed gave.
        effective_values: Configuration path -> what was read back from the built agent.
        is_own: Whether it is a point of the search; another program may have added others.
    """

    number: int
    state: str
    value: float | None
    lineage: int | None
    params: Mapping[str, Any]
    seeds: Sequence[SeedRecord]
    effective_values: Mapping[str, Any]
    is_own: bool = True

    @property
    def is_finished(self) -> bool:
        """Whether it counts towards the budget."""
        return self.state in ("COMPLETE", "PRUNED") and self.is_own


@dataclass(frozen=True, kw_only=True)
class AuditedStudy:
    """Everything an audit goes by.

    Attributes:
        name: Of the study.
        source: Where its trials were read.
        trials: By number; empty where only the summary is at hand.
        results: (trial, seed) -> what trials/<n>/seed_<s>/result.json holds.
        summary: study_summary.json.
        config: full_agent_env_config.yaml.
        tuning: The section of tuning_config.yaml.
        best_params: best_params.json.
        provenance: provenance.json.
        problems: What could not be read.
    """

    name: str
    source: str
    trials: Sequence[AuditedTrial]
    results: Mapping[tuple[int, int], Mapping[str, Any]]
    summary: Mapping[str, Any]
    config: Mapping[str, Any]
    tuning: Mapping[str, Any]
    best_params: Mapping[str, Any]
    provenance: Mapping[str, Any]
    problems: Sequence[str] = field(default=())

    @property
    def finished(self) -> list[AuditedTrial]:
        """The trials that count."""
        return [trial for trial in self.trials if trial.is_finished]

    @property
    def best(self) -> Mapping[str, Any]:
        """What the summary says of the best trial; empty where it says nothing."""
        return self.summary.get("best_trial") or {}


def return_of(seed: SeedRecord) -> float | None:
    """Return what a seed gave, None where it failed."""
    value = seed.episode_return
    return value if seed.failure is None and value is not None and math.isfinite(value) else None


def best_of(study: AuditedStudy, direction: Any) -> AuditedTrial | None:
    """Return the finished trial with the best finite value, the earliest of equals.

    Points of a race that are out have too few seeds, or too short ones, to be compared.
    """
    complete = [trial for trial in study.finished if trial.state == "COMPLETE"]
    valued = [t for t in complete if t.value is not None and math.isfinite(t.value)]
    if not valued:
        return None
    sign = -1.0 if direction == "minimize" else 1.0
    return max(valued, key=lambda trial: (sign * float(trial.value or 0.0), -trial.number))


def is_same(first: Any, second: Any) -> bool:
    """Return whether two plain values are the same, numbers up to rounding."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        return math.isclose(first, second, rel_tol=_ROUNDING, abs_tol=1e-12)
    return bool(first == second)


def named(values: Sequence[Any]) -> str:
    """Return the first few of some values as text."""
    rest = len(values) - _MOST_NAMED
    said = ", ".join(map(str, values[:_MOST_NAMED]))
    return f"{said} and {rest} more" if rest > 0 else said


def read_audited(
    path: Path, *, storage: StudyStorage | None = None, name: str | None = None
) -> AuditedStudy:
    """Return what an audit of the study in a folder reads.

    Args:
        path: The study's folder.
        storage: Where its trials are; None: in the folder.
        name: The study's in the storage; None: as the summary says.

    Raises:
        InputError: the folder is none of a study, or the storage that was named has no such study.
    """
    folder = StudyFolder(path)
    if not folder.summary_file.is_file() and not folder.configuration_file.is_file():
        if storage is not None:
            return _of_storage(storage, str(name))
        raise InputError(
            f"{path} is no folder of a study: it holds neither {folder.summary_file.name} nor "
            f"{folder.configuration_file.name}"
        )
    reading = Reading(path)
    summary = reading.json(folder.summary_file)
    study_name = str(name or summary.get("study_name") or path.resolve().name)
    source, trials = _trials(folder, storage, study_name, reading)
    return AuditedStudy(
        name=str(summary.get("run_name") or path.resolve().name),
        source=source,
        trials=trials,
        results=seed_results(folder, reading),
        summary=summary,
        config=reading.yaml(folder.configuration_file),
        tuning=reading.yaml(folder.tuning_file).get("tuning") or {},
        best_params=reading.json(folder.best_params_file),
        provenance=reading.json(folder.provenance_file) if folder.provenance_file.is_file() else {},
        problems=reading.problems,
    )


def _of_storage(storage: StudyStorage, name: str) -> AuditedStudy:
    """Return what a storage alone tells of a study, whose folder is not here."""
    record = read_study(storage, name)
    settings = settings_of(record)
    tuning = settings.pop("tuning", {})
    return AuditedStudy(
        name=name,
        source=storage.label,
        trials=_of_record(record),
        results={},
        summary={k: v for k, v in summary_of(record).items() if k != "status"},
        config=settings,
        tuning=tuning,
        best_params={},
        provenance={},
        problems=[without_folder(record)],
    )


def _trials(
    folder: StudyFolder, storage: StudyStorage | None, name: str, reading: Reading
) -> tuple[str, list[AuditedTrial]]:
    """Return where the trials were read, and the trials."""
    if storage is not None:
        return storage.label, _of_record(read_study(storage, name))
    for file, kind in OWN_STORAGES.items():
        if not (folder.path / file).is_file():
            continue
        try:
            with _copy(folder.path, file) as copied:
                return file, _of_record(read_study(kind(path=copied), name))
        except Exception as error:  # any driver's own; the other files tell the rest
            reading.problems.append(f"{file} cannot be read: {first_line(error)}")
    table = reading.table(folder.trials_file)
    if table is not None and {"number", "state", "value"} <= {*table.columns}:
        return folder.trials_file.name, _of_table(table)
    return "no record of the trials", []


@contextmanager
def _copy(folder: Path, name: str) -> Iterator[Path]:
    """Give a copy of a database with its log, in a folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="abx-audit-") as made:
        for file in (name, f"{name}-wal"):
            if (folder / file).is_file():
                shutil.copyfile(folder / file, Path(made) / file)
        yield Path(made) / name


def _of_record(study: StudyRecord) -> list[AuditedTrial]:
    def audited(trial: TrialRecord) -> AuditedTrial:
        return AuditedTrial(
            number=trial.number,
            state=trial.state,
            value=trial.value,
            lineage=trial.lineage,
            params=trial.params,
            seeds=trial.seeds,
            effective_values=trial.effective_values,
            is_own=trial.why_not_counted is None,
        )

    return [audited(trial) for trial in study.trials]


def _of_table(table: pd.DataFrame) -> list[AuditedTrial]:
    """Return the trials of trials.csv, a row per trial and seed."""
    by_number: dict[int, list[dict[str, Any]]] = {}
    for row in table.to_dict("records"):
        plain = {str(key): value for key, value in row.items() if not _is_nan(value)}
        by_number.setdefault(int(plain["number"]), []).append(plain)
    return [_of_rows(number, rows) for number, rows in sorted(by_number.items())]


def _of_rows(number: int, rows: Sequence[Mapping[str, Any]]) -> AuditedTrial:
    """Return a trial from its rows, a row per seed; what is not there is not in them."""
    first = rows[0]
    return AuditedTrial(
        number=number,
        state=str(first["state"]),
        value=first.get("value"),
        lineage=int(first["lineage"]) if "lineage" in first else None,
        params={
            path.removeprefix("params."): value
            for path, value in first.items()
            if path.startswith("params.")
        },
        seeds=[
            SeedRecord(
                seed=int(row["seed"]),
                episode_return=row.get("episode_return"),
                failure=row.get("seed_failure"),
                seconds=row.get("seed_seconds"),
                episodes=None if "episodes" not in row else int(row["episodes"]),
            )
            for row in rows
            if "seed" in row
        ],
        effective_values={},
    )


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
