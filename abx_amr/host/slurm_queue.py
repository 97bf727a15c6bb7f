"""What SLURM's commands say of a job or an array that this process has submitted."""

from __future__ import annotations

import re
import subprocess

ANSWER_SECONDS = 60.0
#: States of a job that will still run, as scontrol names them.
UNFINISHED = frozenset(
    {
        *("PENDING", "CONFIGURING", "RUNNING", "RESIZING", "SUSPENDED", "STOPPED", "SIGNALING"),
        *("STAGE_OUT", "COMPLETING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"),
    }
)


def is_in_queue(job: str) -> bool:
    """Return whether a job, or a task of an array, waits or runs.

    squeue's silence alone does not say so: the controller confirms it. A controller that does not
    answer may know of the job.
    """
    queue = ask("squeue", "--noheader", "--format=%i", "--job", job)
    if queue.returncode != 0:
        return not _is_unknown(queue)
    if queue.stdout.strip():
        return True
    known = ask("scontrol", "--oneliner", "show", "job", job)
    if known.returncode != 0:
        return not _is_unknown(known)
    return not UNFINISHED.isdisjoint(re.findall(r"\bJobState=(\w+)", known.stdout))


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Return how one of SLURM's commands ended; with status 1 where it does not answer."""
    try:
        return subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _is_unknown(answer: subprocess.CompletedProcess[str]) -> bool:
    return "Invalid job id" in answer.stderr
