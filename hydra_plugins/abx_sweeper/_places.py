"""Where a sweep's jobs run: in this process, beside it, in a SLURM array, behind another launcher.

A place runs jobs and comes back when they have ended. Nothing is believed of a job but what it
wrote, so that one that is killed costs only itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from abx_amr.errors import InputError

from ._job import Job

log = logging.getLogger(__name__)

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
SLURM_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"

IsDone = Callable[[], bool]


class Place(Protocol):
    """What every place offers."""

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the jobs share the processors of this machine."""

    def check(self, *, wait: bool) -> None:
        """Raise an InputError where jobs cannot be run here, or not be left alone (not `wait`)."""

    def run(self, jobs: Sequence[Sequence[str]], is_done: IsDone) -> list[Any]:
        """Run jobs, each described by its overrides, until all ended; return what they returned.

        Jobs that are processes of their own return nothing. Where `is_done` says so, jobs that
        have not begun need not begin.
        """

    def submit(self, jobs: Sequence[Sequence[str]]) -> list[str]:
        """Start jobs and do not wait for them; return lines on how to watch and to stop them."""


def place_of(
    composed: DictConfig,
    *,
    n_jobs: int,
    is_inline_possible: bool,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> Place:
    """Return where the jobs of a composition run, by its hydra/launcher.

    The basic launcher means this process for one job (`is_inline_possible`), processes of this
    machine for several.
    """

    def make(index: int, overrides: Sequence[str]) -> Job:
        return Job(
            index=index,
            overrides=list(overrides),
            hydra_context=hydra_context,
            task_function=task_function,
            config=config,
        )

    target = composed.hydra.launcher.get("_target_")
    if target == BASIC_LAUNCHER and not (n_jobs == 1 and is_inline_possible):
        from ._local import LocalPlace

        return LocalPlace(make, sweep_dir=str(composed.hydra.sweep.dir), at_once=n_jobs)
    if target == SLURM_LAUNCHER:
        from ._slurm import SlurmPlace

        return SlurmPlace(make, launcher=composed.hydra.launcher)
    return _LauncherPlace(hydra_context, task_function, config, name=str(target).split(".")[-1])


class _LauncherPlace:
    """Any of Hydra's launchers, which blocks until its jobs have ended."""

    def __init__(
        self,
        hydra_context: HydraContext,
        task_function: TaskFunction,
        config: DictConfig,
        *,
        name: str,
    ) -> None:
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config
        self.name = name

    is_on_this_machine = True

    def check(self, *, wait: bool) -> None:
        """Accept what Hydra has accepted, but not to leave it: a launcher waits for its jobs.

        Raises:
            InputError: the jobs are to be left alone.
        """
        if not wait:
            raise InputError(
                f"tuning.wait=false: {self.name} waits for its jobs; choose "
                "hydra/launcher=submitit_slurm, or no launcher with tuning.n_workers=2 or more"
            )

    def run(self, jobs: Sequence[Sequence[str]], is_done: IsDone) -> list[Any]:
        """Launch the jobs; a launcher that loses one (killed, out of memory) loses nothing else."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        if self.name == "BasicLauncher":
            return [r.return_value for r in launcher.launch(jobs, initial_job_idx=0)]
        try:
            results = launcher.launch(jobs, initial_job_idx=0)
        except Exception as error:  # each launcher has its own for a job that was killed
            log.warning("%s lost a job: %s", self.name, (str(error).splitlines() or [""])[0])
            return []
        failed = [result for result in results if result.status is not JobStatus.COMPLETED]
        for result in failed:
            log.warning("job %s failed: %r", result.overrides, result._return_value)
        if len(failed) == len(results):
            _ = failed[0].return_value  # raises what the first job raised
        return [result.return_value for result in results if result not in failed]

    def submit(self, jobs: Sequence[Sequence[str]]) -> list[str]:
        """Never come here: `check` has refused."""
        raise NotImplementedError(self.name)
