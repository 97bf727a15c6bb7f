"""Where everything of a study lies: its folder's layout, said here and nowhere else.

optimization/
  .optimization_completed.txt          the registry of completed studies
  <run_name>/
    full_agent_env_config.yaml         the configuration that was searched in
    tuning_config.yaml                 the settings of the search
    option_library.yaml                of a manager's study
    best_params.json                   written once the budget is reached
    study_summary.json
    trials.csv                         a row per trial and seed, as of the summary
    provenance.json                    command, versions, machine and commit that made it
    trials/<number>/
      parameters.json                  the point, where the seeds are jobs of their own
      seed_<seed>/result.json          what the seed gave
      seed_<seed>/checkpoint.zip       the seed in training, so that it can go on elsewhere
    final/<number or default>/         the seeds of a point in the final, as in a trial's folder
    trials_earlier_<n>/                trials of a study of this name that was deleted
    figures/<name>.png
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError

CONFIGURATION_FILE = "full_agent_env_config.yaml"
REGISTRY_FILE = ".optimization_completed.txt"
_SEED = re.compile(r"seed_(\d+)")


@dataclass(frozen=True)
class SeedFolder:
    """The folder of one seed of one trial."""

    path: Path

    @property
    def seed(self) -> int:
        """The seed.

        >>> SeedFolder(Path("trials/3/seed_1000")).seed
        1000
        """
        return int(self.path.name.removeprefix("seed_"))

    @property
    def result_file(self) -> Path:
        """What the seed gave, written when it has ended."""
        return self.path / "result.json"

    @property
    def checkpoint_file(self) -> Path:
        """The seed as it was last saved, gone once it has ended."""
        return self.path / "checkpoint.zip"


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    path: Path

    @property
    def number(self) -> int:
        """The trial's number in its study."""
        return int(self.path.name)

    @property
    def parameters_file(self) -> Path:
        """The point of the trial, for the jobs of its seeds."""
        return self.path / "parameters.json"

    def seed(self, seed: int) -> SeedFolder:
        """Return the folder of a seed, which need not exist."""
        return SeedFolder(self.path / f"seed_{seed}")

    def seeds(self) -> Iterator[SeedFolder]:
        """Yield the folders of seeds that exist, by seed."""
        found = [path for path in _entries(self.path) if _SEED.fullmatch(path.name)]
        yield from sorted(map(SeedFolder, found), key=lambda folder: folder.seed)


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study: optimization/<run_name>."""

    path: Path

    @property
    def configuration_file(self) -> Path:
        """The configuration that was searched in, as YAML."""
        return self.path / CONFIGURATION_FILE

    @property
    def tuning_file(self) -> Path:
        """The settings of the search, as YAML."""
        return self.path / "tuning_config.yaml"

    @property
    def option_library_file(self) -> Path:
        """The options of a manager's study, as YAML."""
        return self.path / "option_library.yaml"

    @property
    def best_params_file(self) -> Path:
        """The best point: configuration path -> value."""
        return self.path / "best_params.json"

    @property
    def summary_file(self) -> Path:
        """How far the study is, and its best trial."""
        return self.path / "study_summary.json"

    @property
    def trials_file(self) -> Path:
        """A row per trial and seed, for whoever has the folder without the storage."""
        return self.path / "trials.csv"

    @property
    def provenance_file(self) -> Path:
        """The command that made the study, versions, machine and commit."""
        return self.path / "provenance.json"

    @property
    def trials_folder(self) -> Path:
        """The folder of all trials."""
        return self.path / "trials"

    @property
    def final_folder(self) -> Path:
        """The folder of all points of the final."""
        return self.path / "final"

    @property
    def figures_folder(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def trial(self, number: int) -> TrialFolder:
        """Return the folder of a trial, which need not exist."""
        return TrialFolder(self.trials_folder / str(number))

    def final_point(self, point: int | str) -> TrialFolder:
        """Return the folder of a point in the final (a trial's number, or `default`)."""
        return TrialFolder(self.final_folder / str(point))

    def trials(self) -> Iterator[TrialFolder]:
        """Yield the folders of trials that exist, by number."""
        found = [path for path in _entries(self.trials_folder) if path.name.isdecimal()]
        yield from sorted(map(TrialFolder, found), key=lambda folder: folder.number)

    def figure_file(self, name: str) -> Path:
        """Return where the figure of this name lies, e.g. `study_history`."""
        return self.figures_folder / f"{name}.png"

    def free_trials_folder(self) -> Path:
        """Return a folder that does not exist, where trials of a deleted study are put aside."""
        number = 1
        while (aside := self.path / f"trials_earlier_{number}").exists():
            number += 1
        return aside


def study_folders(optimization_dir: Path | str) -> list[StudyFolder]:
    """Return the folders of studies below `optimization_dir`, by name."""
    files = sorted(Path(optimization_dir).glob(f"*/{CONFIGURATION_FILE}"))
    return [StudyFolder(file.parent) for file in files]


def is_study_folder(path: Path | str) -> bool:
    """Return whether a folder is that of a study: it holds a configuration, a summary or trials."""
    study, files = StudyFolder(Path(path)), ("optuna_study.db", "optuna_journal.log")
    own = (study.configuration_file, study.summary_file, *(study.path / name for name in files))
    return any(file.is_file() for file in own)


def check_holds_studies(optimization_dir: Path | str) -> None:
    """Refuse the folder of one study where that of all studies is expected.

    Raises:
        InputError: with what to write.
    """
    path = Path(optimization_dir)
    if is_study_folder(path):
        whole = path.resolve()
        raise InputError(
            f"optimization_dir={path} is the folder of one study, {whole.name}: write "
            f"{shlex.quote(f'optimization_dir={written_path(whole.parent)}')}, and "
            f"{shlex.quote(whole.name)} where a study is named"
        )


def written_path(path: Path) -> str:
    """Return a path as it is written from here: relative where it lies below, else whole."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def registry_file(optimization_dir: Path | str) -> Path:
    """Return the registry of completed studies below `optimization_dir`."""
    return Path(optimization_dir) / REGISTRY_FILE


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
