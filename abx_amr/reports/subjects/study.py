"""A study as a page takes it: from its storage where that is at hand, else from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from abx_amr.errors import InputError, first_line
from abx_amr.reports.subjects.subject import FolderSubject, Reading
from abx_amr.reports.wording import is_known
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.space import parse_search_space
from abx_amr.studies.storages import JournalStorage, SqliteStorage, StudyStorage
from abx_amr.studies.tables import of_whole_trainings

if TYPE_CHECKING:
    import pandas as pd

#: The storages that lie in a study's own folder.
OWN_STORAGES: Mapping[str, type[SqliteStorage | JournalStorage]] = {
    "optuna_study.db": SqliteStorage,
    "optuna_journal.log": JournalStorage,
}


@dataclass(frozen=True)
class StudySubject(FolderSubject):
    """A study.

    Args:
        path: Its folder.
        storage: Where its trials are (default: what lies in the folder).
        has_figures: Whether figures are drawn.
    """

    KIND: ClassVar[str] = "study"

    storage: StudyStorage | None = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The study's run name."""
        return str(self.summary.get("run_name") or self.path.resolve().name)

    @property
    def folder(self) -> StudyFolder:
        """The folder by its names."""
        return StudyFolder(self.path)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """study_summary.json."""
        return self.reading.json(self.folder.summary_file)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration that was searched in."""
        return self.reading.yaml(self.folder.configuration_file)

    @cached_property
    def tuning(self) -> dict[str, Any]:
        """The settings of the search."""
        return self.reading.yaml(self.folder.tuning_file).get("tuning") or {}

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """What the summary says of the best trial; None where none has a finite value."""
        found = self.summary.get("best_trial")
        return found if isinstance(found, dict) else None

    @cached_property
    def space(self) -> SearchSpace:
        """Configuration path -> distribution; empty where it cannot be read."""
        try:
            return parse_search_space(self.tuning.get("search_space") or {})
        except InputError as error:
            self.problems.append(f"the search space cannot be read: {error}")
            return SearchSpace()

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, command, host, commit; empty for a study of an earlier release."""
        return self.provenance_in(self.folder.provenance_file)

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """One row per trial and seed, as `studies.tables.seeds_table` gives it.

        From trials.csv where that is all there is to come; else from the storage, and where that
        is not at hand from trials.csv again.
        """
        import pandas as pd

        table = self.reading.table(self.folder.trials_file)
        if self.storage is None and table is not None and self._is_whole(table):
            return table
        for storage in self._storages():
            try:
                return _from_storage(storage, str(self.summary.get("study_name") or self.name))
            except Exception as error:  # any driver's own; the folder tells the rest
                self.problems.append(
                    f"the trials in {storage.label} cannot be read: {first_line(error)}"
                )
        if table is None:
            self.problems.append(
                f"no trials: neither a database nor {self.folder.trials_file.name} is here"
            )
            return pd.DataFrame(columns=["number", "state", "value", "seed", "episode_return"])
        return table

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial: number, state, value, mean_reward, std_reward, ..., params.<path>."""
        own = ("study", "seed", "episode_return", "seed_failure", "seed_seconds")
        table = self.seeds.drop(columns=[c for c in own if c in self.seeds])
        return table.drop_duplicates("number").reset_index(drop=True)

    @cached_property
    def results(self) -> Mapping[tuple[int, int], Mapping[str, Any]]:
        """(trial, seed) -> what the seed left in the study's folder."""
        return seed_results(self.folder, self.reading)

    @cached_property
    def read_back(self) -> Mapping[int, Mapping[str, Any]]:
        """Trial -> configuration path -> what the built agent had, where a seed kept it."""
        found: dict[int, Mapping[str, Any]] = {}
        for (trial, _), result in self.results.items():
            values = result.get("effective_values")
            if isinstance(values, dict) and values:
                found.setdefault(trial, values)
        return found

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per point of a seed's curve: trial, seed, transitions, training_return."""
        import pandas as pd

        rows = [
            (trial, seed, float(point[0]), float(point[1]))
            for (trial, seed), result in self.results.items()
            for point in _points(result.get("curve"))
        ]
        return pd.DataFrame(rows, columns=["trial", "seed", "transitions", "training_return"])

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The trials and their seeds, those that may be compared."""
        found = {
            "trials": of_whole_trainings(self.trials),
            "seeds": of_whole_trainings(self.seeds),
            "curves": self.curves,
        }
        return {name: table for name, table in found.items() if not table.empty}

    def _is_whole(self, table: pd.DataFrame) -> bool:
        """Return whether a table holds every trial of a study that is complete."""
        if self.summary.get("status") != "complete" or "state" not in table:
            return False
        finished = table[table["state"].isin(["COMPLETE", "PRUNED"])]
        race = self.summary.get("race")
        known = race["points"] if race else self.summary.get("n_finished")
        return bool(finished["number"].nunique() == known)

    def _storages(self) -> list[StudyStorage]:
        if self.storage is not None:
            return [self.storage]
        return own_storages(self.path)


def own_storages(path: Path) -> list[StudyStorage]:
    """Return the storages that lie in a study's folder."""
    files = {path / name: made for name, made in OWN_STORAGES.items()}
    return [made(path=file) for file, made in files.items() if file.is_file()]


def _from_storage(storage: StudyStorage, name: str) -> pd.DataFrame:
    from abx_amr.studies.stored import read_study
    from abx_amr.studies.tables import seeds_table

    return seeds_table(read_study(storage, name))


def seed_results(folder: StudyFolder, reading: Reading) -> dict[tuple[int, int], dict[str, Any]]:
    """Return (trial, seed) -> what trials/<n>/seed_<s>/result.json holds, where it can be read."""
    found = {
        (trial.number, seed.seed): reading.json(seed.result_file)
        for trial in folder.trials()
        for seed in trial.seeds()
        if seed.result_file.is_file()
    }
    return {key: result for key, result in found.items() if result}


def _points(curve: Any) -> list[tuple[float, float]]:
    """Return the points of a curve of a file, none where it is damaged."""
    if not isinstance(curve, list):
        return []
    return [
        (point[0], point[1])
        for point in curve
        if isinstance(point, list) and len(point) == 2 and all(map(is_known, point))
    ]
