"""grid: every point of a finite search space once."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.studies.samplers.member import Draw, Sampler
from abx_amr.studies.space import finite_values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState


class Grid(Sampler):
    """Optuna's own, whose point is told by the index."""

    set_here = Sampler.set_here | {"search_space", "first_points"}

    def constructor(self) -> Callable[..., BaseSampler]:
        """Return Optuna's class with an index."""
        return _indexed_grid()

    def build(self, draw: Draw, options: Mapping[str, Any]) -> BaseSampler:
        """Return it: the first points, then the others in the order that sampler_seed names."""
        return self.constructor()(
            grid_values(draw.space),
            seed=draw.sampler_seed,
            index=draw.index,
            first_points=draw.first_points,
            **options,
        )

    def budget(self, n_trials: int, space: Mapping[str, BaseDistribution]) -> int:
        """Return n_trials, at most the points of the grid."""
        return min(n_trials, math.prod(len(values) for values in grid_values(space).values()))


def grid_values(space: Mapping[str, BaseDistribution]) -> dict[str, list[Any]]:
    """Return path -> all its values; an InputError for a path without an end of values."""
    values = {}
    for path, distribution in space.items():
        finite = finite_values(distribution)
        if finite is None:
            raise InputError(
                f"tuning.sampler=grid needs a finite search space: give {path} a step or choices"
            )
        values[path] = finite
    return values


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
            search_space: Mapping[str, Sequence[Any]],
            *,
            seed: int,
            index: int,
            first_points: Sequence[Mapping[str, Any]] = (),
        ) -> None:
            super().__init__(search_space, seed=seed)
            self.index = index
            given = [tuple(point[name] for name in self._param_names) for point in first_points]
            first = [grid for point in given for grid in self._all_grids if _equal(grid, point)]
            self._all_grids = [*first, *(grid for grid in self._all_grids if grid not in first)]

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
