"""Trials that were queued by hand, or by another program: only what the study searches is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import hint
from abx_amr.studies.space import full_path

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from abx_amr.studies.records import TrialRecord

#: Where Optuna's `enqueue_trial` keeps what is asked for.
_FIXED = "fixed_params"


def why_not_run(trial: TrialRecord, space: Mapping[str, BaseDistribution]) -> str | None:
    """Return in one line why a waiting trial is no point of the space, None where it is one.

    What it leaves open is drawn.
    """
    fixed = trial.frozen.system_attrs.get(_FIXED, {})
    if not isinstance(fixed, Mapping):
        return f"it is queued with {fixed!r} in place of values by their paths"
    for path, value in {**fixed, **trial.params}.items():
        if path not in space:
            meant = full_path(str(path))
            cure = (
                f"; write '{meant}'" if meant in space else hint(path, space, label="it searches")
            )
            return f"it is queued with '{path}', which the study does not search{cure}"
        if not _lies_in(space[path], value):
            return f"it is queued with {path} = {value!r}, which is outside {_shown(space[path])}"
    return None


def _lies_in(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def _shown(distribution: BaseDistribution) -> str:
    """Return a range or the choices as a user reads them."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return f"its choices {list(choices)}"
    low, high = (getattr(distribution, name, "?") for name in ("low", "high"))
    return f"its range from {low} to {high}"
