"""Why a worker claims no further trial, each reason by one rule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from abx_amr.studies.records import INTERRUPTED, TrialRecord

StopReason = Literal["budget", "quota", "timeout", "time limit", "failures", "interrupted"]


class StopError(Exception):
    """The worker's loop is to end."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def stop_when_complete(n_finished: int, budget: int, *, unit: str = "trial") -> None:
    """Stop when enough trials (of a race: trainings) are finished, whoever ran them."""
    if n_finished >= budget:
        raise StopError("budget", f"{n_finished} of {budget} {unit}s are finished")


def stop_if_all_fails(trials: Sequence[TrialRecord], *, since: int, max_failures: int) -> None:
    """Stop when the last `max_failures` trials of this run failed.

    Neither by an interrupt nor with a worker that was killed, as long as they are tried again:
    that says nothing about the trials.

    Args:
        trials: All trials of the study.
        since: The number of the first trial of this run.
        max_failures: How many in a row are too many.
    """
    last = max((trial.number for trial in trials if trial.is_finished), default=-1)
    failures = [
        trial
        for trial in trials
        if trial.state == "FAIL"
        and trial.number >= since
        and trial.number > last
        and trial.failure != INTERRUPTED
        and not trial.worker_is_gone
        and trial.owner is not None  # it was run at all
    ]
    if len(failures) >= max_failures:
        raise StopError(
            "failures",
            f"{len(failures)} trials in a row have failed (tuning.max_failures); "
            f"the last error: {failures[-1].failure}",
        )


def stop_if_points_fail(trials: Sequence[TrialRecord], *, max_failures: int) -> None:
    """Stop a race in which attempts at the last points failed, and none has ended since.

    Args:
        trials: All trials of the study.
        max_failures: How many in a row are too many.
    """
    ended = (t.number for t in trials if t.value is not None and math.isfinite(t.value))
    last = max(ended, default=-1)
    failing = [t for t in trials if t.rung is not None and t.rung.errors and t.number > last]
    errors = sum(trial.rung.errors for trial in failing if trial.rung is not None)
    if errors >= max_failures:
        raise StopError(
            "failures",
            f"{errors} attempts in a row have failed (tuning.max_failures); "
            f"the last error: {failing[-1].failure}",
        )


def stop_before_time_limit(trials: Sequence[TrialRecord], remaining: float | None) -> None:
    """Stop when the job's SLURM time limit is nearer than a typical trial is long.

    Args:
        trials: All trials of the study.
        remaining: Seconds until the limit, None where there is none.
    """
    if remaining is None:
        return
    lengths = [trial.wall_time_seconds for trial in trials if trial.is_finished]
    known = [length for length in lengths if length is not None]
    if known and remaining < statistics.median(known):
        raise StopError("time limit", "the job's time limit is nearer than a typical trial is long")
