"""The run folder: every file name, written and read here and nowhere else.

    results/<run_name>_<timestamp>/
      config.yaml               the resolved configuration
      overrides.yaml            what was said on the command line
      provenance.json           versions, seeds, command, platform, commit, start time
      checkpoints/last.zip      the agent as it was last saved, with all that going on needs
      checkpoints/best.zip      the agent of the best evaluation so far
      evaluations.csv           one row per (transitions trained, episode)
      compared.csv              one row per (policy, episode) of who was played against it
      trajectories.parquet      one row per (episode, step) of the final evaluation, when asked for
      patients.parquet          one row per (episode, step, patient), beside it
      option_usage.csv          of a manager: one row per (transitions trained, option)
      decisions.csv             of a manager: one row per decision of the final evaluation
      option_by_amr.csv, option_transitions.csv, option_trigrams.csv    drawn from these
      tensorboard/              logs of the training
      figures/<name>.png
      figures/data/<table>.parquet   what figures are drawn from and no other file holds
      summary.json              written last: a folder that has one is complete

Every file is written atomically: a reader sees the old one or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from abx_amr.errors import InputError, first_line, unknown
from abx_amr.host import atomic_files
from abx_amr.host.folder_names import check_folder_name
from abx_amr.host.plain_files import read_json, read_yaml, write_yaml
from abx_amr.host.secrets import redacted
from abx_amr.runs.checkpoint_file import Checkpoint, read_checkpoint, write_checkpoint
from abx_amr.runs.set_failures import remove_if_empty
from abx_amr.studies.folder import is_study_folder, written_path

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.host.alike_yaml import AlikeYaml

CheckpointName = Literal["last", "best"]

#: What every summary has.
_SUMMARY: Mapping[str, tuple[type, ...]] = {"run_name": (str,), "mean_return": (int, float)}
_LARGEST_TABLE = 2 * 1024**3  #: bytes
_TIMESTAMP = re.compile(r"_(\d{8}_\d{6})(?:_(\d+))?$")


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
        """Return the run folder at `path`, the one that a link leads to by its own name.

        Raises:
            InputError: there is no folder, or it holds no configuration.
        """
        path = Path(path)
        folder = cls(path.resolve() if path.is_symlink() else path)
        if not folder.path.is_dir():
            raise InputError(f"run folder {folder.path} does not exist")
        if not folder.config_file.is_file():
            raise InputError(
                f"{folder.path} is no run folder: it holds no {folder.config_file.name}"
                f"{_what_else(folder.path)}"
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
    def compared_file(self) -> Path:
        """One row per (policy, episode) of other policies on the episodes of the evaluation."""
        return self.path / "compared.csv"

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
    def regret_by_amr_file(self) -> Path:
        """How the final evaluation's treatments compare with the optimum's, by AMR level."""
        return self.path / "regret_by_amr.csv"

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
            is_file = Path(name).suffix == ".zip" and Path(name).stem in ("best", "last")
            cure = f": write checkpoint={Path(name).stem}, and the run by run=" if is_file else ""
            raise InputError(f"{unknown('checkpoint', name, ('best', 'last'))}{cure}")
        return self.path / "checkpoints" / f"{name}.zip"

    def figure_file(self, name: str) -> Path:
        """Return where the figure of this name lies, e.g. `amr`; its folder exists afterwards."""
        folder = self.path / "figures"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.png"

    def drawn_file(self, table: str) -> Path:
        """Return where a table lies that figures are drawn from, e.g. `steps`."""
        return self.path / "figures" / "data" / f"{table}.parquet"

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
        """Write the resolved configuration, plain data, in its own order, without secrets."""
        write_yaml(self.config_file, redacted(config))

    def read_config(self, alike: AlikeYaml | None = None) -> dict[str, Any]:
        """Return the resolved configuration.

        Args:
            alike: has read those of other runs; what is returned is theirs too then.

        Raises:
            InputError: the folder holds no readable configuration.
        """
        read = read_yaml if alike is None else alike.read_yaml
        config = read(self.config_file, is_ours=True)
        if not isinstance(config, dict):
            raise InputError(
                f"{self.config_file} is damaged: it must hold 'name: value' lines, and "
                f"{'is empty' if config is None else 'does not'}; train this run again"
            )
        return config

    def write_overrides(self, overrides: Sequence[str]) -> None:
        """Write what was said on the command line, without secrets."""
        write_yaml(self.overrides_file, redacted(list(overrides)))

    def read_overrides(self, alike: AlikeYaml | None = None) -> list[str]:
        """Return what was said on the command line; nothing where nothing was written.

        Args:
            alike: has read those of other runs.
        """
        if not self.overrides_file.is_file():
            return []
        read = read_yaml if alike is None else alike.read_yaml
        found = read(self.overrides_file, is_ours=True)
        if not isinstance(found, list | None):
            raise InputError(f"{self.overrides_file} is damaged: it must list overrides")
        return [str(override) for override in found or []]

    def write_provenance(self, facts: Mapping[str, Any]) -> None:
        """Write where the run comes from, see `provenance`."""
        atomic_files.write_json(self.provenance_file, facts)

    def read_provenance(self) -> dict[str, Any]:
        """Return where the run comes from; a part of another kind than was written is left out."""
        facts = read_json(self.provenance_file)
        sections = ("choices", "versions", "git", "host", "seeds")
        return {k: v for k, v in facts.items() if k not in sections or isinstance(v, dict | None)}

    # --- checkpoints -----------------------------------------------------------------------------

    def write_checkpoint(
        self,
        name: CheckpointName,
        *,
        state: Mapping[str, NDArray[Any]],
        facts: Mapping[str, Any] | None = None,
        agent: bytes | None = None,
    ) -> None:
        """Write the checkpoint `last` or `best`, see `write_checkpoint`."""
        file = self.checkpoint_file(name)
        file.parent.mkdir(exist_ok=True)
        write_checkpoint(file, state=state, facts=facts, agent=agent)

    def has_checkpoint(self, name: CheckpointName) -> bool:
        """Return whether the checkpoint was written."""
        return self.checkpoint_file(name).is_file()

    def adopt_checkpoint(self, source: RunFolder, name: CheckpointName) -> None:
        """Take over another run's checkpoint as it is."""
        file = self.checkpoint_file(name)
        file.parent.mkdir(exist_ok=True)
        atomic_files.write_bytes(file, source.checkpoint_file(name).read_bytes())

    def read_checkpoint(self, name: CheckpointName, *, trust: bool = False) -> Checkpoint:
        """Return the checkpoint `last` or `best`, as data; see `read_checkpoint` for `trust`.

        Raises:
            InputError: the folder holds no such checkpoint, or one that is damaged.
        """
        try:
            return read_checkpoint(self.checkpoint_file(name), trust=trust)
        except FileNotFoundError as error:
            have = [one for one in ("last", "best") if self.has_checkpoint(one)]
            raise InputError(
                f"{self.path} holds no checkpoint '{name}' (available: {', '.join(have) or 'none'})"
            ) from error

    def read_generations(self) -> pd.DataFrame | None:
        """Return one row per generation of a policy search, None for what is none."""
        import pandas as pd

        if not self.has_checkpoint("last"):
            return None
        state = self.read_checkpoint("last").state
        columns = {
            name.removeprefix("generations."): values
            for name, values in state.items()
            if name.startswith("generations.")
        }
        return pd.DataFrame(columns) if columns else None

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
            header = next(csv.reader(io.StringIO(before, newline="")))
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
            InputError: the run was never evaluated, or the file is damaged.
        """
        if not self.evaluations_file.is_file():
            raise InputError(f"{self.path} holds no {self.evaluations_file.name}")
        return _table(self.evaluations_file, ("transitions", "episode"))

    def add_compared(self, policy: str, episodes: pd.DataFrame) -> None:
        """Add what another policy did in the episodes of the final evaluation."""
        import pandas as pd

        table = episodes.assign(policy=policy)
        if self.compared_file.is_file():
            before = self.read_compared()
            table = pd.concat([before[before["policy"] != policy], table])
        atomic_files.write_text(self.compared_file, table.to_csv(index=False))

    def read_compared(self) -> pd.DataFrame:
        """Return compared.csv; raises InputError where nobody else was played."""
        import pandas as pd

        if not self.compared_file.is_file():
            raise InputError(f"{self.path} holds no {self.compared_file.name}")
        return pd.read_csv(self.compared_file, dtype={"policy": str}, keep_default_na=False)

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

    def write_drawn(self, name: str, table: pd.DataFrame) -> None:
        """Write a table that figures are drawn from, its numbers in 32 bits."""
        file = self.drawn_file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        wide = [c for c, kind in table.dtypes.items() if str(kind) == "float64"]
        atomic_files.write_bytes(file, _parquet(table.astype(dict.fromkeys(wide, "float32"))))

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

    def write_regret_by_amr(self, table: pd.DataFrame) -> None:
        """Write one row per (antibiotic, AMR level), as `Agreement.by_level` returns them."""
        atomic_files.write_text(self.regret_by_amr_file, table.to_csv(index=False))

    def read_regret_by_amr(self) -> pd.DataFrame | None:
        """Return that table, None where the optimum was not at hand; InputError if damaged."""
        file = self.regret_by_amr_file
        return _table(file, ("level_low", "level_high", "regret")) if file.is_file() else None

    # --- the end ---------------------------------------------------------------------------------

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: the run is complete afterwards."""
        atomic_files.write_json(self.summary_file, summary)

    def read_summary(self) -> dict[str, Any]:
        """Return the summary.

        Raises:
            InputError: the run is not complete, or the file is damaged.
        """
        summary = read_json(self.summary_file)
        for name, kinds in _SUMMARY.items():
            if not isinstance(summary.get(name), kinds):
                raise InputError(f"{self.summary_file} is damaged: it has no {name}; run again")
        return summary


def check_run_name(run_name: object) -> str:
    """Return `run_name` when it can name a folder.

    Raises:
        InputError: it is no text, empty, hidden or holds characters that mean something else.
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
    """Return all run folders below a folder, at any depth, in the order of their paths.

    Each once, where it lies: links may lead to a run again, or in circles.
    """
    top = Path(folder).resolve()
    return list(_runs_below(Path(folder), top, {top}))


def _runs_below(folder: Path, top: Path, seen: set[Path]) -> Iterator[RunFolder]:
    for path in _entries(folder):
        if path.name.startswith(".") or not path.is_dir():
            continue
        real = path.resolve()
        if real in seen or (path.is_symlink() and real.is_relative_to(top)):
            continue
        seen.add(real)
        if _TIMESTAMP.search(path.name) and (path / "config.yaml").is_file():
            yield RunFolder(path)
        else:
            yield from _runs_below(path, top, seen)


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
    check_holds_runs(results_dir)
    if run_name in names:
        raise InputError(f"no run '{run_name}' in {results_dir} is complete")
    if not names:
        raise InputError(
            f"run '{run_name}' does not exist: {results_dir} holds no runs (abx-train makes them; "
            "results_dir=FOLDER looks elsewhere)"
        )
    raise InputError(f"{unknown('run', run_name, names)} in {results_dir}")


def check_holds_runs(results_dir: Path | str) -> None:
    """Refuse the folder of one run where that of all runs is expected.

    Raises:
        InputError: with what to write.
    """
    path = Path(results_dir)
    if _TIMESTAMP.search(path.resolve().name) and (path / "config.yaml").is_file():
        whole = path.resolve()
        raise InputError(
            f"results_dir={path} is the folder of one run: write "
            f"{shlex.quote(f'results_dir={written_path(whole.parent)}')}, and {whole.name} where a "
            "run is named"
        )


def _what_else(path: Path) -> str:
    """Return what a folder is that is no run's, with the cure."""
    if is_study_folder(path):
        whole = path.resolve()
        place = shlex.quote(f"optimization_dir={written_path(whole.parent)}")
        return (
            f"; it is a study's: abx-train best_params_from={whole.name} {place} trains with what "
            "it found"
        )
    if (path.parent / "config.yaml").is_file():
        return f"; the run's folder is {path.parent}"
    if runs := run_folders(path):
        return f"; it holds runs, such as {runs[-1].path}"
    return ""


def _folder_around(file: Path) -> Path | None:
    """Return the run folder that a file lies in, None where it is none of a run."""
    if not file.is_file():
        return None
    return next((one for one in file.parents[:3] if (one / "config.yaml").is_file()), None)


def find_run(run: Path | str, *, results_dir: Path | str) -> RunFolder:
    """Return the run folder that the user means: a path to it, or the name of its newest run.

    Raises:
        InputError: neither a run folder nor a run name.
    """
    if Path(run).is_dir():
        return RunFolder.open(run)
    if (inside := _folder_around(Path(run))) is not None:
        name = Path(run).stem if Path(run).parent.name == "checkpoints" else None
        chosen = f", and checkpoint={name}" if name in ("best", "last") else ""
        raise InputError(f"{run} is a file of a run: give the folder of the run, {inside}{chosen}")
    if os.sep in str(run).rstrip(os.sep):
        raise InputError(f"run folder {run} does not exist")
    run = str(run).rstrip(os.sep)  # as a shell completes it
    if run and (Path(results_dir) / run).is_dir():
        return RunFolder.open(Path(results_dir) / run)
    return newest_run(results_dir, str(run))


def _entries(folder: Path | str) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from sorted(Path(folder).iterdir())


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _read_csv(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise InputError(f"{file} does not exist: only a manager that was evaluated has one")
    return _table(file)


def _table(file: Path, numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table of a run.

    Raises:
        InputError: it is damaged, or lacks these columns of numbers.
    """
    import pandas as pd

    if (size := file.stat().st_size) > _LARGEST_TABLE:
        raise InputError(f"{file} is not read: {size / 1024**3:.0f} GiB are more than any run's")
    try:
        if not _ends_a_line(file):
            raise ValueError("it was cut off")
        table = pd.read_csv(file)
        missing = [n for n in numbers if n not in table or table[n].dtype.kind not in "if"]
    except (ValueError, OSError) as error:  # of pandas or of the text's encoding
        raise InputError(f"{file} is damaged ({first_line(error)}): run again") from error
    if missing or (numbers and table[list(numbers)].isna().to_numpy().any()):
        raise InputError(f"{file} is damaged: it lacks numbers ({', '.join(numbers)}); run again")
    return table


def _ends_a_line(file: Path) -> bool:
    """Return whether a file's last byte ends a line, as every table's does."""
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _read_parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    if not file.is_file():
        raise InputError(f"{file} does not exist: run with trajectories=true")
    try:
        return pd.read_parquet(file)
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is damaged ({first_line(error)}): run again") from error
