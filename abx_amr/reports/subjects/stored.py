"""A study of which only its storage is at hand: what its records tell of it, and its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.host.folder_names import check_folder_name
from abx_amr.reports.subjects.study import StudySubject
from abx_amr.reports.subjects.subject import PAGE
from abx_amr.studies.race_standing import race_so_far

if TYPE_CHECKING:
    from abx_amr.studies.records import StudyRecord, TrialRecord


@dataclass(frozen=True)
class StoredStudySubject(StudySubject):
    """A study whose folder is not here, or holds its storage alone.

    Args:
        path: The folder, which need not exist.
        storage: Where its trials are.
        study_name: What it is called there.
    """

    study_name: str = field(kw_only=True)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study_name

    @property
    def page_file(self) -> Path:
        """In its folder; else in the working folder, under its name where a file can have it."""
        if self.path.is_dir():
            return self.path / PAGE
        try:
            name = check_folder_name("study_name", self.name)
        except InputError:
            name = "study"
        return Path(f"{name}_report.html")

    @cached_property
    def record(self) -> StudyRecord:
        """The study as it is stored.

        Raises:
            InputError: the storage has no such study.
        """
        from abx_amr.studies.stored import read_study

        assert self.storage is not None
        return read_study(self.storage, self.name)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What study_summary.json would say."""
        self.problems.append(without_folder(self.record))
        return {**summary_of(self.record), "best_trial": self._best()}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings that make trials comparable; empty for a study of another program."""
        return {k: v for k, v in settings_of(self.record).items() if k != "tuning"}

    @cached_property
    def tuning(self) -> dict[str, Any]:
        """The settings of the search, without its budget and its workers."""
        found: dict[str, Any] = settings_of(self.record).get("tuning") or {}
        return found

    @cached_property
    def read_back(self) -> Mapping[int, Mapping[str, Any]]:
        """Trial -> configuration path -> what the built agent had."""
        return {t.number: t.effective_values for t in self.record.trials if t.effective_values}

    def _best(self) -> dict[str, Any] | None:
        best = self.record.best
        return None if best is None else _told(best)


def without_folder(record: StudyRecord) -> str:
    """Return what a reader is told who has the storage alone."""
    return f"the study's folder is not here: {record.label} is all there is to read"


def settings_of(record: StudyRecord) -> dict[str, Any]:
    """Return section -> ... -> value of what a study was made with, as far as it is stored."""
    origin = record.attributes.origin
    settings: dict[str, Any] = {}
    for path, value in ({} if origin is None else origin.values).items():
        section = settings
        *above, last = path.split(".")
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    return settings


def summary_of(record: StudyRecord) -> dict[str, Any]:
    """Return what a storage tells of a study as a whole."""
    origin, budget = record.attributes.origin, record.attributes.budget
    final = final_result_of(record)
    is_searched = budget is not None and record.n_finished >= budget
    is_over = final is not None or record.final.size is None or record.best is None
    tuning = settings_of(record).get("tuning") or {}
    return {
        "run_name": record.name,
        "study_name": record.name,
        "status": "complete" if is_searched and is_over else "unfinished",
        "budget": budget,
        "race": _race_of(record, tuning.get("stability_penalty_weight")),
        "n_finished": record.n_finished,
        "direction": record.direction,
        "stability_penalty_weight": tuning.get("stability_penalty_weight"),
        "fingerprint": None if origin is None else origin.digest,
        "best_value": None if record.best is None else record.best.value,
        "final": final,
    }


def _race_of(record: StudyRecord, penalty_weight: float | None) -> dict[str, Any] | None:
    return race_so_far(
        record.attributes.race,
        record.trials,
        penalty_weight=penalty_weight or 0.0,
        direction="maximize" if record.direction == "maximize" else "minimize",
    )


def final_result_of(record: StudyRecord) -> Mapping[str, Any] | None:
    """Return what came of a study's final; None where it has none of all its finished trials."""
    result = record.final.result
    is_of_all = result is not None and result.get("n_finished") == record.n_finished
    return result if is_of_all else None


def _told(trial: TrialRecord) -> dict[str, Any]:
    """Return a trial as study_summary.json tells of the best."""
    return {
        "number": trial.number,
        "value": trial.value,
        "params": dict(trial.params),
        "mean_reward": trial.mean_reward,
        "std_reward": trial.std_reward,
        "seeds": [seed.as_record() for seed in trial.seeds],
        "collapsed_seeds": trial.collapsed_seeds,
        "effective_values": trial.effective_values,
    }
