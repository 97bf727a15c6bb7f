"""How a job ended, and what that means for the command that waited."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from hydra.core.utils import JobReturn, JobStatus

from abx_amr.host.exit_codes import SUCCESS, TEMPORARY, USER_ERROR

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended, as far as its launcher knows: what counts is what the job wrote.

    Attributes:
        value: What the task function returned; None of a process of its own.
        error: What the task function raised, or a launcher that lost the job.
        status: The exit status of a process of its own; negative: the signal that killed it.
        is_lost: Whether the job was killed, or its launcher came to no end.
        reason: Why it failed, in a line.
        last_lines: The end of the output of a process that failed.
    """

    value: Any = None
    error: Exception | None = None
    status: int = SUCCESS
    is_lost: bool = False
    reason: str = ""
    last_lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, returned: JobReturn) -> Self:
        """Return how a job ended that Hydra has run."""
        if returned.status is JobStatus.COMPLETED:
            return cls(value=returned.return_value)
        error = returned._return_value
        return cls(error=error, reason=f"job {returned.overrides} failed: {error!r}")

    @property
    def has_failed(self) -> bool:
        """Whether the job came to no end of its own."""
        return self.is_lost or self.error is not None or self.status not in (SUCCESS, TEMPORARY)


def values_of(outcomes: Sequence[Outcome]) -> list[Any]:
    """Return what the jobs returned that returned anything; one that failed costs only itself.

    Raises:
        Exception: Every job failed: what the first raised, or a RuntimeError with its last lines.
        SystemExit: Every job refused the user's settings, whose line is shown (USER_ERROR), or one
            left work to do since its time was up (TEMPORARY).
    """
    failed = [outcome for outcome in outcomes if outcome.has_failed]
    if failed and len(failed) == len(outcomes):
        _raise_why(failed)
    for reason in dict.fromkeys(outcome.reason for outcome in failed):
        log.warning("%s", reason)
    if any(outcome.status == TEMPORARY for outcome in outcomes):
        log.warning("time is up: run the same command again to go on")
        raise SystemExit(TEMPORARY)
    return [o.value for o in outcomes if not o.has_failed and o.value is not None]


def _raise_why(failed: Sequence[Outcome]) -> None:
    """Raise what all jobs failed by; nothing where one was lost."""
    if any(outcome.is_lost for outcome in failed):
        return
    first = failed[0]
    if first.error is not None:
        raise first.error
    if all(outcome.status == USER_ERROR for outcome in failed):
        log.warning("%s", "\n".join(first.last_lines[-1:]))
        raise SystemExit(USER_ERROR)
    raise RuntimeError("every worker failed; the first: " + "\n".join(first.last_lines))
