"""Trials that were queued by hand, or by another program: only what the study searches is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abx_amr.studies.draft import FIXED
from abx_amr.studies.points import why_not_searched

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from abx_amr.studies.records import TrialRecord


def why_not_run(trial: TrialRecord, space: Mapping[str, BaseDistribution]) -> str | None:
    """Return in one line why a waiting trial is no point of the space, None where it is one.

    What it leaves open is drawn.
    """
    fixed = trial.frozen.system_attrs.get(FIXED, {})
    if not isinstance(fixed, Mapping):
        return f"it is queued with {fixed!r} in place of values by their paths"
    reason = why_not_searched({**fixed, **trial.frozen.params}, space)
    return None if reason is None else f"it is queued with {reason}"
