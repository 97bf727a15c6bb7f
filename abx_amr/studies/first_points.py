"""The points that a study tries first: those of `tuning.enqueue`, and the default."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, counted
from abx_amr.studies.contexts import choices_of
from abx_amr.studies.members import SEARCHED_GROUPS, with_choices
from abx_amr.studies.parameters import path_of
from abx_amr.studies.points import drawn_from
from abx_amr.studies.space import value_in

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings

log = logging.getLogger(__name__)

Point = Mapping[str, Any]


def default_point(settings: StudySettings, *, choices: Point | None = None) -> dict[str, Any]:
    """Return the agent's own values at every searched path that counts for them.

    Args:
        settings: The study's.
        choices: Of the groups that are searched (default: the first of each).
    """
    space = settings.space
    point = dict(choices_of(space)[0] if choices is None else choices)
    own, _ = with_choices(settings.configuration, point)
    for name in space:
        path = path_of(name)
        if path not in SEARCHED_GROUPS and space.counts(name, point):
            point[path] = value_in(own, path)
    return {path: point[path] for path in space.paths if path in point}


def first_points(settings: StudySettings) -> list[dict[str, Any]]:
    """Return what a new study tries first, each once: parameter -> what is drawn."""
    points = [dict(point) for point in settings.enqueued]
    if settings.is_default_first:
        for choices in choices_of(settings.space):
            with suppress(InputError):  # said by `log_first_points`
                points.append(_drawn_default(settings, choices))
    return [point for i, point in enumerate(points) if point not in points[:i]]


def log_first_points(settings: StudySettings) -> None:
    """Say which points a new study tries first, and which it cannot."""
    n_first = len(first_points(settings))
    every = choices_of(settings.space)
    for choices in every if settings.is_default_first else ():
        try:
            _drawn_default(settings, choices)
        except InputError as error:
            of = f" of {_in_words(choices)}" if choices else ""
            log.warning("the default%s is not among the first points: it has %s", of, error)
    if n_first > settings.budget:
        log.warning(
            "%s to be tried first, and %s in all: a larger tuning.n_trials tries the others",
            counted(n_first, "point"),
            counted(settings.budget, "trial"),
        )


def _drawn_default(settings: StudySettings, choices: Point) -> dict[str, Any]:
    return drawn_from(default_point(settings, choices=choices), settings.space)


def _in_words(choices: Point) -> str:
    return " ".join(f"{group}={member}" for group, member in choices.items())
