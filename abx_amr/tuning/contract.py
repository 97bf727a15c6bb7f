"""What the sweeper knows of a study: somebody who prepares it, works on it and finishes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from omegaconf import DictConfig

from abx_amr.studies.preparation import Preparation

#: Runs jobs, each described by its further overrides, and comes back when all have ended.
Launch = Callable[[Sequence[Sequence[str]]], object]


@runtime_checkable
class StudyService(Protocol):
    """The task function of a study: called with a composed configuration it is one worker."""

    def __call__(self, config: DictConfig) -> float:
        """Be the worker (`tuning.worker`) or the job (`tuning.job`) that the configuration names.

        With neither, score the composed configuration once and return its value.
        """

    def prepare(self, config: DictConfig, *, is_here: bool) -> Preparation:
        """Check everything, then create or join the study; nothing is created after a mistake.

        Args:
            config: The study's.
            is_here: Whether its workers are sure to run on this machine.

        Raises:
            InputError: what the user asked for cannot be searched.
        """

    def report(self, line: str) -> None:
        """Say what a launcher has started."""

    def watching(self, config: DictConfig) -> AbstractContextManager[Callable[[], bool]]:
        """Show the study while a block runs; give a function that says whether it is complete."""

    def search(self, config: DictConfig, launch: Launch) -> None:
        """Work on the study in batches of trials whose seeds are jobs that `launch` runs.

        It does not come back from a search that was stopped.
        """

    def submitted(self, config: DictConfig, lines: Sequence[str]) -> None:
        """Say of workers that are left alone how to watch and stop them (`lines`)."""

    def finish(self, config: DictConfig) -> object:
        """Write how far the study is, its best and its figures, and say so."""
