"""A run's folder as a page takes it: summary, evaluations, and what its figures are drawn from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from abx_amr.configuration.overrides import section_of_key, settings_of
from abx_amr.configuration.values import CLINIC_SECTIONS
from abx_amr.errors import InputError
from abx_amr.reports.subjects.subject import FolderSubject
from abx_amr.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

#: The section of a configuration that abx-evaluate alone has.
_OF_EVALUATIONS = "evaluation"
_OF_A_CLINIC = ("experiment", *CLINIC_SECTIONS)


@dataclass(frozen=True)
class RunSubject(FolderSubject):
    """A run of abx-train or abx-evaluate.

    Args:
        path: Its folder.
        has_figures: Whether figures are drawn.
    """

    KIND: ClassVar[str] = "run"

    @property
    def name(self) -> str:
        """The run's name, without its timestamp."""
        return self.folder.run_name

    @property
    def folder(self) -> RunFolder:
        """The folder by its names."""
        return RunFolder(self.path)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json; empty where the run is not complete."""
        return self.reading.json(self.folder.summary_file)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self.reading.yaml(self.folder.config_file)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Versions, seeds, command, host, commit, start."""
        return self.reading.json(self.folder.provenance_file)

    @cached_property
    def evaluated(self) -> RunFolder | None:
        """The run that was evaluated, as far as it is at hand."""
        named = self.provenance.get("evaluated_run")
        if named is None:
            return None
        place = Path(str(named))
        for path in (place, self.path.parent / place.name):
            if path.is_dir():
                return RunFolder(path)
        return None

    @cached_property
    def clinic(self) -> list[str]:
        """What the clinic is composed of on a command line."""
        said: list[str] = []
        try:
            if self.evaluated is not None:
                said += self.evaluated.read_overrides()
            said += self.folder.read_overrides()
        except InputError as error:
            self.problems.append(str(error))
        if not said:
            rule = self.summary.get("best_rule") or {}
            said = [str(one) for one in rule.get("overrides") or ()]
        experiment = (self.provenance.get("choices") or {}).get("experiment")
        if experiment and not any(section_of_key(one) == "experiment" for one in said):
            said = [f"experiment={experiment}", *said]
        return shlex.split(settings_of(_OF_A_CLINIC, dict.fromkeys(said)))

    @property
    def plan_command(self) -> str:
        """The command that computes the optimum of the clinic."""
        return shlex.join(["abx-plan", *self.clinic])

    @property
    def is_evaluation(self) -> bool:
        """Whether it was made by abx-evaluate."""
        return _OF_EVALUATIONS in self.config

    @property
    def learned(self) -> bool:
        """Whether what was played is an agent, not a rule."""
        return "trained_with_seed" in self.provenance or bool(self.summary.get("transitions"))

    @property
    def antibiotics(self) -> list[str]:
        """The antibiotics, in the order of the evaluation's columns."""
        columns = [] if self.final is None else list(map(str, self.final.columns))
        prefix = "final_true_amr_"
        return [column.removeprefix(prefix) for column in columns if column.startswith(prefix)]

    @cached_property
    def evaluations(self) -> pd.DataFrame | None:
        """One row per (transitions trained, episode)."""
        return self.reading.table(self.folder.evaluations_file)

    @cached_property
    def final(self) -> pd.DataFrame | None:
        """One row per episode of the last evaluation."""
        table = self.evaluations
        if table is None or table.empty or "transitions" not in table:
            return None
        last: pd.DataFrame = table[table["transitions"] == table["transitions"].max()]
        return last.reset_index(drop=True)

    @cached_property
    def drawn(self) -> Mapping[str, pd.DataFrame]:
        """Name -> table that figures are drawn from, as far as the folder holds it."""
        folder = self.folder
        files = {
            "steps": (folder.trajectories_file, folder.drawn_file("steps")),
            "patients": (folder.patients_file, folder.drawn_file("patients")),
            "generations": (folder.drawn_file("generations"),),
            "decisions": (folder.decisions_file,),
            "option_by_amr": (folder.option_table_file("option_by_amr"),),
        }
        tables = {} if self.evaluations is None else {"evaluations": self.evaluations}
        for name, places in files.items():
            for file in places:
                if (table := self.reading.table(file)) is not None:
                    tables[name] = table
                    break
        return tables

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The evaluation's episodes."""
        return {} if self.final is None else {"episodes": self.final}
