"""Jobs as one SLURM array, submitted by submitit with the values of hydra/launcher=submitit_slurm.

The launcher itself waits for files that a killed task never writes, and on a cluster without
accounting it never learns of the death. Here the queue is asked, and the study.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from abx_amr.errors import InputError, first_line
from abx_amr.host.exit_codes import of_signal
from abx_amr.host.signals import CommandInterruptError, end_at_once, end_orderly, handed_on
from abx_amr.host.slurm_queue import ask, is_in_queue

from .._job import Job
from .._outcome import Outcome
from .._sweep import LauncherChoice, Overrides, Sweep, always, never

log = logging.getLogger(__name__)

SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "scancel")
SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.5, 10.0
#: What sbatch is told under names of submitit's own; the rest belongs to its SLURM executor.
SHARED_PARAMETERS = (
    *("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes"),
    *("name", "stderr_to_stdout"),
)


class SlurmArray:
    """An array of SLURM."""

    is_on_this_machine = False

    def __init__(self, sweep: Sweep, choice: LauncherChoice) -> None:
        self.sweep = sweep
        self.options = choice.options

    @classmethod
    def fits(cls, choice: LauncherChoice) -> bool:
        """Return whether submitit's launcher for SLURM is chosen."""
        return choice.target == SLURM

    def check(self, *, wait: bool) -> None:
        """Refuse a machine that is no part of a cluster.

        Raises:
            InputError: one of SLURM's commands is missing.
        """
        for command in COMMANDS:
            if shutil.which(command) is None:
                raise InputError(
                    f"hydra/launcher=submitit_slurm: there is no {command} on this machine; "
                    "run this on a login node (or load its module), or leave the launcher out"
                )

    def run(
        self,
        jobs: Mapping[int, Overrides],
        *,
        is_complete: Callable[[], bool] = never,
        is_ended: Callable[[Overrides], bool] = always,
    ) -> list[Outcome]:
        """Run the jobs as one array until none is left in the queue.

        Once `is_complete` says so, tasks that still wait for a place are cancelled.

        Raises:
            InputError: sbatch refuses the launcher's values.
            CommandInterruptError: SIGINT or SIGTERM came and cancelled the array, whose tasks SLURM
                sends a SIGTERM; a second one ends this process at once.
        """
        array = self._submit(jobs)

        def cancel(number: int) -> None:
            log.warning("cancelling %s, whose tasks give their trials back", array)
            subprocess.Popen(["scancel", array])

        with handed_on(cancel, later_to=end_at_once) as signals:
            pause = SHORTEST_POLL_SECONDS
            while is_in_queue(array):
                if is_complete():
                    ask("scancel", "--state=PENDING", array)
                end = time.monotonic() + pause
                while time.monotonic() < end:
                    time.sleep(0.1)
                pause = SHORTEST_POLL_SECONDS if signals else min(pause * 1.3, LONGEST_POLL_SECONDS)
        if signals:
            raise CommandInterruptError(signals[0])
        return [Outcome() for _ in jobs]

    def submit(self, jobs: Mapping[int, Overrides]) -> list[str]:
        """Submit the jobs as one array and leave it."""
        array = self._submit(jobs)
        return [f"watch:  squeue --job {array}", f"stop:   scancel {array}"]

    def _submit(self, jobs: Mapping[int, Overrides]) -> str:
        """Return the array's id.

        Raises:
            InputError: sbatch refuses the launcher's values.
        """
        from submitit.core.utils import FailedJobError

        try:
            executor = self._executor()
            submitted = executor.map_array(
                _ArrayTask(), [self.sweep.job(number, job) for number, job in jobs.items()]
            )
        except FailedJobError as error:
            text = [line for line in str(error).splitlines() if line.strip()]
            raise InputError(
                f"hydra/launcher=submitit_slurm: sbatch refuses the job: {text[0] if text else ''}"
            ) from error
        array: str = submitted[0].job_id.split("_")[0]
        logs = os.path.relpath(submitted[0].paths.folder.parent)
        self.sweep.report(
            f"SLURM {'array' if len(jobs) > 1 else 'job'} {array}: {len(jobs)} tasks, output in "
            f"{logs}/{array}*/*.out"
        )
        return array

    def _executor(self) -> Any:
        import submitit

        options = dict(self.options)
        executor = submitit.AutoExecutor(
            folder=options.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=options.pop("max_num_timeout", 0),
        )
        named = {k if k in SHARED_PARAMETERS else f"slurm_{k}": v for k, v in options.items()}
        try:
            executor.update_parameters(**named)
        except (ValueError, TypeError, NameError) as error:
            raise InputError(f"hydra/launcher=submitit_slurm: {first_line(error)}") from error
        return executor


@dataclass(frozen=True)
class _ArrayTask:
    """What a task of the array calls; SLURM's signal before the time limit ends it cleanly.

    Whether the task is then queued again is submitit's decision: after preemption, and as often as
    hydra.launcher.max_num_timeout says after its time limit.
    """

    def __call__(self, job: Job) -> None:
        from submitit import JobEnvironment

        limit_signal = JobEnvironment._usr_sig()
        requeue = signal.getsignal(limit_signal)
        for number in {signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, limit_signal}:
            signal.signal(number, end_orderly)
        try:
            job()
        except SystemExit as stop:
            if stop.code == of_signal(limit_signal) and callable(requeue):
                self._requeue(requeue, limit_signal)
            raise

    def checkpoint(self, job: Job) -> Any:
        """Return what the task is when it is queued again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)

    @staticmethod
    def _requeue(requeue: Callable[[int, FrameType | None], Any], number: int) -> None:
        from submitit.core.utils import UncompletedJobError

        try:
            requeue(number, None)
        except UncompletedJobError as error:
            log.warning(
                "%s; hydra.launcher.max_num_timeout=N lets SLURM queue a task N times again",
                str(error).rstrip("."),
            )
