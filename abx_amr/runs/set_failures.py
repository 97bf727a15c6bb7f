"""Why runs of a set failed: a note each, for the command that waits for them.

results/.failures/<run_name>.txt    the reason, in one line
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from abx_amr.errors import InputError, first_line
from abx_amr.host import atomic_files
from abx_amr.host.plain_files import read_text

_LONGEST = 1000
FAILURES = ".failures"


def write_failure(results_dir: Path | str, run_name: str, reason: str) -> None:
    """Note in one line why a run of a set failed, for the command that waits for it."""
    file = _failure_file(results_dir, run_name)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_text(file, reason + "\n")


def read_failure(results_dir: Path | str, run_name: str) -> str | None:
    """Return why a run of a set failed, None where nothing was noted."""
    file = _failure_file(results_dir, run_name)
    return _reason_in(file) if file.is_file() else None


def read_failures(results_dir: Path | str) -> dict[str, str]:
    """Return run name -> why it failed, of the runs of sets in this folder."""
    files = sorted((Path(results_dir) / FAILURES).glob("*.txt"))
    return {file.stem: _reason_in(file) for file in files}


def _reason_in(file: Path) -> str:
    """Return the reason noted in a file; that it cannot be read, where it is damaged."""
    try:
        return first_line(ValueError(read_text(file)))[:_LONGEST]
    except InputError as error:
        return f"for a reason that is lost ({error})"


def clear_failure(results_dir: Path | str, run_name: str) -> None:
    """Remove the note."""
    _failure_file(results_dir, run_name).unlink(missing_ok=True)


def remove_if_empty(results_dir: Path | str) -> None:
    """Remove the folder of notes and that of results where nothing is in them."""
    for folder in (Path(results_dir) / FAILURES, Path(results_dir)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _failure_file(results_dir: Path | str, run_name: str) -> Path:
    return Path(results_dir) / FAILURES / f"{run_name}.txt"
