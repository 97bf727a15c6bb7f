"""A job of SLURM has ended only when the controller says so."""

import os
import stat
from pathlib import Path

import pytest

from abx_amr.host.slurm_queue import is_in_queue

UNKNOWN = ("slurm_load_jobs error: Invalid job id specified", 1)
SILENT = ("slurm_load_jobs error: Unable to contact slurm controller", 1)


def shows(*states: str) -> str:
    """Return what scontrol says of the tasks of an array in these states."""
    return "\n".join(f"JobId={i} ArrayJobId=7 JobState={s} Reason=x" for i, s in enumerate(states))


def pretend(folder: Path, command: str, answer: str | tuple[str, int]) -> None:
    """Put a command in the folder that answers this, or fails with this and a status."""
    text, status = answer if isinstance(answer, tuple) else (answer, 0)
    script = folder / command
    (folder / f"{command}.txt").write_text(text)
    stream = ">&2" if status else ""
    script.write_text(f'#!/bin/sh\ncat "{folder}/{command}.txt" {stream}\nexit {status}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("squeue", "scontrol", "is_there"),
    [
        ("7_0", UNKNOWN, True),
        ("", shows("REQUEUED"), True),
        ("", shows("COMPLETING"), True),
        ("", shows("COMPLETED", "PENDING"), True),
        ("", shows("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"), False),
        ("", UNKNOWN, False),
        ("", SILENT, True),
        (UNKNOWN, shows("COMPLETED"), False),
        (SILENT, UNKNOWN, True),
    ],
)
def test_a_job_between_two_states_is_in_the_queue_and_one_that_ended_is_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    squeue: str | tuple[str, int],
    scontrol: str | tuple[str, int],
    is_there: bool,
) -> None:
    pretend(tmp_path, "squeue", squeue)
    pretend(tmp_path, "scontrol", scontrol)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert is_in_queue("7") is is_there
