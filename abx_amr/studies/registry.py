"""The registry of completed studies, which a script asks before it starts one again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from abx_amr.host.atomic_files import CompletionRegistry
from abx_amr.studies.folder import registry_file
from abx_amr.studies.settings import StudySettings

REGISTRY_COLUMNS = ("run_name", "timestamp", "best_value", "n_trials")


def registry_of(optimization_dir: Path) -> CompletionRegistry:
    """Return the registry of completed studies below `optimization_dir`."""
    return CompletionRegistry(registry_file(optimization_dir), columns=REGISTRY_COLUMNS)


def is_registered(settings: StudySettings) -> bool:
    """Say whether the run is in the registry; rows whose folder is gone are pruned."""
    registry = registry_of(settings.optimization_dir)
    registry.prune(lambda row: (settings.optimization_dir / row["run_name"]).is_dir())
    return any(row["run_name"] == settings.run_name for row in registry.rows())


def register(settings: StudySettings, *, best_value: float | None, n_finished: int) -> None:
    """Write the run's row, unless it stands there already."""
    registry = registry_of(settings.optimization_dir)
    best = "" if best_value is None else repr(best_value)
    known = {row["run_name"]: row for row in registry.rows()}.get(settings.run_name)
    if known is not None and (known["n_trials"], known["best_value"]) == (str(n_finished), best):
        return
    registry.add(
        {
            "run_name": settings.run_name,
            "timestamp": datetime.now().isoformat(timespec="seconds"),
            "best_value": best,
            "n_trials": n_finished,
        },
        replacing="run_name",
    )


def unregister(settings: StudySettings) -> None:
    """Remove the run's row."""
    registry_of(settings.optimization_dir).prune(lambda row: row["run_name"] != settings.run_name)
