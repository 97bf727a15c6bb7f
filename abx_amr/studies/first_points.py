"""The points that a study tries first: those written in `tuning.enqueue`, and the default."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.checks import a_list
from abx_amr.errors import InputError, counted
from abx_amr.studies.points import as_the_space_has_it, why_not_searched
from abx_amr.studies.space import flatten, full_path

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from abx_amr.studies.settings import StudySettings

log = logging.getLogger(__name__)

Point = dict[str, Any]


def written_points(
    written: Any, space: Mapping[str, BaseDistribution], *, are_whole: bool
) -> list[Point]:
    """Return the points of `tuning.enqueue`: configuration path -> value.

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
        reason = why_not_searched(values, space)
        if reason is not None:
            raise InputError(f"{name} has {reason}")
        if are_whole and (missing := [path for path in space if path not in values]):
            raise InputError(
                f"{name} has no value of {missing[0]}, and tuning.sampler=grid draws none: name "
                "each searched key"
            )
        points.append(as_the_space_has_it(values, space))
    return points


def default_point(configuration: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> Point:
    """Return the agent's own values at every searched path."""
    values = flatten(configuration)
    return {path: values[path] for path in space}


def first_points(settings: StudySettings) -> list[Point]:
    """Return what a new study tries first, each point once."""
    space = settings.space
    points = [dict(point) for point in settings.enqueued]
    if settings.is_default_first:
        default = default_point(settings.configuration, space)
        if why_not_searched(default, space) is None:
            points.append(as_the_space_has_it(default, space))
    return [point for i, point in enumerate(points) if point not in points[:i]]


def log_first_points(settings: StudySettings) -> None:
    """Say which points a new study tries first, and which it cannot."""
    n_first = len(first_points(settings))
    default = default_point(settings.configuration, settings.space)
    if settings.is_default_first and (reason := why_not_searched(default, settings.space)):
        log.warning("the default is not among the first points: it has %s", reason)
    if n_first > settings.budget:
        log.warning(
            "%s to be tried first, and %s in all: a larger tuning.n_trials tries the others",
            counted(n_first, "point"),
            counted(settings.budget, "trial"),
        )


def _leaves(entry: Mapping[Any, Any], space: Mapping[str, BaseDistribution]) -> Point:
    """Return key -> value; sections may be nested as they are in the search space."""
    leaves: Point = {}
    for key, value in entry.items():
        is_value = full_path(str(key)) in space or not isinstance(value, Mapping)
        below = {str(key): value} if is_value else _leaves_below(str(key), value, space)
        leaves |= below
    return leaves


def _leaves_below(
    above: str, section: Mapping[Any, Any], space: Mapping[str, BaseDistribution]
) -> Point:
    return _leaves({f"{above}.{key}": value for key, value in section.items()}, space)


def _example(space: Mapping[str, BaseDistribution]) -> str:
    from abx_amr.studies.space import probe_values

    path, distribution = next(iter(space.items()))
    return f"{{{path}: {probe_values(distribution)[0]}}}"
