"""Where values are kept between which they are interpolated: the nodes of each antibiotic.

Shapes: K antibiotics, C choices, n nodes of an axis. Close to zero, where an optimal clinic lives,
the nodes are the very pressures that occur (the lattice of doses and leaks), so that nothing is
interpolated; their distance then grows as pressure^0.6, up to where nothing changes any more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.lattice import natural_spacing
from abx_amr.planning.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SMALLEST_STEP = 0.04  # a finer lattice is not met by nodes
_GROWTH = 0.6
_FIRST_CELL = 0.1  # where nodes do not meet the lattice: width of a cell at this pressure
_USELESS = 0.9995  # a level above which no antibiotic helps enough to count


@dataclass(frozen=True, kw_only=True, eq=False)
class Nodes:
    """The nodes of one antibiotic.

    Attributes:
        positions: Pressures in ascending order, (n,).
        level: Their AMR levels, (n,).
        interpolates: 1 for a cell in which pressures that occur lie between the nodes, (n - 1,).
        cell: Node below the pressure after each choice, (C, n).
        part: How far that pressure is on the way to the next node, (C, n).
        cost: Expected price of the marginal effect of the last dose, (C, n).
    """

    positions: Floats
    level: Floats
    interpolates: Floats
    cell: NDArray[np.int32]
    part: Floats
    cost: Floats


def highest(problem: Problem, doses: Floats, j: int, useful_level: float) -> float:
    """Return the pressure of antibiotic j above which nothing can change in an episode.

    What lies above cannot come back within the episode to where the antibiotic is of use.
    """
    rise = float(doses[:, j].max() - problem.leak[j])
    initial = float(problem.initial[j])
    reachable = initial + problem.num_steps * max(0.0, rise)
    residual, flatness = float(problem.residual[j]), float(problem.flatness[j])
    level = min(useful_level, _USELESS)
    share = max(0.0, (level - residual) / (1 - residual))
    useful = 2 * flatness * math.atanh(min(share, _USELESS))
    enough = max(useful, initial) + float(problem.leak[j]) * problem.num_steps + 1.0
    if problem.lambda_weight > 0:
        enough = max(enough, 2 * flatness * math.atanh(_USELESS))
    return max(min(reachable, enough), 1.0)


def build_nodes(
    problem: Problem, choices: Ints, j: int, *, number: int, useful_level: float
) -> Nodes:
    """Return about `number` nodes of antibiotic j and where each choice leads between them."""
    doses = choices @ problem.cross
    most = highest(problem, doses, j, useful_level)
    step = float(natural_spacing(problem, choices, j))
    start = float(problem.initial[j])
    meets = step >= _SMALLEST_STEP and abs(start / step - round(start / step)) < 1e-9
    positions = _graded(most, step if meets else 0.0, number)
    level = problem.residual[j] + (1 - problem.residual[j]) * np.tanh(
        positions / (2 * problem.flatness[j])
    )
    after = np.maximum(0.0, positions[None] + doses[:, j][:, None] - problem.leak[j])
    after = np.minimum(after, positions[-1])
    cell = np.clip(
        np.searchsorted(positions, after + 1e-9, side="right") - 1, 0, len(positions) - 2
    )
    part = (after - positions[cell]) / np.diff(positions)[cell]
    part[np.abs(part) < 1e-9] = 0.0
    widths = np.diff(positions)
    return Nodes(
        positions=positions,
        level=level,
        interpolates=np.where(widths > step * 1.001, 1.0, 0.0) if meets else np.ones(len(widths)),
        cell=cell.astype(np.int32),
        part=part,
        cost=_costs(problem, choices, doses, j, positions),
    )


def _graded(most: float, step: float, number: int) -> Floats:
    """Return nodes from 0 to `most`, multiples of `step` where that is not 0."""

    def nodes(growth: float) -> list[float]:
        found = [0.0]
        while found[-1] < most:
            p = found[-1]
            if step:
                width = step * max(1, round(growth * max(p, step) ** _GROWTH / step))
            else:
                width = growth * max(p, _FIRST_CELL) ** _GROWTH
            found.append(p + width)
            if len(found) > 20 * number:
                break
        return found

    low, high = 1e-3, 100.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        if len(nodes(middle)) > number:
            low = middle
        else:
            high = middle
    return np.array(nodes(high))


def _costs(problem: Problem, choices: Ints, doses: Floats, j: int, positions: Floats) -> Floats:
    """Return the price of the marginal effects (simulator.md, section 2), seen exactly, (C, n)."""
    costs = np.zeros((len(choices), len(positions)))
    if problem.epsilon == 0 or not problem.sees_amr:
        return costs  # where reports decide, it is counted when it is played
    leak, residual = float(problem.leak[j]), float(problem.residual[j])

    def level(p: Floats) -> Floats:
        found: Floats = residual + (1 - residual) * np.tanh(
            np.maximum(0.0, p) / (2 * float(problem.flatness[j]))
        )
        return found

    weight = (1 - problem.lambda_weight) * problem.epsilon / problem.num_patients
    for c, dose in enumerate(doses[:, j]):
        if choices[c, j]:
            after = np.maximum(0.0, positions + dose - leak)
            delta = level(after + dose - leak) - level(after + dose - 1 - leak)
            costs[c] = weight * choices[c, j] * delta
    return costs
