"""The points that a study tries first: those of `tuning.enqueue`, and the default."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, counted
from abx_amr.studies.parameters import path_of
from abx_amr.studies.points import drawn_from
from abx_amr.studies.space import value_in

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings

log = logging.getLogger(__name__)

Point = dict[str, Any]


def default_point(settings: StudySettings) -> Point:
    """Return the agent's own values at every searched path that counts for them."""
    point: Point = {}
    for name in settings.space:
        if settings.space.counts(name, point):
            path = path_of(name)
            point[path] = value_in(settings.configuration, path)
    return point


def first_points(settings: StudySettings) -> list[Point]:
    """Return what a new study tries first, each once: parameter -> what is drawn."""
    points = [dict(point) for point in settings.enqueued]
    if settings.is_default_first:
        with suppress(InputError):  # said by `log_first_points`
            points.append(_drawn_default(settings))
    return [point for i, point in enumerate(points) if point not in points[:i]]


def log_first_points(settings: StudySettings) -> None:
    """Say which points a new study tries first, and which it cannot."""
    n_first = len(first_points(settings))
    if settings.is_default_first:
        try:
            _drawn_default(settings)
        except InputError as error:
            log.warning("the default is not among the first points: it has %s", error)
    if n_first > settings.budget:
        log.warning(
            "%s to be tried first, and %s in all: a larger tuning.n_trials tries the others",
            counted(n_first, "point"),
            counted(settings.budget, "trial"),
        )


def _drawn_default(settings: StudySettings) -> Point:
    return drawn_from(default_point(settings), settings.space)
