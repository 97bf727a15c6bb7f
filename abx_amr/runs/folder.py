"""The run folder: every file name, written and read here and nowhere else.

    results/<run_name>_<timestamp>/
      config.yaml               the resolved configuration
      overrides.yaml            what was said on the command line
      provenance.json           versions, seeds, command, platform, commit, start time
      checkpoints/last.zip      the agent as it was last saved, with all that going on needs
      checkpoints/best.zip      the agent of the best evaluation so far
      evaluations.csv           one row per (transitions trained, episode)
      trajectories.parquet      one row per (episode, step) of the final evaluation, when asked for
      patients.parquet          one row per (episode, step, patient), beside it
      option_usage.csv          of a manager: one row per (transitions trained, option)
      decisions.csv             of a manager: one row per decision of the final evaluation
      option_by_amr.csv, option_transitions.csv, option_trigrams.csv    drawn from these
      tensorboard/              logs of the training
      figures/<name>.png
      summary.json              written last: a folder that has one is complete

Every file is written atomically: a reader sees the old one or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import platform
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from abx_amr.errors import InputError, unknown
from abx_amr.host import atomic_files
from abx_amr.host.folder_names import check_folder_name

if TYPE_CHECKING:
    import pandas as pd

CheckpointName = Literal["last", "best"]

REGISTRY = ".training_completed.txt"
FAILURES = ".failures"
REGISTRY_COLUMNS = ("run_name", "timestamp", "folder", "mean_return")
PACKAGES = (
    "abx-amr",
    "numpy",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "gymnasium",
    "numba",
    "hydra-core",
    "omegaconf",
    "optuna",
)
# The safe loader in C, where there is one: a table of many runs reads as many files.
_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = re.compile(r"_(\d{8}_\d{6})(?:_(\d+))?$")
_STATE = "abx_amr_state.npz"
_VEC_NORMALIZE = "abx_amr_vec_normalize.pkl"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A saved agent and what belongs to it.

    `agent` is a file for the `load` of the algorithm's class. `state` holds the arrays that were
    saved with it, `vec_normalize` the VecNormalize of its environment (without the environment).
    """

    agent: Path
    state: Mapping[str, NDArray[Any]]
    vec_normalize: Any | None


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; construct it with `create`, `open` or `newest_run`."""

    path: Path

    # --- getting one -----------------------------------------------------------------------------

    @classmethod
    def create(
        cls, results_dir: Path | str, run_name: str, *, moment: datetime | None = None
    ) -> RunFolder:
        """Create and return `results_dir/<run_name>_<timestamp>`, which nobody else was given."""
        check_run_name(run_name)
        return cls(atomic_files.claim_folder(results_dir, run_name, moment=moment))

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Return the run folder at `path`.

        Raises:
            InputError: there is no folder, or it holds no configuration.
        """
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise InputError(f"run folder {folder.path} does not exist")
        if not folder.config_file.is_file():
            raise InputError(
                f"{folder.path} is no run folder: it holds no {folder.config_file.name}"
            )
        return folder

    # --- names -----------------------------------------------------------------------------------

    @property
    def run_name(self) -> str:
        """The folder's name without its timestamp."""
        return _TIMESTAMP.sub("", self.path.name)

    @property
    def moment(self) -> tuple[str, int]:
        """When the folder was made, to be ordered by: its timestamp and the number behind it."""
        stamp = _TIMESTAMP.search(self.path.name)
        return ("", 1) if stamp is None else (stamp[1], int(stamp[2] or 1))

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def overrides_file(self) -> Path:
        """The command line's overrides."""
        return self.path / "overrides.yaml"

    @property
    def provenance_file(self) -> Path:
        """Versions, seeds, command, platform, commit, start time."""
        return self.path / "provenance.json"

    @property
    def evaluations_file(self) -> Path:
        """One row per (transitions trained, episode)."""
        return self.path / "evaluations.csv"

    @property
    def trajectories_file(self) -> Path:
        """One row per (episode, step)."""
        return self.path / "trajectories.parquet"

    @property
    def patients_file(self) -> Path:
        """One row per (episode, step, patient)."""
        return self.path / "patients.parquet"

    @property
    def option_usage_file(self) -> Path:
        """One row per (transitions trained, option), of a manager."""
        return self.path / "option_usage.csv"

    @property
    def decisions_file(self) -> Path:
        """One row per decision of a manager's final evaluation."""
        return self.path / "decisions.csv"

    def option_table_file(self, name: str) -> Path:
        """Return where a table about options lies, e.g. `option_transitions`."""
        return self.path / f"{name}.csv"

    @property
    def summary_file(self) -> Path:
        """Written last: a folder that has one is complete."""
        return self.path / "summary.json"

    @property
    def tensorboard(self) -> Path:
        """The folder of the training's logs; the logger creates it."""
        return self.path / "tensorboard"

    def checkpoint_file(self, name: CheckpointName) -> Path:
        """Return where the checkpoint `last` or `best` lies."""
        if name not in ("last", "best"):
            raise InputError(unknown("checkpoint", name, ("best", "last")))
        return self.path / "checkpoints" / f"{name}.zip"

    def figure_file(self, name: str) -> Path:
        """Return where the figure of this name lies, e.g. `amr`; its folder exists afterwards."""
        folder = self.path / "figures"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.png"

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end."""
        return self.summary_file.is_file()

    def remove(self) -> None:
        """Remove the folder with all that is in it, and that of results where it was the last."""
        shutil.rmtree(self.path, ignore_errors=True)
        remove_if_empty(self.path.parent)

    # --- what was asked for ----------------------------------------------------------------------

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved configuration, plain data, in its own order."""
        atomic_files.write_text(self.config_file, _yaml(config))

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration.

        Raises:
            InputError: the folder holds no readable configuration.
        """
        config = _read_yaml(self.config_file)
        if not isinstance(config, dict):
            raise InputError(
                f"{self.config_file} is damaged: it must hold 'name: value' lines, and "
                f"{'is empty' if config is None else 'does not'}; train this run again"
            )
        return config

    def write_overrides(self, overrides: Sequence[str]) -> None:
        """Write what was said on the command line."""
        atomic_files.write_text(self.overrides_file, _yaml(list(overrides)))

    def read_overrides(self) -> list[str]:
        """Return what was said on the command line; nothing where nothing was written."""
        if not self.overrides_file.is_file():
            return []
        return [str(override) for override in _read_yaml(self.overrides_file) or []]

    def write_provenance(self, facts: Mapping[str, Any]) -> None:
        """Write where the run comes from, see `provenance`."""
        atomic_files.write_json(self.provenance_file, facts)

    def read_provenance(self) -> dict[str, Any]:
        """Return where the run comes from."""
        return _read_json(self.provenance_file)

    # --- checkpoints -----------------------------------------------------------------------------

    def write_checkpoint(
        self,
        name: CheckpointName,
        *,
        agent: bytes,
        state: Mapping[str, NDArray[Any]],
        vec_normalize: Any | None = None,
    ) -> None:
        """Write the checkpoint `last` or `best`, see `write_checkpoint`."""
        file = self.checkpoint_file(name)
        file.parent.mkdir(exist_ok=True)
        write_checkpoint(file, agent=agent, state=state, vec_normalize=vec_normalize)

    def has_checkpoint(self, name: CheckpointName) -> bool:
        """Return whether the checkpoint was written."""
        return self.checkpoint_file(name).is_file()

    def adopt_checkpoint(self, source: RunFolder, name: CheckpointName) -> None:
        """Take over another run's checkpoint as it is."""
        file = self.checkpoint_file(name)
        file.parent.mkdir(exist_ok=True)
        atomic_files.write_bytes(file, source.checkpoint_file(name).read_bytes())

    def read_checkpoint(self, name: CheckpointName) -> Checkpoint:
        """Return the checkpoint `last` or `best`.

        Raises:
            InputError: the folder holds no such checkpoint.
        """
        try:
            return read_checkpoint(self.checkpoint_file(name))
        except FileNotFoundError as error:
            have = [one for one in ("last", "best") if self.has_checkpoint(one)]
            raise InputError(
                f"{self.path} holds no checkpoint '{name}' (available: {', '.join(have) or 'none'})"
            ) from error

    # --- tables ----------------------------------------------------------------------------------

    def append_evaluation(self, transitions: int, episodes: Mapping[str, NDArray[Any]]) -> None:
        """Append one row per episode: the transitions trained so far, then the columns in order.

        Raises:
            InputError: the file has other columns.
        """
        columns = ["transitions", *episodes]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        try:
            before = self.evaluations_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            before = ""
            writer.writerow(columns)
        else:
            header = before.split("\n", 1)[0].split(",")
            if header != columns:
                raise InputError(
                    f"{self.evaluations_file} has the columns {header}, not {columns}: "
                    "evaluate in a new run folder"
                )
        for row in zip(*(column.tolist() for column in episodes.values()), strict=True):
            writer.writerow([transitions, *row])
        atomic_files.write_text(self.evaluations_file, before + text.getvalue())

    def read_evaluations(self) -> pd.DataFrame:
        """Return evaluations.csv as a table.

        Raises:
            InputError: the run was never evaluated.
        """
        import pandas as pd

        if not self.evaluations_file.is_file():
            raise InputError(f"{self.path} holds no {self.evaluations_file.name}")
        return pd.read_csv(self.evaluations_file)

    def write_trajectories(self, steps: pd.DataFrame, patients: pd.DataFrame | None = None) -> None:
        """Write the tables of every step and, if given, of every patient, as Parquet."""
        atomic_files.write_bytes(self.trajectories_file, _parquet(steps))
        if patients is not None:
            atomic_files.write_bytes(self.patients_file, _parquet(patients))

    def read_trajectories(self) -> pd.DataFrame:
        """Return the table of every step; raises InputError where it was not asked for."""
        return _read_parquet(self.trajectories_file)

    def read_patients(self) -> pd.DataFrame:
        """Return the table of every patient; raises InputError where it was not asked for."""
        return _read_parquet(self.patients_file)

    def append_option_usage(self, transitions: int, seed: int, usage: pd.DataFrame) -> None:
        """Append one row per option: transitions trained, training seed, the usage's columns."""
        import pandas as pd

        rows = usage.copy()
        rows.insert(0, "transitions", transitions)
        rows.insert(1, "seed", seed)
        if self.option_usage_file.is_file():
            rows = pd.concat([self.read_option_usage(), rows], ignore_index=True)
        atomic_files.write_text(self.option_usage_file, rows.to_csv(index=False))

    def read_option_usage(self) -> pd.DataFrame:
        """Return option_usage.csv; raises InputError where no manager was evaluated."""
        return _read_csv(self.option_usage_file)

    def write_decisions(
        self, decisions: pd.DataFrame, tables: Mapping[str, tuple[pd.DataFrame, bool]]
    ) -> None:
        """Write the decisions of the final evaluation and the tables drawn from them.

        Args:
            decisions: One row per decision.
            tables: Name -> table, and whether its index is a column too.
        """
        atomic_files.write_text(self.decisions_file, decisions.to_csv(index=False))
        for name, (table, has_index) in tables.items():
            atomic_files.write_text(self.option_table_file(name), table.to_csv(index=has_index))

    def read_decisions(self) -> pd.DataFrame:
        """Return decisions.csv; raises InputError where no manager was evaluated."""
        return _read_csv(self.decisions_file)

    # --- the end ---------------------------------------------------------------------------------

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: the run is complete afterwards."""
        atomic_files.write_json(self.summary_file, summary)

    def read_summary(self) -> dict[str, Any]:
        """Return the summary; raises InputError when the run is not complete."""
        return _read_json(self.summary_file)


# --- finding runs --------------------------------------------------------------------------------


def check_run_name(run_name: str) -> str:
    """Return `run_name` when it can name a folder.

    Raises:
        InputError: it is empty, hidden or holds characters that mean something else.
    """
    return check_folder_name("run_name", run_name)


def run_folders(results_dir: Path | str, run_name: str | None = None) -> list[RunFolder]:
    """Return the run folders of this name (None: of any), oldest first."""
    found = []
    for path in _entries(results_dir):
        if _TIMESTAMP.search(path.name) is None or not (path / "config.yaml").is_file():
            continue
        folder = RunFolder(path)
        if run_name is None or folder.run_name == run_name:
            found.append(((*folder.moment, path.name), folder))
    return [folder for _, folder in sorted(found, key=lambda pair: pair[0])]


def run_folders_below(folder: Path | str) -> list[RunFolder]:
    """Return all run folders below a folder, at any depth, in the order of their paths."""
    found: list[RunFolder] = []
    for path in _entries(folder):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if _TIMESTAMP.search(path.name) and (path / "config.yaml").is_file():
            found.append(RunFolder(path))
        else:
            found += run_folders_below(path)
    return found


def newest_run(results_dir: Path | str, run_name: str, *, only_complete: bool = False) -> RunFolder:
    """Return the newest run folder of this name.

    Raises:
        InputError: there is none; the message names the nearest run and those that exist.
    """
    folders = run_folders(results_dir, run_name)
    if only_complete:
        folders = [folder for folder in folders if folder.is_complete]
    if folders:
        return folders[-1]
    names = {folder.run_name for folder in run_folders(results_dir)}
    if run_name in names:
        raise InputError(f"no run '{run_name}' in {results_dir} is complete")
    if not names:
        raise InputError(
            f"run '{run_name}' does not exist: {results_dir} holds no runs (abx-train makes them; "
            "results_dir=FOLDER looks elsewhere)"
        )
    raise InputError(f"{unknown('run', run_name, names)} in {results_dir}")


def find_run(run: Path | str, *, results_dir: Path | str) -> RunFolder:
    """Return the run folder that the user means: a path to it, or the name of its newest run.

    Raises:
        InputError: neither a run folder nor a run name.
    """
    if Path(run).is_dir():
        return RunFolder.open(run)
    if os.sep in str(run):
        raise InputError(f"run folder {run} does not exist")
    if (Path(results_dir) / run).is_dir():
        return RunFolder.open(Path(results_dir) / run)
    return newest_run(results_dir, str(run))


# --- the completion registry ---------------------------------------------------------------------


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


# --- runs of a set that failed -------------------------------------------------------------------


def write_failure(results_dir: Path | str, run_name: str, reason: str) -> None:
    """Note in one line why a run of a set failed, for the command that waits for it."""
    file = _failure_file(results_dir, run_name)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_text(file, reason + "\n")


def read_failure(results_dir: Path | str, run_name: str) -> str | None:
    """Return why a run of a set failed, None where nothing was noted."""
    try:
        return _failure_file(results_dir, run_name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None


def read_failures(results_dir: Path | str) -> dict[str, str]:
    """Return run name -> why it failed, of the runs of sets in this folder."""
    files = sorted((Path(results_dir) / FAILURES).glob("*.txt"))
    return {file.stem: file.read_text(encoding="utf-8").strip() for file in files}


def clear_failure(results_dir: Path | str, run_name: str) -> None:
    """Remove the note."""
    _failure_file(results_dir, run_name).unlink(missing_ok=True)


def remove_if_empty(results_dir: Path | str) -> None:
    """Remove the folder of notes and that of results where nothing is in them."""
    for folder in (Path(results_dir) / FAILURES, Path(results_dir)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _failure_file(results_dir: Path | str, run_name: str) -> Path:
    return Path(results_dir) / FAILURES / f"{run_name}.txt"


def _registry(results_dir: Path | str) -> atomic_files.CompletionRegistry:
    return atomic_files.CompletionRegistry(Path(results_dir) / REGISTRY, columns=REGISTRY_COLUMNS)


# --- checkpoints ---------------------------------------------------------------------------------


def write_checkpoint(
    file: Path,
    *,
    agent: bytes,
    state: Mapping[str, NDArray[Any]],
    vec_normalize: Any | None = None,
) -> None:
    """Write an agent and all that belongs to it as ONE file, so that the parts always match.

    The file is the algorithm's own zip with two more members, which its `load` passes over.

    Args:
        file: the file, in a folder that exists.
        agent: what the algorithm's `save` wrote (into a BytesIO).
        state: arrays to save with it: random generators, clinic, counters.
        vec_normalize: the environment's VecNormalize, if it has one.
    """
    arrays = io.BytesIO()
    np.savez(arrays, **dict(state))  # type: ignore[arg-type]
    whole = io.BytesIO(agent)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(_STATE, arrays.getvalue())
        if vec_normalize is not None:
            archive.writestr(_VEC_NORMALIZE, pickle.dumps(vec_normalize))
    atomic_files.write_bytes(file, whole.getvalue())


def read_checkpoint(file: Path) -> Checkpoint:
    """Return what `write_checkpoint` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no checkpoint.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if "data" not in members:  # what is cut off may still end like an archive
                raise zipfile.BadZipFile("it was cut off")
            state: dict[str, NDArray[Any]] = {}
            if _STATE in members:
                with np.load(io.BytesIO(archive.read(_STATE)), allow_pickle=False) as arrays:
                    state = {key: arrays[key] for key in arrays.files}
            normalize = (
                pickle.loads(archive.read(_VEC_NORMALIZE)) if _VEC_NORMALIZE in members else None
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        other = "best" if file.stem == "last" else "last"
        beside = file.with_name(f"{other}.zip").is_file()
        cure = f"the checkpoint '{other}' beside it may be whole" if beside else "train it again"
        raise InputError(f"{file} is damaged or no checkpoint ({error}): {cure}") from error
    return Checkpoint(agent=file, state=state, vec_normalize=normalize)


# --- studies' seeds ------------------------------------------------------------------------------


def write_seed_result(
    trial_folder: Path | str,
    *,
    outcome: Mapping[str, Any],
    evaluation_returns: Sequence[float],
    identity: str | None = None,
) -> None:
    """Write what a seed of a trial gave to `trial_folder/seed_<s>/result.json`.

    A checkpoint of the seed goes, since there is nothing to go on with.

    Args:
        trial_folder: trials/<number> of the study.
        outcome: seed, episode_return, failure, effective_values, seconds.
        evaluation_returns: the return of every evaluation episode.
        identity: what the result follows from, see `studies.attempts.identity`.
    """
    file = seed_checkpoint_file(trial_folder, outcome["seed"])
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {**outcome, "evaluation_returns": list(evaluation_returns), "identity": identity}
    atomic_files.write_json(file.with_name("result.json"), content)
    file.unlink(missing_ok=True)


def read_seed_result(
    trial_folder: Path | str, seed: int, *, identity: str
) -> dict[str, Any] | None:
    """Return what a seed gave, None where it has not ended or follows from something else."""
    file = Path(trial_folder) / f"seed_{seed}" / "result.json"
    try:
        outcome = _read_json(file)
    except InputError:
        return None
    return outcome if outcome.get("identity") == identity else None


def write_trial_parameters(
    trial_folder: Path, *, parameters: Mapping[str, Any], fingerprint: str
) -> None:
    """Write the point of a trial to `trial_folder/parameters.json`, for the jobs of its seeds."""
    trial_folder.mkdir(parents=True, exist_ok=True)
    content = {"parameters": dict(parameters), "fingerprint": fingerprint}
    atomic_files.write_json(trial_folder / "parameters.json", content)


def read_trial_parameters(trial_folder: Path) -> dict[str, Any]:
    """Return the point of a trial: `parameters` (path -> value) and the study's `fingerprint`.

    Raises:
        InputError: there is none.
    """
    return _read_json(trial_folder / "parameters.json")


def seed_checkpoint_file(trial_folder: Path | str, seed: int) -> Path:
    """Return where a seed in training is saved, so that it can go on elsewhere."""
    return Path(trial_folder) / f"seed_{seed}" / "checkpoint.zip"


def read_seed_results(study_folder: Path | str) -> pd.DataFrame:
    """Return what the seeds of a study's trials gave, one row per trials/<n>/seed_<s>/result.json.

    Columns: trial, seed, episode_return (nan for a failed seed), failure (None for one that
    succeeded), seconds; ordered by trial and seed.
    """
    import pandas as pd

    rows = []
    for trial, seed, file in _seed_results(Path(study_folder)):
        outcome = _read_json(file)
        rows.append(
            {
                "trial": trial,
                "seed": seed,
                "episode_return": outcome.get("episode_return"),
                "failure": outcome.get("failure"),
                "seconds": outcome.get("seconds"),
            }
        )
    columns = ["trial", "seed", "episode_return", "failure", "seconds"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"episode_return": float, "seconds": float, "failure": object})


def _seed_results(study_folder: Path) -> Iterable[tuple[int, int, Path]]:
    found = []
    for trial in _entries(study_folder / "trials"):
        for seed in _entries(trial):
            file = seed / "result.json"
            named = re.fullmatch(r"seed_(\d+)", seed.name)
            if trial.name.isdecimal() and named and file.is_file():
                found.append((int(trial.name), int(named[1]), file))
    return sorted(found)


# --- provenance ----------------------------------------------------------------------------------


def provenance(
    *,
    seeds: Mapping[str, int],
    command: Sequence[str] | None = None,
    started: datetime | None = None,
    folder: Path | str = ".",
) -> dict[str, Any]:
    """Return where a run comes from: versions, seeds, command, host, commit and start time.

    Args:
        seeds: name -> seed, e.g. {"training": 42, "evaluation": 0}.
        command: the command line; this process's unless told.
        started: when the run began; now unless told.
        folder: where the commit is looked up.
    """
    return {
        "command": shlex.join(sys.argv if command is None else command),
        "started": (started or datetime.now()).astimezone().isoformat(timespec="seconds"),
        "seeds": dict(seeds),
        "versions": {"python": platform.python_version()} | {p: _version(p) for p in PACKAGES},
        "host": {
            "name": platform.node(),
            "platform": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "working_folder": str(Path(folder).resolve()),
        "git": _commit(folder),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit(folder: Path | str) -> dict[str, Any] | None:
    """Return the commit checked out in `folder`, or None where git knows of none."""

    def git(*arguments: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return answer.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "has_local_changes": bool(changed)}


# --- formats -------------------------------------------------------------------------------------


def _entries(folder: Path | str) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from sorted(Path(folder).iterdir())


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_YAML_LOADER)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"{file} is damaged: it cannot be read as YAML ({first_line}); "
            "put it back, or run again"
        ) from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{file} is damaged: it cannot be read as JSON ({error}); put it back, or run again"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold a JSON object, got {type(value).__name__}")
    return value


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _read_csv(file: Path) -> pd.DataFrame:
    import pandas as pd

    if not file.is_file():
        raise InputError(f"{file} does not exist: only a manager that was evaluated has one")
    return pd.read_csv(file)


def _read_parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    if not file.is_file():
        raise InputError(f"{file} does not exist: run with trajectories=true")
    return pd.read_parquet(file)
