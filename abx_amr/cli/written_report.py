"""The page that a command writes at its end: its path is printed, no error ends the command."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from abx_amr.errors import InputError, first_line

if TYPE_CHECKING:
    from abx_amr.reports.subjects import Subject

log = logging.getLogger(__name__)


def print_report(subject: Callable[[], Subject], *, is_wanted: object = True) -> None:
    """Write the page of a subject and print where it is; what hinders it is a warning of one line.

    Args:
        subject: Returns what the page is about; called where a page is wanted.
        is_wanted: The key `report` of the configuration.
    """
    if is_wanted is False:
        return
    try:
        from abx_amr.reports.writing import write_report

        print(f"report:  {write_report(subject())}", flush=True)
    except InputError as error:
        log.warning("no report: %s", error)
    except Exception as error:  # what the page is about is whole without it
        log.warning("no report: %s: %s", type(error).__name__, first_line(error))
        log.debug("no report", exc_info=True)
