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
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ._job import Job, unpacked

log = logging.getLogger(__name__)

LOGS_FOLDER = "workers"
POLL_SECONDS = 0.2
ERROR_LINES = 5
USER_ERROR = 2
TEMPORARY = 75  # of a worker that leaves trials to do because its time limit is near

Process = subprocess.Popen[bytes]


class LocalPlace:
    """Processes of this machine, at most `at_once` of them together."""

    def __init__(
        self, make: Callable[[int, Sequence[str]], Job], *, sweep_dir: str, at_once: int
    ) -> None:
        self.make = make
        self.folder = Path(sweep_dir).absolute() / LOGS_FOLDER
        self.at_once = at_once

    is_on_this_machine = True

    def check(self, *, wait: bool) -> None:
        """Accept: nothing is needed."""

    def run(self, jobs: Sequence[Sequence[str]], is_done: Callable[[], bool]) -> list[Any]:
        """Run the jobs until all ended; one that dies costs only itself.

        SIGINT and SIGTERM are passed on to them; SystemExit follows when they ended. It also
        follows, with their last line, where all refused the user's settings. A RuntimeError shows
        the last lines of a log where every job failed otherwise.
        """
        logs = self._logs(len(jobs))
        with _passing_on_signals() as (processes, signals):
            for index, overrides in enumerate(jobs):
                while sum(p.poll() is None for p in processes) >= self.at_once and not signals:
                    time.sleep(POLL_SECONDS)
                if signals:
                    break
                processes.append(_start(self.make(index, overrides), logs[index]))
            while any(process.poll() is None for process in processes):
                time.sleep(POLL_SECONDS)
        if signals:
            print("stopped: run the same command again to go on", file=sys.stderr)
            raise SystemExit(128 + signals[0])
        statuses = [process.returncode for process in processes]
        failed = [i for i, status in enumerate(statuses) if status not in (0, TEMPORARY)]
        for index in failed:
            status = processes[index].returncode
            log.warning("%s ended with status %d", logs[index].stem, status)
        if len(failed) == len(jobs) and all(process.returncode > 0 for process in processes):
            lines = logs[failed[0]].read_text(encoding="utf-8", errors="replace").splitlines()
            if all(process.returncode == USER_ERROR for process in processes):
                print("\n".join(lines[-1:]), file=sys.stderr)
                raise SystemExit(USER_ERROR)
            raise RuntimeError("every worker failed; the first: " + "\n".join(lines[-ERROR_LINES:]))
        if TEMPORARY in statuses:
            print("time is up: run the same command again to go on", file=sys.stderr)
            raise SystemExit(TEMPORARY)
        return []

    def submit(self, jobs: Sequence[Sequence[str]]) -> list[str]:
        """Start the jobs and leave them."""
        logs = self._logs(len(jobs))
        started = [_start(self.make(i, job), logs[i]) for i, job in enumerate(jobs)]
        numbers = " ".join(str(process.pid) for process in started)
        for process in started:
            process.returncode = 0  # nobody waits for it: Popen need not warn
        return [
            f"processes {numbers}",
            f"watch:  tail -f {self.folder}/*.log",
            f"stop:   kill {numbers}",
        ]

    def _logs(self, count: int) -> list[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        print(f"{count} processes, output in {os.path.relpath(self.folder)}/*.log", flush=True)
        return [_free_log(self.folder, index) for index in range(count)]


def _start(job: Job, log_path: Path) -> Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    payload = job.packed()
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from hydra_plugins.abx_sweeper._local import main; main()"],
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


def _free_log(folder: Path, index: int) -> Path:
    """Return the log of a worker; the logs of earlier runs are kept."""
    number = 0
    while True:
        path = folder / (f"worker_{index}.log" if number == 0 else f"worker_{index}_{number}.log")
        if not path.exists():
            return path
        number += 1


@contextmanager
def _passing_on_signals() -> Iterator[tuple[list[Process], list[int]]]:
    """Give a list for the processes that signals go to, and the signals that have come."""
    processes: list[Process] = []
    signals: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield processes, signals
        return
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield processes, signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Be the job described on the standard input.

    An interrupt ends it at once, until a worker takes over signals: there is nothing to give back
    yet, and a KeyboardInterrupt may get lost in a library that is being loaded.
    """
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))
    unpacked(sys.stdin.buffer.read())()
