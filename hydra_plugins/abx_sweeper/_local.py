"""Workers as processes of this machine, for `tuning.n_workers` above 1 without a launcher.

Each worker is started in a session of its own: it outlives the launching process, and a signal
reaches it only through here. Nothing is believed of a worker but what it wrote into the study.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra.core.singleton import Singleton
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger(__name__)

WORKERS_FOLDER = "workers"
POLL_SECONDS = 0.2
ERROR_LINES = 5
USER_ERROR = 2


def run_workers(
    jobs: Sequence[Sequence[str]],
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> None:
    """Start one process for each job and wait for all; a worker that dies costs only itself.

    SIGINT and SIGTERM are passed on to the workers; SystemExit follows when they ended. It also
    follows, with their last line, where all refused the user's settings. A RuntimeError shows the
    last lines of a log where every worker failed otherwise.
    """
    folder = Path(str(config.hydra.sweep.dir)).absolute() / WORKERS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    log.info("%d workers, their output is in %s", len(jobs), folder)
    logs = [_free_log(folder, index) for index in range(len(jobs))]
    with _passing_on_signals() as (processes, signals):
        for index, overrides in enumerate(jobs):
            payload = _pack(index, overrides, hydra_context, task_function, config)
            processes.append(_start(payload, logs[index]))
        _wait(processes)
    if signals:
        print("stopped: run the same command again to go on", file=sys.stderr)
        raise SystemExit(128 + signals[0])
    failed = [index for index, process in enumerate(processes) if process.returncode != 0]
    for index in failed:
        log.warning("worker %d ended with status %d", index, processes[index].returncode)
    if len(failed) == len(jobs) and all(process.returncode > 0 for process in processes):
        lines = logs[failed[0]].read_text(encoding="utf-8", errors="replace").splitlines()
        if all(process.returncode == USER_ERROR for process in processes):
            print("\n".join(lines[-1:]), file=sys.stderr)
            raise SystemExit(USER_ERROR)
        raise RuntimeError("every worker failed; the first: " + "\n".join(lines[-ERROR_LINES:]))


def work(payload: bytes) -> None:
    """Be the worker that `payload` describes: compose the configuration, call the task function."""
    index, overrides, hydra_context, task_function, config, singletons = pickle.loads(payload)
    Singleton.set_state(singletons)
    setup_globals()
    composed = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = f"worker_{index}"
        composed.hydra.job.num = index
    result = run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    _ = result.return_value  # raises what the task function raised


def _pack(
    index: int,
    overrides: Sequence[str],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> bytes:
    import cloudpickle  # type: ignore[import-untyped]

    parts = (
        index,
        list(overrides),
        hydra_context,
        task_function,
        config,
        Singleton.get_state(),
    )
    packed: bytes = cloudpickle.dumps(parts)
    return packed


def _start(payload: bytes, log_path: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
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


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    while any(process.poll() is None for process in processes):
        time.sleep(POLL_SECONDS)


def _free_log(folder: Path, index: int) -> Path:
    """Return the log of a worker; the logs of earlier runs are kept."""
    number = 0
    while True:
        path = folder / (f"worker_{index}.log" if number == 0 else f"worker_{index}_{number}.log")
        if not path.exists():
            return path
        number += 1


@contextmanager
def _passing_on_signals() -> Iterator[tuple[list[subprocess.Popen[bytes]], list[int]]]:
    """Give a list for the processes that signals go to, and the signals that have come."""
    processes: list[subprocess.Popen[bytes]] = []
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
    """Be the worker described on the standard input."""
    work(sys.stdin.buffer.read())
