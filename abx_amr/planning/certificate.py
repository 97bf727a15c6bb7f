"""The optimum of any clinic between two bounds: a policy that was played, a value for all others.

From below: the policy of the interpolated values, played in many episodes. From above: the mean of
several independent draws of the sampled programme, each of which is expected not to lie below the
optimum. Both bounds are the ends of one-sided intervals of 97.5 %: together they hold with 95 %.
The grid is refined until the bounds are as close as asked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from abx_amr.errors import counted
from abx_amr.planning.distributions import t_quantile
from abx_amr.planning.play import never
from abx_amr.planning.problem import NotComputable
from abx_amr.planning.progress import OnProgress, within
from abx_amr.planning.rollouts import Played, rollouts
from abx_amr.planning.sampled import MEMORY_LIMIT, Grid, SampledClinic, Values, solve

Say = Callable[[str], None]

TOLERANCE = 0.02
LIMIT_SECONDS = 600.0  # of processors: five minutes of two
CONFIDENCE = 0.95
#: Comparisons in a second of one processor, measured; for estimates beforehand.
PACE = 1.3e9
_ONE_SIDED = 0.5 + CONFIDENCE / 2
_DRAWS = 4
_FIRST_NODES, _FEWEST_NODES = {1: 128, 2: 48, 3: 32}, 12
_FINER = 1.4
_EPISODES, _MOST_EPISODES = 256, 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Certificate:
    """Two bounds that hold together with 95 %, and the policy that was played for the lower one.

    Attributes:
        lower: A policy that knows the parameters reaches it.
        upper: None does better.
        values: What the policy goes by.
        played: What it did.
        cohorts: Sampled at each step, in each draw.
        draws: Independent ones; 1 where nothing is drawn.
        never: What never treating is worth.
        seconds: How long it took.
        shortfall: Why it is no closer, where it is not as close as asked; empty: it is.
    """

    lower: float
    upper: float
    values: Values
    played: Played
    cohorts: int
    draws: int
    never: float
    seconds: float
    shortfall: str

    @property
    def width(self) -> float:
        """The distance of the bounds as a share of the range from never treating to the upper."""
        span = self.upper - self.never
        return (self.upper - self.lower) / span if span > 1e-9 else 0.0

    @property
    def memory(self) -> int:
        """Bytes at most."""
        return _memory(self.values.grid)

    @property
    def method(self) -> str:
        """How it was computed, in words."""
        nodes = " x ".join(str(n) for n in self.values.grid.shape if n > 1)
        sampled = (
            "one cohort, all alike"
            if self.draws == 1
            else f"{self.draws} draws of {counted(self.cohorts, 'cohort')} a step"
        )
        number = counted(len(self.played.returns), "episode")
        return (
            f"values interpolated between {nodes} pressures, {sampled};"
            f" their policy played in {number}"
        )


def first_grid(clinic: SampledClinic, limit_seconds: float = LIMIT_SECONDS) -> Grid:
    """Return the grid that a certificate begins with: one that half of the limit is enough for.

    Raises:
        NotComputable: There are too many antibiotics.
    """
    number = _FIRST_NODES.get(len(clinic.problem.antibiotics), _FEWEST_NODES)
    while True:
        grid = Grid(clinic, number)
        if number <= _FEWEST_NODES or expected_seconds(grid) <= limit_seconds / 2:
            return grid
        number = max(_FEWEST_NODES, int(number / 1.2))


def cohorts_of(clinic: SampledClinic) -> int:
    """Return how many cohorts are sampled at each step of a draw."""
    if clinic.is_homogeneous:
        return 1
    return max(2, math.ceil(10 / clinic.problem.num_patients))


def expected_seconds(grid: Grid) -> float:
    """Return about how many processor seconds one round of bounds on this grid takes."""
    draws = 1 if grid.clinic.is_homogeneous else _DRAWS
    return 2 * draws * grid.work(cohorts_of(grid.clinic)) / PACE + 1e-6 * _playing(grid.clinic)


def _playing(clinic: SampledClinic) -> float:
    problem = clinic.problem
    episodes = 1 if clinic.is_homogeneous else _EPISODES
    patients = problem.num_patients * (0.1 + 0.5 * len(clinic.beliefs.draws))
    return (
        episodes * problem.num_steps * (0.2 * len(clinic.choices) * problem.num_patients + patients)
    )


def certify(
    clinic: SampledClinic,
    *,
    tolerance: float = TOLERANCE,
    limit_seconds: float = LIMIT_SECONDS,
    seed: int = 0,
    say: Say = lambda line: None,
    on_progress: OnProgress | None = None,
    on_round: Callable[[Certificate], None] = lambda found: None,
) -> Certificate:
    """Return bounds of the optimum, as close as `tolerance` unless that takes too long.

    Args:
        clinic: The clinic.
        tolerance: Width asked for, as a share of the range from never treating to the upper bound.
        limit_seconds: Of processors; no round begins that is expected to end later.
        seed: Names the draws.
        say: Told beforehand what it will take.
        on_progress: Told how far each part is.
        on_round: Handed what is known after each round.

    Raises:
        NotComputable: There are too many antibiotics.
    """
    began, spent = time.perf_counter(), time.process_time()
    grid, best = first_grid(clinic, limit_seconds), None
    say(
        f"{' x '.join(str(n) for n in grid.shape if n > 1)} pressures,"
        f" {len(clinic.choices)} choices, {clinic.problem.num_steps} steps: about"
        f" {expected_seconds(grid):.0f} s of a processor for the first bounds,"
        f" at most {_memory(grid) / 1024**2:.0f} MiB"
    )
    while True:
        took = time.process_time()
        round_name = f"bounds on {' x '.join(str(n) for n in grid.shape if n > 1)} pressures"
        found = _bounds(grid, seed, began, tolerance, within(on_progress, round_name))
        took = time.process_time() - took
        if best is None or found.width < best.width:
            best = found
        on_round(best)
        if best.width <= tolerance:
            return best
        finer = Grid(clinic, math.ceil(_FINER * grid.number))
        longer = took * math.prod(finer.shape) / math.prod(grid.shape)
        reason = ""
        if time.process_time() - spent + longer > limit_seconds:
            reason = f"closer bounds would take {longer:.0f} s of a processor more"
        elif _memory(finer) > MEMORY_LIMIT:
            reason = "closer bounds would take more than 2 GiB"
        if reason:
            return replace(best, shortfall=reason)
        grid = finer


def _memory(grid: Grid) -> int:
    """Return bytes at most: the values, the cohorts of one draw, the patients of a block."""
    problem = grid.clinic.problem
    drawn = problem.num_steps * cohorts_of(grid.clinic) * problem.num_patients * 13 * 8 * 3
    return grid.memory + drawn


def _bounds(
    grid: Grid, seed: int, began: float, tolerance: float, on_progress: OnProgress | None
) -> Certificate:
    clinic = grid.clinic
    if grid.memory > MEMORY_LIMIT:
        raise NotComputable("the values of all steps take more than 2 GiB")
    draws = 1 if clinic.is_homogeneous else _DRAWS
    number = cohorts_of(clinic)
    kept, tops = None, []
    for draw in range(draws):
        part = within(on_progress, f"draw {draw + 1} of {draws}") if draws > 1 else on_progress
        solved = solve(
            grid,
            cohorts=number,
            seed=seed + draw,
            into=kept,
            share=1.0 / draws,
            on_progress=part,
        )
        kept = solved.ahead
        assert solved.upper is not None
        tops.append(solved.upper)
    values = Values(grid=grid, ahead=solved.ahead, start=solved.start, upper=float(np.mean(tops)))
    upper = float(np.mean(tops))
    if draws > 1:
        error = float(np.std(tops, ddof=1)) / math.sqrt(draws)
        upper += t_quantile(draws - 1, _ONE_SIDED) * error
    floor = never(clinic.problem)
    episodes = _EPISODES
    while True:
        played = rollouts(values, episodes=episodes, seed=seed, on_progress=on_progress)
        slack = played.standard_error
        if len(played.returns) > 1:
            slack *= t_quantile(len(played.returns) - 2, _ONE_SIDED)
        # more episodes where their luck is what keeps the bounds apart
        if slack <= 0.2 * tolerance * abs(upper - floor) or episodes >= _MOST_EPISODES:
            break
        if len(played.returns) == 1:
            break
        episodes *= 4
    lower = played.mean - slack
    upper = max(upper, lower)  # what was reached can be reached
    return Certificate(
        lower=lower,
        upper=upper,
        values=values,
        played=played,
        cohorts=number,
        draws=draws,
        never=floor,
        seconds=time.perf_counter() - began,
        shortfall="",
    )
