"""From the command line to running workers.

Every worker gets the settings of the command line, what is searched as one override of
`tuning.search_space` and its number as `tuning.worker`; it composes its configuration itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from abx_amr.configuration.composing import Composition
from abx_amr.configuration.study_overrides import study_overrides
from abx_amr.host.exit_codes import of_signal
from abx_amr.host.signals import CommandInterruptError
from abx_amr.studies.preparation import Preparation
from abx_amr.tuning.contract import StudyService

from ._outcome import values_of
from ._sweep import LauncherChoice, Overrides, Sweep
from .launchers import Launcher, launcher_for

log = logging.getLogger(__name__)


def run_study(
    arguments: Sequence[str],
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> list[Any]:
    """Prepare the study, run its workers or its jobs, finish it; return what the workers returned.

    What runs in processes of its own writes what it has to say: it returns nothing here.

    Raises:
        TypeError: the task function is no StudyService.
    """
    if not isinstance(task_function, StudyService):
        raise TypeError(f"hydra/sweeper=abx needs a StudyService, {task_function!r} is none")
    service = task_function
    sweep = Sweep(
        hydra_context=hydra_context, task_function=service, config=config, report=service.report
    )
    fixed = study_overrides(
        arguments,
        loader=hydra_context.config_loader,
        compose=lambda overrides: _composition(sweep.compose(overrides)),
        say=service.report,
    )
    composed = sweep.compose(fixed)
    job_config = _without_hydra(composed)
    asked = OmegaConf.select(composed, "tuning.n_workers", default=None)
    n_workers = asked if type(asked) is int and asked > 0 else 1  # `prepare` refuses anything else
    has_jobs = OmegaConf.select(composed, "tuning.parallel", default=None) == "jobs"
    choice = LauncherChoice(
        composed=composed,
        n_at_once=n_workers,
        is_inline_possible=n_workers == 1 and not has_jobs,
    )
    launcher = launcher_for(sweep, choice)
    wait = OmegaConf.select(composed, "tuning.wait", default=None) is not False
    launcher.check(wait=wait)
    found = service.prepare(job_config, is_here=choice.is_basic)
    if found is Preparation.SKIPPED:
        return []
    if found is Preparation.FINISHED:
        service.finish(job_config)
        return []
    local = n_workers if launcher.is_on_this_machine else 1
    shared = [*fixed, f"++tuning.local_workers={local}"]
    jobs = {worker: [*shared, f"++tuning.worker={worker}"] for worker in range(n_workers)}
    if not wait:
        service.submitted(job_config, launcher.submit(jobs))
        return []
    returned: list[Any] = []
    with service.watching(job_config) as is_complete:
        if has_jobs:

            def launch(changes: Sequence[Overrides]) -> None:
                values_of_study(launcher, {i: [*shared, *c] for i, c in enumerate(changes)})

            service.search(job_config, launch)
        else:
            returned = values_of_study(launcher, jobs, is_complete)
    service.finish(job_config)
    return returned


def values_of_study(
    launcher: Launcher,
    jobs: Mapping[int, Overrides],
    is_complete: Callable[[], bool] = lambda: False,
) -> list[Any]:
    """Return what the jobs returned that returned anything.

    Raises:
        SystemExit: A signal came, every job refused the user's settings, or one had no time left.
    """
    try:
        return values_of(launcher.run(jobs, is_complete=is_complete))
    except CommandInterruptError as interrupt:
        log.warning("stopped: run the same command again to go on")
        raise SystemExit(of_signal(interrupt.number)) from None


def _composition(composed: DictConfig) -> Composition:
    """Return a job's configuration as this project composes one."""
    choices = {group: str(name) for group, name in composed.hydra.runtime.choices.items()}
    return Composition(config=_without_hydra(composed), choices=choices)


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
