"""The page that a command writes at its end: its path is printed, no error ends the command."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, first_line

if TYPE_CHECKING:
    from abx_amr.reports.subjects import Subject
    from abx_amr.runs.finished import FinishedRun

log = logging.getLogger(__name__)


def print_report(subject: Callable[[], Subject], *, is_wanted: bool) -> None:
    """Write the page of a subject and print where it is; what hinders it is a warning of one line.

    Args:
        subject: Returns what the page is about; called where a page is wanted.
        is_wanted: The key `report` of the configuration.
    """
    if not is_wanted:
        return
    try:
        from abx_amr.host.progress import waiting

        with waiting("writing the report"):
            from abx_amr.reports.writing import write_report

            page = write_report(subject())
        shown = os.path.relpath(page) if page.absolute().is_relative_to(Path.cwd()) else page
        print(f"report:  {shown}", flush=True)
    except InputError as error:
        log.warning("no report: %s", error)
    except Exception as error:  # what the page is about is whole without it
        log.warning("no report: %s: %s", type(error).__name__, first_line(error))
        log.debug("no report", exc_info=True)


def print_run_report(run: FinishedRun, config: Mapping[str, Any]) -> None:
    """Write the page of a run and print where it is, where the configuration asks for it."""

    def subject() -> Subject:
        from abx_amr.reports.subjects import RunSubject

        return RunSubject(run.folder, has_figures=bool(config["figures"]))

    print_report(subject, is_wanted=bool(config.get("report", True)))


def print_set_report(runs: Sequence[Path], *, name: str, config: Mapping[str, Any]) -> None:
    """Write the page of several runs, beside their folders, and print where it is.

    Args:
        runs: Run folders in one folder of results.
        name: What the page, and its file, are called.
        config: The resolved configuration.
    """

    def subject() -> Subject:
        from abx_amr.reports.gathering import gathered

        return gathered(
            runs[0].parent,
            runs,
            name=name,
            file=f"{name}_report.html",
            has_figures=bool(config["figures"]),
        )

    print_report(subject, is_wanted=bool(config.get("report", True)) and bool(runs))
