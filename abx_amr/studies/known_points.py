"""The known good points that are written in `tuning.enqueue`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.checks import a_list
from abx_amr.errors import InputError
from abx_amr.studies.contexts import probe_values
from abx_amr.studies.parameters import path_of
from abx_amr.studies.points import drawn_from
from abx_amr.studies.space import full_path

if TYPE_CHECKING:
    from abx_amr.studies.search_space import SearchSpace

Point = dict[str, Any]


def written_points(written: Any, space: SearchSpace, *, are_whole: bool) -> list[Point]:
    """Return the points of `tuning.enqueue`: parameter -> what is drawn.

    A key is written as in the search space; a point may leave keys open, which are drawn.

    Args:
        written: What stands there.
        space: What is searched.
        are_whole: Whether the sampler (a grid) draws nothing that a point leaves open.

    Raises:
        InputError: one is no point of the space, or leaves open what it must not.
    """
    points: list[Point] = []
    for position, entry in enumerate(a_list("tuning.enqueue", written)):
        name = f"tuning.enqueue[{position}]"
        if not isinstance(entry, Mapping) or not entry:
            raise InputError(f"{name} must be a point such as {_example(space)}, got {entry!r}")
        values = {full_path(key): value for key, value in _leaves(entry, space).items()}
        try:
            params = drawn_from(values, space)
        except InputError as error:
            raise InputError(f"{name} has {error}") from error
        if are_whole and (missing := space.missing(params)):
            raise InputError(
                f"{name} has no value of {path_of(missing[0])}, and tuning.sampler=grid draws "
                "none: name each searched key"
            )
        points.append(params)
    return points


def _leaves(entry: Mapping[Any, Any], space: SearchSpace) -> Point:
    """Return key -> value; sections may be nested as they are in the search space."""
    leaves: Point = {}
    for key, value in entry.items():
        is_value = full_path(str(key)) in space.paths or not isinstance(value, Mapping)
        below = {str(key): value} if is_value else _leaves_below(str(key), value, space)
        leaves |= below
    return leaves


def _leaves_below(above: str, section: Mapping[Any, Any], space: SearchSpace) -> Point:
    return _leaves({f"{above}.{key}": value for key, value in section.items()}, space)


def _example(space: SearchSpace) -> str:
    name, distribution = next(iter(space.items()))
    return f"{{{path_of(name)}: {probe_values(name, distribution)[0]}}}"
