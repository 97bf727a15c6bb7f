"""What a study that lost workers must look like at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abx_amr.studies.storages import JournalStorage, SqliteStorage


def trials_in(folder: Path) -> list[Any]:
    """Return the trials of the study in a folder below optimization/, none where there is none."""
    journal, database = folder / "optuna_journal.log", folder / "optuna_study.db"
    if not journal.exists() and not database.exists():
        return []
    storage = JournalStorage(path=journal) if journal.exists() else SqliteStorage(path=database)
    if not storage.exists(folder.name):
        return []
    backend = storage.open()
    return list(backend.get_all_trials(backend.get_study_id_from_name(folder.name)))


def running_in(folder: Path) -> dict[str, Any]:
    """Return SLURM task -> the trial that it runs."""
    return {
        trial.user_attrs["owner"]["slurm_job"]: trial
        for trial in trials_in(folder)
        if trial.state.name == "RUNNING" and "owner" in trial.user_attrs
    }


def check_exact(trials: list[Any], n_trials: int) -> None:
    """Assert that exactly `n_trials` finished, no point twice, and nothing was left behind."""
    finished = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len(finished) == n_trials
    lineages = [trial.user_attrs["lineage"] for trial in finished]
    assert len(set(lineages)) == n_trials
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
