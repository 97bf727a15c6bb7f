"""A whole study in this process: what a notebook calls where a shell has abx-tune."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from abx_amr.configuration.composing import compose, places_in_project
from abx_amr.configuration.groups import fresh_hydra
from abx_amr.configuration.search_space import without_sweeper_params
from abx_amr.configuration.study_overrides import study_overrides
from abx_amr.configuration.written import to_the_letter
from abx_amr.errors import InputError
from abx_amr.host.notebook import line_in_cell
from abx_amr.host.signals import CommandInterruptError
from abx_amr.studies.preparation import Preparation
from abx_amr.tuning.display import DisplayedStudy
from abx_amr.tuning.listening import OnProgress, StudyListener
from abx_amr.tuning.service import SearchStoppedError, TuneService
from abx_amr.tuning.study import default_run_name

if TYPE_CHECKING:
    from abx_amr.studies.events import Event
    from abx_amr.studies.overview import StudyOverview
    from abx_amr.tuning.result import TuneResult

#: What abx-tune can be told of its workers and one process cannot do: value, and why not.
_OF_SEVERAL_PROCESSES: dict[str, tuple[Any, str]] = {
    "n_workers": (1, "one worker, and abx-tune with the same settings is another"),
    "parallel": ("workers", "one worker, which trains the seeds itself"),
    "wait": (True, "the worker, there is nobody else to leave the study to"),
}


def tune_here(config: DictConfig, listener: StudyListener) -> TuneResult:
    """Create the study or go on with it, as a worker, until its budget is reached; return it.

    Args:
        config: A composed configuration with a tuning section.
        listener: Who is told what happens.

    Raises:
        InputError: what the user asked for cannot be searched, or needs more processes.
        KeyboardInterrupt: the kernel was interrupted; the same call goes on.
    """
    for key, (value, why) in _OF_SEVERAL_PROCESSES.items():
        asked = OmegaConf.select(config, f"tuning.{key}", default=value)
        if asked != value:
            raise InputError(f"tuning.{key}={asked}: this process is {why}; leave it out")
    service = TuneService(listener)
    with _threads_given_back():
        found = service.prepare(config, is_here=True)
        if found in (Preparation.CREATED, Preparation.JOINED):
            _work(service, config)
        return service.finish(config)


def composed_study(*overrides: str) -> DictConfig:
    """Return the composed configuration of a study, as abx-tune would compose it.

    Args:
        overrides: The strings of the command line, sweeps among them.

    Raises:
        InputError: an override names what does not exist; no tuning configuration is chosen.
    """
    written = to_the_letter(without_sweeper_params(overrides))
    with fresh_hydra():
        loader = GlobalHydra.instance().config_loader()
        settings = study_overrides(written, loader=loader, compose=partial(compose, "tune"))
    composition = compose("tune", settings)
    more = [*default_run_name(composition), *places_in_project(composition.config, overrides)]
    return compose("tune", [*settings, *more]).config if more else composition.config


def listener_of_this_place() -> StudyListener:
    """Return who shows a study where somebody looks: in a notebook's cell, on a terminal."""
    show = line_in_cell()
    return DisplayedStudy() if show is None else ShownInCell(show)


class ShownInCell(StudyListener):
    """Shows in one line how far a study is, its best and the trial that is run."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self._study = ""

    def event(self, event: Event) -> None:
        """Show how many trials are finished, and what happened to this one."""
        if event.kind in ("final_trained", "final_failed"):
            self._study = f"final: {event.finished} of {event.budget} trainings, {event.message}"
            self.show(self._study)
            return
        text = event.message if event.value is None else f"value {event.value:.3f}"
        trial = "" if event.number is None else f", trial {event.number}: {text or 'begun'}"
        self._study = f"{event.finished} of {event.budget} {event.unit}s finished{trial}"
        self.show(self._study)

    @contextmanager
    def watching(self, look: Callable[[], StudyOverview]) -> Iterator[OnProgress]:
        """Show the share of the trial that is done."""
        yield lambda seen, planned: self.show(f"{self._study} ({seen / planned:.0%} of it)")

    def finished(self, result: TuneResult) -> None:
        """Show what came of it."""
        best = "none yet" if result.best_value is None else f"{result.best_value:.3f}"
        self.show(
            f"{result.n_finished} of {result.budget} {result.unit}s finished, best value {best}"
        )


def _work(service: TuneService, config: DictConfig) -> None:
    worker = copy.deepcopy(config)
    with open_dict(worker):
        worker.tuning.worker, worker.tuning.local_workers = 0, 1
    try:
        service(worker)
    except SearchStoppedError as stop:
        if stop.signal_number is not None:
            raise CommandInterruptError(stop.signal_number, str(stop)) from None


@contextmanager
def _threads_given_back() -> Iterator[None]:
    """Let torch have the threads after the block that it had before."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
