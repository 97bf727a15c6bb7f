"""Which values are a point of the space that a study searches; others come from other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import hint
from abx_amr.studies.space import full_path

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def why_not_searched(
    values: Mapping[Any, Any], space: Mapping[str, BaseDistribution]
) -> str | None:
    """Return which value the space has no place for and why, None where it has one for each.

    Args:
        values: Configuration path -> value, as somebody else has written them.
        space: Configuration path -> what may be drawn for it.
    """
    for path, value in values.items():
        if path not in space:
            meant = full_path(str(path))
            cure = (
                f"; write '{meant}'" if meant in space else hint(path, space, label="it searches")
            )
            return f"'{path}', which the study does not search{cure}"
        if not _lies_in(space[path], value):
            return f"{path} = {value!r}, which is outside {_shown(space[path])}"
    return None


def _lies_in(distribution: BaseDistribution, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number or hasattr(distribution, "choices")):
        return False
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


def as_the_space_has_it(
    values: Mapping[str, Any], space: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """Return values of the space as it would draw them: 1 in place of 1.0 where it draws ints."""
    return {
        path: space[path].to_external_repr(space[path].to_internal_repr(value))
        for path, value in values.items()
    }
