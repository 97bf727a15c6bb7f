"""The pressures that can occur: a lattice per antibiotic, and where each choice leads on it.

Shapes: K antibiotics, C choices (how many patients get each antibiotic), n cells of an axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """The pressures of one antibiotic.

    Attributes:
        positions: Pressures in ascending order, (n,).
        level: Their AMR levels, (n,).
        following: Index of the pressure after each choice, the last one where it is higher, (C, n).
        cost: Expected price of the marginal effect of the last dose, (C, n).
        rise: Highest rise in one step, in cells.
        start: Index of the pressure at the start of an episode.
    """

    positions: Floats
    level: Floats
    following: NDArray[np.int32]
    cost: Floats
    rise: int
    start: int


def counts(num_patients: int, num_antibiotics: int) -> Ints:
    """Return every way to give antibiotics to some of the patients, (C, K); the first: nobody.

    >>> counts(1, 2).tolist()
    [[0, 0], [0, 1], [1, 0]]
    """

    def ways(left: int, places: int) -> Iterator[tuple[int, ...]]:
        if places == 0:
            yield ()
            return
        for first in range(left + 1):
            for rest in ways(left - first, places - 1):
                yield (first, *rest)

    return np.array(list(ways(num_patients, num_antibiotics)), dtype=np.int64)


def exact(value: float) -> Fraction:
    """Return the decimal number that the user wrote.

    >>> exact(0.3) * 10
    Fraction(3, 1)
    """
    return Fraction(repr(float(value)))


def spacing(values: Sequence[Fraction]) -> Fraction:
    """Return the largest number of which all are whole multiples.

    >>> spacing([Fraction(1), Fraction(3, 10), Fraction(1, 5)])
    Fraction(1, 10)
    """
    denominator = math.lcm(*(v.denominator for v in values))
    return Fraction(math.gcd(*(int(v * denominator) for v in values)), denominator)


def doses(problem: Problem, choices: Ints, j: int) -> list[Fraction]:
    """Return the effective dose of antibiotic j after each choice, (C,)."""
    shares = [exact(x) for x in problem.cross[:, j]]
    return [
        sum((int(c) * s for c, s in zip(row, shares, strict=True)), Fraction()) for row in choices
    ]


def useful_pressure(problem: Problem, j: int) -> float:
    """Return the pressure above which nobody gains from antibiotic j; inf where all always do."""
    slope = np.maximum(problem.slope, 1e-300)
    level = float(np.max((problem.gain + problem.harm[j]) / slope))
    residual, flatness = float(problem.residual[j]), float(problem.flatness[j])
    if level >= 1:
        return math.inf
    share = max(0.0, (level - residual) / (1 - residual))
    return 2 * flatness * math.atanh(share)


def natural_spacing(problem: Problem, choices: Ints, j: int) -> Fraction:
    """Return the spacing at which every pressure of antibiotic j is met exactly."""
    parts = [d for d in doses(problem, choices, j) if d > 0]
    return spacing([*parts, exact(problem.leak[j])])


def highest_pressure(problem: Problem, choices: Ints, j: int) -> tuple[float, bool]:
    """Return the highest pressure worth a cell, and whether higher ones can occur."""
    most = float(max(doses(problem, choices, j)))
    reachable = float(problem.initial[j]) + problem.num_steps * max(0.0, most - problem.leak[j])
    enough = max(useful_pressure(problem, j), float(problem.initial[j])) + most
    if (problem.cross[:, j] > 0).sum() > 1:
        enough += 2 * most  # others' doses reach it where its own are no longer of use
    return (enough, True) if enough < reachable else (reachable, False)


def build_axis(problem: Problem, choices: Ints, j: int) -> Axis:
    """Return the lattice of antibiotic j, on which every pressure up to the last cell is met."""
    given = doses(problem, choices, j)
    step = natural_spacing(problem, choices, j)
    leak = exact(problem.leak[j])
    shifts = np.array([int((dose - leak) / step) for dose in given], dtype=np.int64)
    width = float(step)
    highest, _ = highest_pressure(problem, choices, j)
    cells = math.ceil(highest / width - 1e-9) + 1
    start = float(problem.initial[j]) / width
    offset = start - math.floor(start + 1e-9)
    k = np.arange(cells)
    moved = k[None, :] + shifts[:, None]
    if abs(offset) < 1e-9:
        positions = np.asarray(k * width, dtype=np.float64)
        following = np.maximum(moved, 0)
        begin, rise = round(start), int(max(shifts.max(), 0))
    else:
        # two interleaved lattices: multiples of the step, and those seen from the start until 0
        positions = np.stack([k * width, (k + offset) * width], axis=1).ravel()
        pair = [2 * np.maximum(moved, 0), np.where(moved >= 0, 2 * moved + 1, 0)]
        following = np.stack(pair, axis=2).reshape(len(choices), -1)
        begin, rise = 2 * math.floor(start) + 1, 2 * int(max(shifts.max(), 0))
    level = problem.residual[j] + (1 - problem.residual[j]) * np.tanh(
        positions / (2 * problem.flatness[j])
    )
    return Axis(
        positions=positions,
        level=level,
        following=np.minimum(following, len(positions) - 1).astype(np.int32),
        cost=_dose_costs(problem, choices, j, positions, given),
        rise=rise,
        start=begin,
    )


def _dose_costs(
    problem: Problem, choices: Ints, j: int, positions: Floats, given: Sequence[Fraction]
) -> Floats:
    """Return the price of the marginal effects (simulator.md, section 2), seen exactly, (C, n)."""
    costs = np.zeros((len(choices), len(positions)))
    if problem.epsilon == 0:
        return costs
    leak, scale = float(problem.leak[j]), 2 * float(problem.flatness[j])
    residual = float(problem.residual[j])

    def level(p: Floats) -> Floats:
        found: Floats = residual + (1 - residual) * np.tanh(np.maximum(0.0, p) / scale)
        return found

    weight = (1 - problem.lambda_weight) * problem.epsilon / problem.num_patients
    for c, dose in enumerate(given):
        if choices[c, j]:
            after = np.maximum(0.0, positions + float(dose) - leak)
            delta = level(after + float(dose) - leak) - level(after + float(dose) - 1 - leak)
            costs[c] = weight * choices[c, j] * delta
    return costs
