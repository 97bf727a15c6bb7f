"""Jobs behind any of Hydra's launchers, which blocks until they have ended.

What such a launcher makes of a job that is killed is its own: some lose all jobs with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction
from omegaconf import DictConfig

from abx_amr.errors import InputError, first_line

from .._outcome import Outcome
from .._sweep import LauncherChoice, Overrides, Sweep, always, never

log = logging.getLogger(__name__)

SUBMITIT_LOCAL = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


class BehindHydra:
    """The launcher that Hydra itself would use."""

    is_on_this_machine = True

    def __init__(self, sweep: Sweep, choice: LauncherChoice) -> None:
        self.sweep = sweep
        self.choice = choice
        self.gives_up_all = choice.target == SUBMITIT_LOCAL

    @classmethod
    def fits(cls, choice: LauncherChoice) -> bool:
        """Return False: it is for what no other launcher fits."""
        return False

    def check(self, *, wait: bool) -> None:
        """Accept what can be built, but not to leave it: such a launcher waits for its jobs.

        Raises:
            InputError: the launcher cannot be built, or the jobs are to be left alone.
        """
        if not wait:
            self.choice.refuse_leaving()
        self._built(self.sweep.task_function)

    def run(
        self,
        jobs: Mapping[int, Overrides],
        *,
        is_complete: Callable[[], bool] = never,
        is_ended: Callable[[Overrides], bool] = always,
    ) -> list[Outcome]:
        """Launch the jobs together; those lost with one that was killed again, each alone.

        A launcher that gives up all jobs at once where one is killed gets each for itself.

        Raises:
            InputError: the launcher could not start a job (n_jobs=0, a wrong option of its own).
        """
        with tempfile.TemporaryDirectory(prefix="abx-jobs-") as folder:
            task = self.sweep.task_function
            launcher = self._built(_Noting(task, folder) if self._is_here else task)

            if self.gives_up_all:
                outcomes = self._each_alone(launcher, jobs)
                self._refuse_if_none_has_begun(outcomes, folder)
                return outcomes
            outcomes = self._launched(launcher, jobs)
            self._refuse_if_none_has_begun(outcomes, folder)
            by_number = dict(zip(jobs, outcomes, strict=True))
            lost = {n: jobs[n] for n, o in by_number.items() if o.is_lost and not is_ended(jobs[n])}
            if lost:
                log.warning(
                    "a job was killed and took others with it: %d are launched again", len(lost)
                )
            for number, overrides in lost.items():
                (by_number[number],) = self._launched(launcher, {number: overrides})
        return list(by_number.values())

    def submit(self, jobs: Mapping[int, Overrides]) -> list[str]:
        """Never come here: `check` has refused."""
        raise NotImplementedError

    @property
    def _is_here(self) -> bool:
        return self.choice.target in (SUBMITIT_LOCAL, JOBLIB)

    def _built(self, task: TaskFunction) -> Launcher:
        try:
            return Plugins.instance().instantiate_launcher(
                hydra_context=self.sweep.hydra_context, task_function=task, config=self.sweep.config
            )
        except Exception as error:  # of a class that may be anybody's
            raise InputError(f"{self.choice.name} cannot be built: {first_line(error)}") from error

    def _each_alone(self, launcher: Launcher, jobs: Mapping[int, Overrides]) -> list[Outcome]:
        def launch(number: int) -> Outcome:
            (outcome,) = self._launched(launcher, {number: jobs[number]})
            return outcome

        with ThreadPoolExecutor(self.choice.n_at_once) as pool:
            return list(pool.map(launch, jobs))

    def _launched(self, launcher: Launcher, jobs: Mapping[int, Overrides]) -> list[Outcome]:
        overrides = [list(job) for job in jobs.values()]
        try:
            returned = launcher.launch(overrides, initial_job_idx=min(jobs))
        except Exception as error:  # each launcher has its own for a job that was killed
            reason = f"{self.choice.name} lost a job: {first_line(error)}"
            return [Outcome(error=error, is_lost=True, reason=reason) for _ in jobs]
        return [Outcome.of(one) for one in returned]

    def _refuse_if_none_has_begun(self, outcomes: Sequence[Outcome], folder: str) -> None:
        errors = [o.error for o in outcomes if o.is_lost and o.error is not None]
        if self._is_here and errors and not any(Path(folder).iterdir()):
            raise InputError(f"{self.choice.name} could not start a job: {first_line(errors[0])}")


@dataclass(frozen=True)
class _Noting:
    """A task function that leaves a file in a folder of this machine when it is called."""

    task_function: TaskFunction
    folder: str

    def __call__(self, config: DictConfig) -> Any:
        """Note it, and do the task."""
        with contextlib.suppress(OSError):
            os.close(tempfile.mkstemp(dir=self.folder)[0])
        return self.task_function(config)
