"""Which runs have come to their end: the registry of a folder of results.

results/.training_completed.txt    a header and one row per completed run
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from abx_amr.host.atomic_files import CompletionRegistry
from abx_amr.runs.folder import RunFolder, run_folders

REGISTRY = ".training_completed.txt"
REGISTRY_COLUMNS = ("run_name", "timestamp", "folder", "mean_return")


def register_completion(folder: RunFolder, *, mean_return: float) -> None:
    """Add the run to the registry beside its folder."""
    _registry(folder.path.parent).add(
        {
            "run_name": folder.run_name,
            "timestamp": f"{datetime.now():%Y-%m-%dT%H:%M:%S}",
            "folder": folder.path.name,
            "mean_return": repr(float(mean_return)),
        }
    )


def completed_run(results_dir: Path | str, run_name: str) -> RunFolder | None:
    """Return the newest completed run of this name in the registry, or None.

    Rows whose folder is gone are pruned first.
    """
    registry = _registry(results_dir)
    registry.prune(lambda row: (Path(results_dir) / row["folder"]).is_dir())
    rows = [row for row in registry.rows() if row["run_name"] == run_name]
    return RunFolder(Path(results_dir) / rows[-1]["folder"]) if rows else None


def completed_runs(results_dir: Path | str) -> dict[str, RunFolder]:
    """Return run name -> its newest completed run in the registry, for many names at once."""
    registry = _registry(results_dir)
    if not registry.path.is_file():
        return {}
    registry.prune(lambda row: (Path(results_dir) / row["folder"]).is_dir())
    return {
        row["run_name"]: RunFolder(Path(results_dir) / row["folder"]) for row in registry.rows()
    }


def interrupted_run(results_dir: Path | str, run_name: str) -> RunFolder | None:
    """Return the newest run of this name where it has a checkpoint but did not come to its end."""
    folders = run_folders(results_dir, run_name)
    if not folders or folders[-1].is_complete or not folders[-1].has_checkpoint("last"):
        return None
    return folders[-1]


def _registry(results_dir: Path | str) -> CompletionRegistry:
    return CompletionRegistry(Path(results_dir) / REGISTRY, columns=REGISTRY_COLUMNS)
