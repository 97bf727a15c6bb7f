"""grid: every point of a finite search space once."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.studies.parameters import path_of
from abx_amr.studies.samplers.member import Draw, Sampler
from abx_amr.studies.space import finite_values

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

    from abx_amr.studies.search_space import SearchSpace


class Grid(Sampler):
    """Optuna's own, whose point is told by the index."""

    set_here = Sampler.set_here | {"space", "first_points"}

    def constructor(self) -> Callable[..., BaseSampler]:
        """Return Optuna's class with an index."""
        return _indexed_grid()

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it: the first points, then the others in the order that sampler_seed names."""
        return self.constructor()(
            draw.space,
            seed=draw.sampler_seed,
            index=draw.index,
            first_points=draw.first_points,
            **options,
        )

    def budget(self, n_trials: int, space: SearchSpace) -> int:
        """Return n_trials, at most the points of the grid; what does not count makes no others."""
        values = grid_values(space)
        if not space.conditions:
            return min(n_trials, math.prod(map(len, values.values())))
        return sum(1 for _ in itertools.islice(_points(space, values), n_trials))


def grid_values(space: SearchSpace) -> dict[str, list[Any]]:
    """Return parameter -> all it may be; an InputError for one without an end of values."""
    values = {}
    for name, distribution in space.items():
        finite = finite_values(distribution)
        if finite is None:
            raise InputError(
                f"tuning.sampler=grid needs a finite search space: give {path_of(name)} a step or "
                "choices"
            )
        values[name] = finite
    return values


def _points(
    space: SearchSpace, values: Mapping[str, Sequence[Any]], params: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield every point once: parameter -> drawn, for those that count at it."""
    drawn = params or {}
    name = next(iter(space.missing(drawn)), None)
    if name is None:
        yield dict(drawn)
        return
    for value in values[name]:
        yield from _points(space, values, {**drawn, name: value})


def _equal(point: Sequence[Any], other: Sequence[Any]) -> bool:
    """Say whether two points are the same, but for how the ends of a step are rounded."""
    return all(
        type(a) is type(b) and (math.isclose(a, b) if isinstance(a, float) else a == b)
        for a, b in zip(point, other, strict=True)
    )


def _indexed_grid() -> Callable[..., Any]:
    """Return a GridSampler whose point is told by the index, so that each is drawn exactly once.

    Optuna's own takes the trial's number, which a retry shifts, and stops `optimize` at its last
    point, which is an error under ask and tell.
    """
    from optuna.samplers import GridSampler

    class IndexedGridSampler(GridSampler):
        def __init__(
            self,
            space: SearchSpace,
            *,
            seed: int,
            index: int,
            first_points: Sequence[Mapping[str, Any]] = (),
        ) -> None:
            values = grid_values(space)
            if space.conditions:
                super().__init__({name: every[:1] for name, every in values.items()}, seed=seed)
                found = [self._row(point) for point in _points(space, values)]
                self._rng.rng.shuffle(found)
                self._all_grids = found
                self._n_min_trials = len(found)
            else:
                super().__init__(values, seed=seed)
            self.index = index
            given = [self._row(point) for point in first_points]
            first = [grid for point in given for grid in self._all_grids if _equal(grid, point)]
            self._all_grids = [*first, *(grid for grid in self._all_grids if grid not in first)]

        def _row(self, point: Mapping[str, Any]) -> tuple[Any, ...]:
            return tuple(point.get(name) for name in self._param_names)

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            moved = copy.copy(trial)
            moved.number = self.index % self._n_min_trials
            super().before_trial(study, moved)

        def after_trial(
            self,
            study: Study,
            trial: FrozenTrial,
            state: TrialState,
            values: Sequence[float] | None,
        ) -> None:
            return

    return IndexedGridSampler
