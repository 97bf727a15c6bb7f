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
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from abx_amr.errors import InputError

from ._job import Job

log = logging.getLogger(__name__)

SHORTEST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.5, 10.0
COMMAND_SECONDS = 60.0
#: What sbatch is told under names of submitit's own; the rest belongs to its SLURM executor.
SHARED_PARAMETERS = (
    *("timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes"),
    *("name", "stderr_to_stdout"),
)


class SlurmPlace:
    """An array of SLURM."""

    def __init__(self, make: Callable[[int, Sequence[str]], Job], *, launcher: DictConfig) -> None:
        self.make = make
        self.values: dict[str, Any] = {
            str(key): value
            for key, value in OmegaConf.to_container(launcher, resolve=True).items()  # type: ignore[union-attr]
            if key != "_target_"
        }

    is_on_this_machine = False

    def check(self, *, wait: bool) -> None:
        """Refuse a machine that is no part of a cluster.

        Raises:
            InputError: one of SLURM's commands is missing.
        """
        for command in ("sbatch", "srun", "squeue"):
            if shutil.which(command) is None:
                raise InputError(
                    f"hydra/launcher=submitit_slurm: there is no {command} on this machine; "
                    "run this on a login node (or load its module), or leave the launcher out"
                )

    def run(self, jobs: Sequence[Sequence[str]], is_done: Callable[[], bool]) -> list[Any]:
        """Run the jobs as one array until none is left in the queue.

        Once `is_done` says so, tasks that still wait for a place are cancelled. SIGINT and SIGTERM
        cancel the array (SLURM sends its tasks a SIGTERM); SystemExit follows when they ended.
        """
        array = self._submit(jobs)
        with _cancelling_on_signals(array) as signals:
            pause = SHORTEST_POLL_SECONDS
            while _is_in_queue(array):
                if is_done():
                    _run("scancel", "--state=PENDING", array)
                end = time.monotonic() + pause
                while time.monotonic() < end:
                    time.sleep(0.1)
                pause = SHORTEST_POLL_SECONDS if signals else min(pause * 1.3, LONGEST_POLL_SECONDS)
        if signals:
            print("stopped: run the same command again to go on", file=sys.stderr)
            raise SystemExit(128 + signals[0])
        return []

    def submit(self, jobs: Sequence[Sequence[str]]) -> list[str]:
        """Submit the jobs as one array and leave it."""
        array = self._submit(jobs)
        return [f"watch:  squeue --job {array}", f"stop:   scancel {array}"]

    def _submit(self, jobs: Sequence[Sequence[str]]) -> str:
        """Return the array's id.

        Raises:
            InputError: sbatch refuses the launcher's values.
        """
        from submitit.core.utils import FailedJobError

        try:
            executor = self._executor()
            submitted = executor.map_array(
                _ArrayTask(), [self.make(i, overrides) for i, overrides in enumerate(jobs)]
            )
        except FailedJobError as error:
            said = [line for line in str(error).splitlines() if line.strip()]
            raise InputError(
                f"hydra/launcher=submitit_slurm: sbatch refuses the job: {said[0] if said else ''}"
            ) from error
        array: str = submitted[0].job_id.split("_")[0]
        logs = os.path.relpath(submitted[0].paths.folder.parent)
        print(
            f"SLURM {'array' if len(jobs) > 1 else 'job'} {array}: {len(jobs)} tasks, output in "
            f"{logs}/{array}*/*.out",
            flush=True,
        )
        return array

    def _executor(self) -> Any:
        import submitit

        values = dict(self.values)
        executor = submitit.AutoExecutor(
            folder=values.pop("submitit_folder"),
            cluster="slurm",
            slurm_max_num_timeout=values.pop("max_num_timeout", 0),
        )
        named = {k if k in SHARED_PARAMETERS else f"slurm_{k}": v for k, v in values.items()}
        try:
            executor.update_parameters(**named)
        except (ValueError, TypeError, NameError) as error:
            raise InputError(
                f"hydra/launcher=submitit_slurm: {str(error).splitlines()[0]}"
            ) from error
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
            signal.signal(number, _end)
        try:
            job()
        except SystemExit as stop:
            if stop.code == 128 + limit_signal and callable(requeue):
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


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _is_in_queue(array: str) -> bool:
    """Say whether a task of the array waits or runs; a controller that does not answer may know."""
    ended = _run("squeue", "--noheader", "--format=%i", "--job", array)
    if ended.returncode != 0:
        return "Invalid job id" not in ended.stderr
    return bool(ended.stdout.strip())


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


@contextmanager
def _cancelling_on_signals(array: str) -> Iterator[list[int]]:
    """Give the signals that have come; the first cancels the array, the second ends the process."""
    signals: list[int] = []

    def cancel(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        if len(signals) > 1:
            os._exit(128 + number)
        print(f"cancelling {array}, whose tasks give their trials back", file=sys.stderr)
        subprocess.Popen(["scancel", array])

    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
