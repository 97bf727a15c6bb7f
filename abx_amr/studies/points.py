"""Which values are a point of the space that a study searches; others come from other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, hint
from abx_amr.studies.contexts import probe_values
from abx_amr.studies.parameters import drawn_of, path_of, value_of
from abx_amr.studies.search_space import lies_in
from abx_amr.studies.space import full_path

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from abx_amr.studies.search_space import SearchSpace


def why_not_searched(
    params: Mapping[Any, Any], space: Mapping[str, BaseDistribution]
) -> str | None:
    """Return which parameter the space has no place for and why, None where it has one for each.

    Args:
        params: Parameter -> what was drawn, as somebody else has written it.
        space: Parameter -> what may be drawn for it.
    """
    for name, drawn in params.items():
        if name not in space:
            return _unknown(str(name), list(space))
        if not lies_in(space[name], drawn):
            value = value_of(name, drawn)
            return f"{path_of(name)} = {value!r}, which is outside {_shown(name, space[name])}"
    return None


def drawn_from(values: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Return a point as the space would draw it: parameter -> what is drawn.

    Args:
        values: Configuration path -> value; what is left out is open.
        space: What is searched.

    Raises:
        InputError: which value the space has no place for, and why.
    """
    params: dict[str, Any] = {}
    for path, value in values.items():
        names = space.names_of(path)
        if not names:
            raise InputError(_unknown(path, space.paths))
        counting = [name for name in names if space.counts(name, values)]
        if not counting:
            ways = " or ".join(space.condition_in_words(name) for name in names)
            raise InputError(f"{path}, which counts only where {ways}")
        params[counting[0]] = drawn_of(counting[0], value)
    reason = why_not_searched(params, space)
    if reason is not None:
        raise InputError(reason)
    return {
        name: space[name].to_external_repr(space[name].to_internal_repr(drawn))
        for name, drawn in params.items()
    }


def _unknown(key: str, searched: Sequence[str]) -> str:
    meant = full_path(key)
    cure = f"; write '{meant}'" if meant in searched else hint(key, searched, label="it searches")
    return f"'{key}', which the study does not search{cure}"


def _shown(name: str, distribution: BaseDistribution) -> str:
    """Return a range or the choices as a user reads them."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return f"its choices {[value_of(name, choice) for choice in choices]}"
    low, high = probe_values(name, distribution)
    return f"its range from {low} to {high}"
