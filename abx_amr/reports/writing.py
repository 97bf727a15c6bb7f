"""Write a page where it belongs, and never over a file that is none of ours."""

from __future__ import annotations

from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_text
from abx_amr.reports.page import GENERATOR, page_of
from abx_amr.reports.subjects.subject import Subject

_OURS = f'<meta name="generator" content="{GENERATOR}">'
_HEAD = 2_000  # characters in which a page of ours says so


def write_report(subject: Subject, file: Path | None = None) -> Path:
    """Write the page of a subject; return its file.

    Args:
        subject: What it is about.
        file: Where it is written (default: in the folder that it is about).

    Raises:
        InputError: it cannot be written there, or another file of this name is there.
    """
    place = file or subject.page_file
    if place.exists() and not _is_ours(place):
        raise InputError(
            f"{place} is there and was not written by abx-report: move it away, or write the page "
            "elsewhere with output=FILE"
        )
    text = page_of(subject).html()
    try:
        write_text(place, text)
    except OSError as error:
        raise InputError(
            f"{place} cannot be written: {error.strerror}; output=FILE writes elsewhere"
        ) from error
    return place


def remove_report(file: Path) -> None:
    """Remove a page that tells of what is no more, unless it is none of ours."""
    if file.is_file() and _is_ours(file):
        file.unlink()


def _is_ours(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return _OURS in stream.read(_HEAD)
    except OSError:
        return False
