"""The SLURM job that this process belongs to: its name and when the cluster ends it."""

from __future__ import annotations

import os
import subprocess
import time

from abx_amr.host.variables import misfit

#: An administrator may move a limit; it is asked for again after this long.
KNOWN_FOR_SECONDS = 300.0
ANSWER_SECONDS = 20.0


class TimeLimit:
    """The end of the SLURM job that this process belongs to; outside of SLURM there is none.

    SLURM_JOB_END_TIME says it from SLURM 23.02 on; before, the queue is asked.
    """

    def __init__(self) -> None:
        self._end: float | None = None
        self._asked_at: float | None = None

    def remaining_seconds(self) -> float | None:
        """Return how long the job may still run, None where nothing limits it or nobody knows."""
        end = self._job_end()
        return None if end is None else end - time.time()

    def _job_end(self) -> float | None:
        given = os.environ.get("SLURM_JOB_END_TIME", "").strip()
        if given and misfit("SLURM_JOB_END_TIME") is None:
            return float(given)
        job = os.environ.get("SLURM_JOB_ID")
        if job is None:
            return None
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at > KNOWN_FOR_SECONDS:
            self._asked_at = now
            self._end = _end_by_queue(job)
        return self._end


def _end_by_queue(job: str) -> float | None:
    """Return when the queue says the job ends, in seconds since the epoch."""
    command = ["squeue", "--noheader", "--format=%e", "--job", job]
    try:
        message = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            env={**os.environ, "SLURM_TIME_FORMAT": "%s"},
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return float(message[0]) if message and message[0].isdigit() else None


def slurm_job() -> str | None:
    """Return this process's SLURM job as squeue shows it, e.g. 17_3; None outside of SLURM."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")
