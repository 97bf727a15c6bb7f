"""What a user means by a name or a path: run folders, studies, gathered tables, plans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError, unknown
from abx_amr.reports.subjects import (
    PlanSubject,
    RunSubject,
    SetSubject,
    StoredStudySubject,
    StudySubject,
    Subject,
)
from abx_amr.reports.subjects.study import own_storages
from abx_amr.runs.folder import run_folders, run_folders_below
from abx_amr.studies.folder import StudyFolder, check_holds_studies, study_folders
from abx_amr.studies.storages import StudyStorage

PLAN = "plan.json"
TABLES = ("conditions.csv", "conditions.parquet")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where names are looked up.

    Args:
        results_dir: Runs and plans.
        optimization_dir: Studies.
        figures: Whether figures are drawn.
        storage: Where the trials of a study are (default: in its folder).
    """

    results_dir: Path
    optimization_dir: Path
    figures: bool = True
    storage: StudyStorage | None = None

    def study(self, path: Path) -> StudySubject:
        """Return the study of a folder."""
        return StudySubject(path, storage=self.storage, has_figures=self.figures)

    def stored_study(self, path: Path) -> StoredStudySubject | None:
        """Return the study that a storage holds whose folder would be this one.

        Its name is the folder's, or any where the storage lies in the folder and holds no other.
        """
        own = own_storages(path)
        for storage in own if self.storage is None else [self.storage]:
            names = storage.names() if storage in own else []
            name = names[0] if len(names) == 1 else path.resolve().name
            if storage.exists(name):
                return StoredStudySubject(
                    path, storage=storage, study_name=name, has_figures=self.figures
                )
        return None


def find_subjects(name: str, places: Places) -> list[Subject]:
    """Return what a name or a path means: mostly one thing, a run and a study may share a name.

    Raises:
        InputError: it is neither.
    """
    path = Path(name)
    if path.is_dir():
        return [in_folder(path, places)]
    check_holds_studies(places.optimization_dir)
    if "/" in name:
        raise InputError(f"{name} does not exist: give a folder, or the name of a run or a study")
    found: list[Subject] = []
    folder = places.optimization_dir / name
    if _is_study(folder):
        found.append(places.study(folder))
    elif (stored := places.stored_study(folder)) is not None:
        found.append(stored)
    runs = run_folders(places.results_dir, name)
    complete = [folder for folder in runs if folder.is_complete]
    if runs:
        found.append(RunSubject((complete or runs)[-1].path, has_figures=places.figures))
    if (places.results_dir / name).is_dir():
        found.append(in_folder(places.results_dir / name, places))
    if found:
        return found
    known = {folder.run_name for folder in run_folders(places.results_dir)}
    known |= {study.path.name for study in study_folders(places.optimization_dir)}
    raise InputError(
        f"{unknown('run or study', name, known)} in {places.results_dir} and "
        f"{places.optimization_dir}"
    )


def in_folder(path: Path, places: Places) -> Subject:
    """Return what a folder holds.

    Raises:
        InputError: nothing that has a page.
    """
    if (path / "config.yaml").is_file():
        return RunSubject(path, has_figures=places.figures)
    if _is_study(path):
        return places.study(path)
    if (path / PLAN).is_file():
        return PlanSubject(path, has_figures=places.figures)
    if any((path / name).is_file() for name in TABLES):
        return SetSubject.in_folder(path, has_figures=places.figures)
    if run_folders_below(path):
        from abx_amr.reports.gathering import gathered

        return gathered(path, has_figures=places.figures)
    if (stored := places.stored_study(path)) is not None:
        return stored
    raise InputError(
        f"{path} holds no run, study, plan or tables of abx-gather: give such a folder, or a name"
    )


def _is_study(path: Path) -> bool:
    study = StudyFolder(path)
    return study.configuration_file.is_file() or study.summary_file.is_file()
