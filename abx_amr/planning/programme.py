"""The dynamic programme over the pressure lattice: backwards for values, forwards for actions.

Shapes: K antibiotics, C choices, T steps; boxes are (n, n, n), an absent antibiotic has one cell.

    V_t(p) = E_cohort[ max over allocations of reward + gamma * V_t+1(p') ],  p' = p + doses - leak

Only some of the V_t are kept; those between are computed again where they are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.planning.allocations import Allocations, allocations
from abx_amr.planning.backward import follow, improve, lengthen, stage
from abx_amr.planning.lattice import (
    Axis,
    build_axis,
    highest_pressure,
    natural_spacing,
)
from abx_amr.planning.problem import NotComputable, Problem
from abx_amr.planning.progress import OnProgress, counting, rounds
from abx_amr.planning.threads import share_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEMORY_LIMIT = 2 * 1024**3
WORK_LIMIT = 4e11  # cells x choices x steps: about five minutes
_DIMENSIONS = 3
_WORTH_SHARING = 50_000  # comparisons of one step that are worth the threads


@dataclass(frozen=True, kw_only=True, eq=False)
class Box:
    """Values of a box of cells that begins at `low`, (3,)."""

    low: Ints
    values: Floats


@dataclass(frozen=True, eq=False)
class Programme:
    """A problem on a lattice, ready to be solved.

    Attributes:
        problem: The clinic.
    """

    problem: Problem
    plan: Allocations = field(init=False)
    axes: tuple[Axis, ...] = field(init=False)
    _warm: dict[str, Floats] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Build the axes.

        Raises:
            NotComputable: Too many antibiotics or allocations.
        """
        k = len(self.problem.antibiotics)
        if k > _DIMENSIONS:
            raise NotComputable(f"the dynamic programme takes at most 3 antibiotics, got {k}")
        plan = allocations(self.problem)
        axes = tuple(build_axis(self.problem, plan.choices, j) for j in range(k))
        object.__setattr__(self, "plan", plan)
        object.__setattr__(self, "axes", axes)

    # ----------------------------------------------------------------------------- how large it is

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of the three axes, an absent antibiotic first."""
        sizes = [len(axis.positions) for axis in self.axes]
        return (1,) * (_DIMENSIONS - len(sizes)) + tuple(sizes)

    @property
    def cells(self) -> int:
        """Cells in all."""
        return math.prod(self.shape)

    @property
    def work(self) -> float:
        """Cells x (choices + allocations) x steps."""
        return size_of_work(self.problem, self.cells, len(self.plan.choices), len(self.plan.worth))

    @cached_property
    def every(self) -> int:
        """Steps between two kept value functions."""
        if self.cells * 8 * self.problem.num_steps <= 64 * 1024**2:
            return 1
        return max(1, math.isqrt(self.problem.num_steps))

    @property
    def memory(self) -> int:
        """Bytes at most: two boxes, those kept, and one segment between two of them."""
        kept = math.ceil(self.problem.num_steps / self.every) + 4
        segment = self.every if self.every > 1 else 0
        return 8 * self.cells * (kept + segment)

    def __str__(self) -> str:
        cells = " x ".join(str(len(axis.positions)) for axis in self.axes)
        return (
            f"{cells} cells, {len(self.plan.choices)} choices, {len(self.plan.worth)} allocations,"
            f" {self.problem.num_steps} steps: {self.work:.1e} updates,"
            f" at most {self.memory / 1024**2:.0f} MiB"
        )

    # ------------------------------------------------------------------------------------- tables

    @cached_property
    def _tables(self) -> Any:
        """The axes as the compiled steps take them."""
        c = len(self.plan.choices)
        absent = _DIMENSIONS - len(self.axes)
        following = [np.zeros((c, 1), np.int32)] * absent + [a.following for a in self.axes]
        level = [np.zeros(1)] * absent + [a.level for a in self.axes]
        cost = [np.zeros((c, 1))] * absent + [a.cost for a in self.axes]
        return (*following, *level, *cost)

    @cached_property
    def _ways(self) -> Any:
        absent = _DIMENSIONS - len(self.axes)
        slopes = np.pad(self.plan.slopes, ((0, 0), (absent, 0)))
        plan = self.plan
        return plan.begins, plan.chances, plan.choice_of, plan.worth, np.ascontiguousarray(slopes)

    @cached_property
    def _straight(self) -> Any:
        """Per choice of the last axis a shift and where it holds, (C, 3)."""
        following = self.axes[-1].following.astype(np.int64)
        cells = np.arange(following.shape[1])
        found = np.zeros((len(following), 3), dtype=np.int64)
        for c, row in enumerate(following - cells):
            common, number = np.unique(row, return_counts=True)
            shift = common[number.argmax()]
            holds = np.flatnonzero(row == shift)
            if len(holds) == holds[-1] - holds[0] + 1:
                found[c] = shift, holds[0], holds[-1] + 1
        return found

    @cached_property
    def community(self) -> tuple[Floats, ...]:
        """What the levels of each axis add to the reward when they are reported, (n,)."""
        problem = self.problem
        weight = -problem.lambda_weight * problem.community_share
        absent = _DIMENSIONS - len(self.axes)
        found = [np.zeros(1)] * absent
        return (*found, *(weight * problem.reported(axis.level) for axis in self.axes))

    @property
    def community_at_reset(self) -> float:
        """What the report made at the reset is worth in the steps before the next one."""
        problem = self.problem
        seen = min(problem.update_every - 1, problem.num_steps)
        total = float(problem.reported(problem.level(problem.initial)).sum())
        return -problem.lambda_weight * problem.community_share * seen * total

    def limits(self, step: int) -> Ints:
        """Return how many cells of each axis can be reached within `step` steps."""
        sizes = [min(len(axis.positions), axis.start + step * axis.rise + 2) for axis in self.axes]
        return np.array([1] * (_DIMENSIONS - len(sizes)) + sizes, dtype=np.int64)

    # ---------------------------------------------------------------------------------- backwards

    def ahead_of(self, box: Box, weight: float, gamma: float) -> Floats:
        """Return gamma * value + reported AMR of the cells of a box."""
        if gamma == 1 and (weight == 0 or self.problem.lambda_weight == 0):
            return box.values
        ahead = box.values * gamma
        if weight and self.problem.lambda_weight:
            i, j, k = (
                part[low : low + size]
                for part, low, size in zip(self.community, box.low, ahead.shape, strict=True)
            )
            ahead += weight * (i[:, None, None] + j[None, :, None] + k[None, None, :])
        return ahead

    def back(
        self, box: Box, *, low: Ints, high: Ints, weight: float = 1.0, gamma: float = 1.0
    ) -> Box:
        """Return the values one step earlier in the box of cells from `low` to `high`."""
        out = np.empty(tuple(high - low))
        ahead = self.ahead_of(box, weight, gamma)
        arrays: Any = (*self._tables, *self._ways, self._straight, ahead, box.low)
        axis = 0 if out.shape[0] > 1 else 1

        def rows(first: int, last: int) -> None:
            """Write the values of some rows of the first axis that has several."""
            begin = low.copy()
            begin[axis] += first
            part = out[first:last] if axis == 0 else out[:, first:last]
            everything: Any = (*arrays, begin, part)
            stage(*everything)

        if out.size * len(self.plan.worth) < _WORTH_SHARING:
            rows(0, out.shape[axis])
        else:
            share_rows(out.shape[axis], rows)
        return Box(low=low, values=out)

    def follow(self, judged: Floats, value: Box, *, weight: float = 1.0) -> Box:
        """Return the values one step earlier of the policy that judges cells by `judged`."""
        out = np.empty(self.shape)
        ahead = self.ahead_of(value, weight, 1.0)
        arrays: Any = (*self._tables, *self._ways, judged, ahead, out)
        follow(*arrays)
        return Box(low=np.zeros(3, np.int64), values=out)

    def discounted(self, gamma: float, on_progress: OnProgress | None = None) -> Floats:
        """Return the endless discounted values of the cells, for patients of one type.

        Howard's policy iteration: without chance a policy is a chain of cells. It begins with the
        values of the discount factor that was asked for before.
        """
        leads_to, reward = np.empty(self.cells, np.int64), np.empty(self.cells)
        value, is_of_policy = self._warm.get("value", np.zeros(self.shape)), False
        arrays: Any = (*self._tables, *self._ways[2:], *self.community)
        for _ in rounds(on_progress, "round"):
            now: Any = (*arrays, value, gamma, leads_to, reward)
            gain = improve(*now)
            if is_of_policy and gain <= 1e-10:
                break
            value = _endless(leads_to, reward, gamma).reshape(self.shape)
            is_of_policy = True
        self._warm["value"] = value
        return value

    def solve(self, on_progress: OnProgress | None = None, *, gamma: float = 1.0) -> Solution:
        """Return the optimum over the whole episode.

        Args:
            on_progress: Told how many steps, from the last one backwards, are done.
            gamma: Discount factor of a step.

        Raises:
            NotComputable: It takes more memory or time than allowed.
        """
        if self.memory > MEMORY_LIMIT:
            raise NotComputable(f"the dynamic programme takes more than 2 GiB ({self})")
        zero = np.zeros(3, np.int64)
        steps = self.problem.num_steps
        box = Box(low=zero, values=np.zeros(tuple(self.limits(steps))))
        kept = {steps: box}
        for step in counting(on_progress, "step", range(steps - 1, -1, -1)):
            weight = self.problem.report_weight(step + 1)
            high = self.limits(step)
            box = self.back(box, low=zero, high=high, weight=weight, gamma=gamma)
            if step % self.every == 0:
                kept[step] = box
        start = tuple(np.array(self.start))
        value = float(box.values[start]) + self.community_at_reset
        return Solution(self, kept, value, gamma)

    @property
    def start(self) -> tuple[int, ...]:
        """The cell at the start of an episode."""
        return (0,) * (_DIMENSIONS - len(self.axes)) + tuple(axis.start for axis in self.axes)

    def cells_of(self, pressure: ArrayLike) -> Ints:
        """Return the cells of pressures (E, K), rounded down, capped at the last, (E, 3)."""
        p = np.atleast_2d(np.asarray(pressure, dtype=np.float64))
        found = np.zeros((len(p), _DIMENSIONS), dtype=np.int64)
        absent = _DIMENSIONS - len(self.axes)
        for j, axis in enumerate(self.axes):
            after = np.searchsorted(axis.positions, p[:, j] + 1e-7, side="right")
            found[:, absent + j] = after - 1
        return found

    def choice_values(self, ahead: Floats, low: Ints, cells: Ints) -> Floats:
        """Return the value of what comes after each choice, less its price, (E, C)."""
        following, cost = self._tables[0:3], self._tables[6:9]
        at = [f[:, cells[:, d]] - low[d] for d, f in enumerate(following)]
        paid = sum(c[:, cells[:, d]] for d, c in enumerate(cost))
        values: Floats = (ahead[at[0], at[1], at[2]] - paid).T
        return values


def _endless(leads_to: Ints, reward: Floats, gamma: float) -> Floats:
    """Return the discounted value of following `leads_to` for ever, (n,), by doubling steps."""
    value, ahead, factor = reward, leads_to, gamma
    while factor > 1e-15:
        value, ahead = lengthen(value, ahead, factor)
        factor *= factor
    return value


def size_of_work(problem: Problem, cells: int, choices: int, ways: int) -> float:
    """Return how many numbers are compared in the whole programme."""
    return float(cells) * (choices + ways) * problem.num_steps


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved programme.

    Attributes:
        programme: What was solved.
        kept: Step -> values of the cells with that many steps made.
        value: Expected return of the whole episode, discounted by `gamma`.
        gamma: Discount factor of a step.
    """

    programme: Programme
    kept: dict[int, Box]
    value: float
    gamma: float = 1.0
    _segments: dict[int, tuple[Ints, Ints, dict[int, Box]]] = field(default_factory=dict)

    def choice_values(self, step: int, pressure: ArrayLike) -> Floats:
        """Return what each choice leads to, its price taken off, (E, C).

        Args:
            step: Steps made in the episode before this one.
            pressure: Latent pressures before the step, (E, K).
        """
        programme = self.programme
        cells = programme.cells_of(pressure)
        box = self._values_after(step, cells)
        weight = programme.problem.report_weight(step + 1)
        ahead = programme.ahead_of(box, weight, self.gamma)
        return programme.choice_values(ahead, box.low, cells)

    def _values_after(self, step: int, cells: Ints) -> Box:
        """Return the values with step + 1 steps made, around what is reached from the cells."""
        if step + 1 in self.kept:
            return self.kept[step + 1]
        programme = self.programme
        first = step - step % programme.every
        low, high = cells.min(axis=0), cells.max(axis=0) + 1
        known = self._segments.get(first)
        if known is None or (low < known[0][step]).any() or (high > known[1][step]).any():
            known = self._segment(step, low, high)
            self._segments.clear()
            self._segments[first] = known
        return known[2][step + 1]

    def _segment(self, step: int, low: Ints, high: Ints) -> tuple[Ints, Ints, dict[int, Box]]:
        """Return bounds by step, and values, of the segment in what is reached from `step` on."""
        programme = self.programme
        absent = _DIMENSIONS - len(programme.axes)
        rises = np.array([0] * absent + [axis.rise for axis in programme.axes])
        falls = np.array(
            [0] * absent
            + [
                int((np.arange(len(a.positions)) - a.following.min(axis=0)).max())
                for a in programme.axes
            ]
        )
        last = min(step - step % programme.every + programme.every, programme.problem.num_steps)
        lows = np.zeros((programme.problem.num_steps + 1, 3), dtype=np.int64)
        highs = np.zeros_like(lows)
        lows[step], highs[step] = low, high
        for t in range(step + 1, last + 1):
            lows[t] = np.maximum(lows[t - 1] - falls, 0)
            highs[t] = np.minimum(highs[t - 1] + rises, programme.limits(t))
        boxes: dict[int, Box] = {last: self.kept[last]}
        for t in range(last - 1, step, -1):
            weight = programme.problem.report_weight(t + 1)
            boxes[t] = programme.back(
                boxes[t + 1], low=lows[t], high=highs[t], weight=weight, gamma=self.gamma
            )
        return lows, highs, boxes


def fits(problem: Problem) -> bool:
    """Return whether memory and time allow the lattice."""
    plan = allocations(problem)
    cells = 1
    for j in range(len(problem.antibiotics)):
        spacing = float(natural_spacing(problem, plan.choices, j))
        cells *= math.ceil(highest_pressure(problem, plan.choices, j)[0] / spacing) + 1
    kept = 2 * math.isqrt(problem.num_steps) + 5
    work = size_of_work(problem, cells, len(plan.choices), len(plan.worth))
    return 8 * cells * kept <= MEMORY_LIMIT and work <= WORK_LIMIT
