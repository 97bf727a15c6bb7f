"""Under which values of others each parameter counts, and at which values it is tried beforehand.

A study that chooses between configurations is checked in each of them: `within` names the choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from abx_amr.studies.members import SEARCHED_GROUPS
from abx_amr.studies.parameters import drawn_of, is_below_one, path_of, value_of
from abx_amr.studies.search_space import (
    ParameterValue,
    Point,
    SearchSpace,
    is_same,
    lies_in,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def choices_of(space: SearchSpace) -> list[Point]:
    """Return every combination of choices of searched groups; of none, one that chooses nothing.

    The first is that of the default: each group's first choice.
    """
    found: list[Point] = [{}]
    for name, distribution in space.items():
        path = path_of(name)
        if path not in SEARCHED_GROUPS:
            continue
        wider: list[Point] = []
        for point in found:
            if path in point or context_of(space, name, within=point) is None:
                wider.append(point)
                continue
            wider += [
                {**point, path: value_of(name, choice)}
                for choice in getattr(distribution, "choices", ())
            ]
        found = wider
    return found


def contexts(space: SearchSpace, *, within: Point | None = None) -> list[Point]:
    """Return values under which every key counts somewhere, with nothing first."""
    found: list[Point] = [{}]
    for name in space:
        context = context_of(space, name, within=within)
        if context is not None and context not in found:
            found.append(context)
    return found


def context_of(
    space: SearchSpace, name: str, *, within: Point | None = None
) -> dict[str, Any] | None:
    """Return values under which a parameter counts; nothing where it always does.

    None where there are no such values.
    """
    given = dict(within or {})
    found = next(_settings(space, name, given), None)
    if found is None:
        return None
    return {path: value for path, value in found.items() if path not in given}


def _settings(space: SearchSpace, name: str, given: Point) -> Iterator[dict[str, Any]]:
    """Yield what is given with values under which a parameter counts, in all ways."""
    conditions = [*space.conditions.get(name, {}).items()]

    def extended(position: int, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(conditions):
            yield found
            return
        path, values = conditions[position]
        if path in found:
            if any(is_same(found[path], value) for value in values):
                yield from extended(position + 1, found)
            return
        for value in values:
            for parent in space.names_of(path):
                if not lies_in(space[parent], drawn_of(parent, value)):
                    continue
                for deeper in _settings(space, parent, found):
                    if path not in deeper or is_same(deeper[path], value):
                        yield from extended(position + 1, {**deeper, path: value})

    yield from extended(0, dict(given))


def probe_values(
    name: str, distribution: BaseDistribution
) -> tuple[ParameterValue, ParameterValue]:
    """Return two values far apart: low and high, or the first and the last choice."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        ends = distribution.choices[0], distribution.choices[-1]
    else:
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        ends = distribution.low, distribution.high
    first, last = (value_of(name, end) for end in ends)
    return (last, first) if is_below_one(name) else (first, last)


def probe_points(
    space: SearchSpace, *, where: Point | None = None, within: Point | None = None
) -> dict[str, tuple[ParameterValue, ParameterValue]]:
    """Return path -> the two values at which the key is to be tried before the first trial.

    Args:
        space: What is searched.
        where: What the keys are to hang on, see `contexts` (default: those that always count).
        within: Choices of searched groups, which are themselves not tried.
    """
    return {
        path_of(name): probe_values(name, distribution)
        for name, distribution in space.items()
        if path_of(name) not in SEARCHED_GROUPS
        and context_of(space, name, within=within) == dict(where or {})
    }
