"""Jobs as processes of this machine.

Each is started in a session of its own: it outlives the launching process, and a signal reaches it
only through here. Nothing is believed of a job but what it wrote.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from abx_amr.host.signals import CommandInterruptError, end_at_once, handed_on

from .._job import Job, unpacked
from .._outcome import Outcome
from .._sweep import LauncherChoice, Overrides, Sweep, always, never

log = logging.getLogger(__name__)

LOGS_FOLDER = "workers"
POLL_SECONDS = 0.2
ERROR_LINES = 5

Process = subprocess.Popen[bytes]


class Processes:
    """Processes of this machine, as many at once as the user asks for."""

    is_on_this_machine = True

    def __init__(self, sweep: Sweep, choice: LauncherChoice) -> None:
        self.sweep = sweep
        self.folder = Path(str(choice.composed.hydra.sweep.dir)).absolute() / LOGS_FOLDER
        self.n_at_once = choice.n_at_once

    @classmethod
    def fits(cls, choice: LauncherChoice) -> bool:
        """Return whether no launcher is chosen and this process is not enough."""
        return choice.is_basic and not choice.is_inline_possible

    def check(self, *, wait: bool) -> None:
        """Accept: nothing is needed."""

    def run(
        self,
        jobs: Mapping[int, Overrides],
        *,
        is_complete: Callable[[], bool] = never,
        is_ended: Callable[[Overrides], bool] = always,
    ) -> list[Outcome]:
        """Run the jobs until all ended; one that dies costs only itself.

        Raises:
            CommandInterruptError: SIGINT or SIGTERM came, and was handed on to the processes.
        """
        logs = self._logs(jobs)
        processes: dict[int, Process] = {}

        def hand_on(number: int) -> None:
            for process in processes.values():
                if process.poll() is None:
                    process.send_signal(number)

        with handed_on(hand_on) as signals:
            for number, overrides in jobs.items():
                while _n_running(processes) >= self.n_at_once and not signals:
                    time.sleep(POLL_SECONDS)
                if signals:
                    break
                processes[number] = _start(self.sweep.job(number, overrides), logs[number])
            while _n_running(processes):
                time.sleep(POLL_SECONDS)
        if signals:
            raise CommandInterruptError(signals[0])
        return [_outcome(process, logs[number]) for number, process in processes.items()]

    def submit(self, jobs: Mapping[int, Overrides]) -> list[str]:
        """Start the jobs and leave them."""
        logs = self._logs(jobs)
        started = [_start(self.sweep.job(i, job), logs[i]) for i, job in jobs.items()]
        numbers = " ".join(str(process.pid) for process in started)
        for process in started:
            process.returncode = 0  # nobody waits for it: Popen need not warn
        return [
            f"processes {numbers}",
            f"watch:  tail -f {self.folder}/*.log",
            f"stop:   kill {numbers}",
        ]

    def _logs(self, jobs: Mapping[int, Overrides]) -> dict[int, Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sweep.report(f"{len(jobs)} processes, output in {os.path.relpath(self.folder)}/*.log")
        return {number: _free_log(self.folder, number) for number in jobs}


def _n_running(processes: Mapping[int, Process]) -> int:
    return sum(process.poll() is None for process in processes.values())


def _outcome(process: Process, log_path: Path) -> Outcome:
    status = process.returncode
    outcome = Outcome(status=status, is_lost=status < 0)
    if not outcome.has_failed:
        return outcome
    lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    return replace(
        outcome,
        reason=f"{log_path.stem} ended with status {status}",
        last_lines=tuple(lines[-ERROR_LINES:]),
    )


def _start(job: Job, log_path: Path) -> Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    payload = job.packed()
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        with process.stdin as stream:
            stream.write(payload)
    except BrokenPipeError:
        log.warning("a worker died at once, see %s", log_path)
    return process


def _free_log(folder: Path, number: int) -> Path:
    """Return the log of a worker; the logs of earlier runs are kept."""
    start = 0
    while True:
        path = folder / (f"worker_{number}.log" if start == 0 else f"worker_{number}_{start}.log")
        if not path.exists():
            return path
        start += 1


def main() -> None:
    """Be the job described on the standard input.

    An interrupt ends it at once, until a worker takes over signals: there is nothing to give back
    yet, and a KeyboardInterrupt may get lost in a library that is being loaded.
    """
    signal.signal(signal.SIGINT, end_at_once)
    unpacked(sys.stdin.buffer.read())()
