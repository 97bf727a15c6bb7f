"""The samplers: which there are, what they take, how each ask is seeded.

A sampler is built anew for every ask and seeded from (sampler_seed, index of the new point), where
the index counts the points drawn so far and a retry is no new point. What a sampler has to remember
it reads from the study, so a resumed study goes on as if it had not stopped.
"""

from __future__ import annotations

import copy
import inspect
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.errors import InputError, hint, unknown
from abx_amr.studies.space import finite_values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

log = logging.getLogger(__name__)

SAMPLERS = ("tpe", "random", "cmaes", "gp", "qmc", "grid")
WITH_STARTUP_TRIALS = ("tpe", "gp")
SET_HERE = {
    "self",
    "seed",
    "independent_sampler",
    "constraints_func",
    "source_trials",
    "search_space",
}


@dataclass(frozen=True)
class SamplerChoice:
    """Which sampler, with which of its own options, from which seed."""

    name: str = "tpe"
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Bring the name into its one spelling and refuse what the sampler does not take."""
        object.__setattr__(self, "name", sampler_name(self.name))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"tuning.sampler_seed must be a whole number >= 0, not {self.seed!r}")
        if self.options:
            self._check_options()

    def _check_options(self) -> None:
        known = known_options(self.name)
        for option in self.options:
            if option not in known:
                raise InputError(
                    f"tuning.sampler_options.{option} is not an option of the sampler {self.name}"
                    f"{hint(option, known, label='known')}"
                )
        startup = self.options.get("n_startup_trials")
        if startup is not None and (isinstance(startup, bool) or not isinstance(startup, int)):
            raise InputError(
                f"tuning.sampler_options.n_startup_trials must be a whole number, not {startup!r}"
            )


def sampler_name(name: object) -> str:
    """Return the one spelling of a sampler's name.

    >>> [sampler_name(n) for n in ("TPE", "Random", "CmaEs", "CMAES", "CMA-ES", "tpe")]
    ['tpe', 'random', 'cmaes', 'cmaes', 'cmaes', 'tpe']
    """
    plain = str(name).lower().replace("-", "").replace("_", "").removesuffix("sampler")
    if plain in SAMPLERS:
        return plain
    raise InputError(unknown("tuning.sampler", str(name), SAMPLERS))


def known_options(name: str) -> tuple[str, ...]:
    """Return the names that `tuning.sampler_options` may hold for this sampler."""
    constructor = _constructors()[name]
    return tuple(p for p in inspect.signature(constructor.__init__).parameters if p not in SET_HERE)


def default_startup_trials(n_trials: int) -> int:
    """Return how many points are drawn at random first: max(10, n_trials // 4), capped at n_trials.

    >>> [default_startup_trials(n) for n in (5, 20, 50, 100)]
    [5, 10, 12, 25]
    """
    return min(n_trials, max(10, n_trials // 4))


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


def effective_budget(
    choice: SamplerChoice, *, n_trials: int, space: Mapping[str, BaseDistribution]
) -> int:
    """Return how many trials complete the study: for grid at most its points."""
    if choice.name != "grid":
        return n_trials
    return min(n_trials, math.prod(len(values) for values in grid_values(space).values()))


def make_sampler(
    choice: SamplerChoice,
    *,
    space: Mapping[str, BaseDistribution],
    n_trials: int,
    index: int,
) -> BaseSampler:
    """Return the sampler for drawing point number `index` (from 0) of a study."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import RandomSampler

    own_seed = int(np.random.SeedSequence([choice.seed, index]).generate_state(1)[0])
    options = dict(choice.options)
    if choice.name in WITH_STARTUP_TRIALS:
        options.setdefault("n_startup_trials", default_startup_trials(n_trials))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        constructor = _constructors()[choice.name]
        if choice.name == "grid":
            grid: BaseSampler = constructor(grid_values(space), seed=choice.seed, index=index)
            return grid
        if choice.name == "qmc":
            options.setdefault("warn_independent_sampling", False)
            sequence: BaseSampler = constructor(
                seed=choice.seed,
                independent_sampler=RandomSampler(seed=own_seed),
                index=index,
                **options,
            )
            return sequence
        if choice.name in ("cmaes", "gp"):
            options.setdefault("warn_independent_sampling", False)
        sampler: BaseSampler = constructor(seed=own_seed, **options)
        return _numbered_by_index()(sampler, index) if choice.name == "cmaes" else sampler


def log_what_is_drawn_at_random(
    choice: SamplerChoice, space: Mapping[str, BaseDistribution]
) -> None:
    """Say once which keys CMA-ES cannot search: it knows numbers only."""
    from optuna.distributions import CategoricalDistribution

    if choice.name != "cmaes":
        return
    paths = [path for path, d in space.items() if isinstance(d, CategoricalDistribution)]
    if paths:
        log.warning("cmaes searches numbers only; drawn at random: %s", ", ".join(paths))


def _constructors() -> dict[str, Callable[..., Any]]:
    """Return name -> class; one line adds a sampler."""
    from optuna.samplers import CmaEsSampler, GPSampler, RandomSampler, TPESampler

    return {
        "tpe": TPESampler,
        "random": RandomSampler,
        "cmaes": CmaEsSampler,
        "gp": GPSampler,
        "qmc": _indexed_qmc(),
        "grid": _indexed_grid(),
    }


def _indexed_grid() -> Callable[..., Any]:
    """Return a GridSampler whose point is told by the index, so that each is drawn exactly once.

    Optuna's own takes the trial's number, which a retry shifts, and stops `optimize` at its last
    point, which is an error under ask and tell.
    """
    from optuna.samplers import GridSampler

    class IndexedGridSampler(GridSampler):
        def __init__(
            self, search_space: Mapping[str, Sequence[Any]], *, seed: int, index: int
        ) -> None:
            super().__init__(search_space, seed=seed)
            self.index = index

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


def _indexed_qmc() -> Callable[..., Any]:
    """Return a QMCSampler whose place in the sequence is told by the index.

    Optuna's own counts its draws in the study, so that a worker killed while drawing would leave a
    gap. The first point of a study is independent; the sequence starts with the second.
    """
    from optuna.samplers import QMCSampler

    class IndexedQMCSampler(QMCSampler):
        def __init__(self, *, index: int, **options: Any) -> None:
            super().__init__(**options)
            self.index = index

        def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
            return max(0, self.index - 1)

    return IndexedQMCSampler


def _numbered_by_index() -> Callable[[BaseSampler, int], BaseSampler]:
    """Return a wrapper for a sampler that seeds itself with a number: it sees the index."""
    from optuna.samplers import BaseSampler as Base

    class NumberedByIndex(Base):
        def __init__(self, sampler: Base, index: int) -> None:
            self.sampler = sampler
            self.index = index

        def infer_relative_search_space(
            self, study: Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return self.sampler.infer_relative_search_space(study, trial)

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            moved = copy.copy(trial)
            moved.number = self.index
            return self.sampler.sample_relative(study, moved, search_space)

        def sample_independent(
            self,
            study: Study,
            trial: FrozenTrial,
            param_name: str,
            param_distribution: BaseDistribution,
        ) -> Any:
            return self.sampler.sample_independent(study, trial, param_name, param_distribution)

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            self.sampler.before_trial(study, trial)

        def after_trial(
            self,
            study: Study,
            trial: FrozenTrial,
            state: TrialState,
            values: Sequence[float] | None,
        ) -> None:
            self.sampler.after_trial(study, trial, state, values)

    return NumberedByIndex
