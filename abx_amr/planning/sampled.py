"""The dynamic programme of any population: values over interpolated pressures, cohorts sampled.

Shapes: K antibiotics, T steps, M cohorts, P patients, C choices; values are (n, n, n), an absent
antibiotic has one node.

    V_t(p) = E_cohort[ max over doses d (best allocation of d at the levels of p + V_t+1(p') ) ]

Every step has cohorts of its own, the same at all pressures. Then the expected value of V_0 is not
below the optimum (a maximum of means is not above the mean of maxima), whatever the luck of the
draw; and what interpolation may take away is given back cell by cell (`add_chord_errors`), so that
it is an upper bound there too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.beliefs import Beliefs, beliefs_of
from abx_amr.planning.lattice import counts
from abx_amr.planning.nodes import Nodes, build_nodes
from abx_amr.planning.problem import NotComputable, Problem, laws_of
from abx_amr.planning.progress import OnProgress, counting
from abx_amr.planning.sweep import add_chord_errors, best_values
from abx_amr.planning.threads import share_rows
from abx_amr.planning.worth import linear
from abx_amr.rng import stream
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

MEMORY_LIMIT = 2 * 1024**3
MOST_ANTIBIOTICS = 3
_PILOT = 4096  # patients from whom the range of useful levels is read


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledClinic:
    """A clinic whose patients are known by what can be expected of those who look alike.

    Attributes:
        problem: The clinic with one type of patient, their mean; its laws of pressure are meant.
        beliefs: What an observed patient is expected to gain.
    """

    problem: Problem
    beliefs: Beliefs

    @cached_property
    def choices(self) -> Ints:
        """How many patients get each antibiotic, (C, K)."""
        return counts(self.problem.num_patients, len(self.problem.antibiotics))

    @cached_property
    def fewer(self) -> Ints:
        """The choice with one treatment less of each antibiotic, -1 where there is none, (C, K)."""
        index = {tuple(row): c for c, row in enumerate(self.choices.tolist())}
        found = np.full(self.choices.shape, -1, dtype=np.int64)
        for c, row in enumerate(self.choices.tolist()):
            for a in range(len(row)):
                less = (*row[:a], row[a] - 1, *row[a + 1 :])
                found[c, a] = index.get(less, -1)
        return found

    @cached_property
    def totals(self) -> Ints:
        """How many patients each choice treats, (C,)."""
        found: Ints = self.choices.sum(axis=1)
        return found

    @property
    def weight(self) -> float:
        """What one patient's reward counts in the clinic's."""
        return (1 - self.problem.lambda_weight) / self.problem.num_patients

    @property
    def untreated_return(self) -> float:
        """What the patients of an episode are worth if nobody is treated."""
        problem = self.problem
        return (1 - problem.lambda_weight) * float(problem.untreated[0]) * problem.num_steps

    @property
    def community_at_reset(self) -> float:
        """What the report made at the reset is worth in the steps before the next one."""
        problem = self.problem
        seen = min(problem.update_every - 1, problem.num_steps)
        total = float(problem.reported(problem.level(problem.initial)).sum())
        return -problem.lambda_weight * problem.community_share * seen * total

    @property
    def is_homogeneous(self) -> bool:
        """Whether all patients look alike."""
        return not self.beliefs.draws

    @cached_property
    def useful_levels(self) -> Floats:
        """The AMR level of each antibiotic above which hardly anybody gains from it, (K,)."""
        gain, slope = self.patients(stream(0, "planning", "pilot").random((_PILOT, 13)))
        ratio = (gain + self.problem.harm) / np.maximum(slope, 1e-12)
        found: Floats = np.clip(ratio.max(axis=0), 0.0, 1.0)
        return found

    def patients(self, uniforms: Floats) -> tuple[Floats, Floats]:
        """Return gain and slope, (N, 1 or K), of patients drawn by uniforms (N, 13)."""
        return self.beliefs.worth(self.beliefs.observe(uniforms))

    def treatments(self, gain: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """Return the weighted worth at AMR 0 and what AMR takes from it, (..., K).

        `gain` and `slope` are (..., 1 or K).
        """
        worth = self.weight * (gain + self.problem.harm)
        lost = np.broadcast_to(self.weight * slope, worth.shape)
        return np.ascontiguousarray(worth), np.ascontiguousarray(lost)

    def cohorts(self, rng: np.random.Generator, steps: int, cohorts: int) -> tuple[Floats, Floats]:
        """Return gain and slope, each (steps, cohorts, P, 1 or K), in strata within each step.

        A step's patients share out each of the uniforms that draw them evenly (a Latin hypercube),
        so that their mean is steadier; each cohort for itself is drawn as it should be.
        """
        patients = self.problem.num_patients
        number = cohorts * patients
        uniforms = np.full((steps, number, 13), 0.5)
        for d in self.beliefs.draws:
            strata = rng.permuted(np.tile(np.arange(number), (steps, 1)), axis=1)
            uniforms[:, :, d] = (strata + rng.random((steps, number))) / number
        gain, slope = self.patients(uniforms.reshape(-1, 13))
        shape = (steps, cohorts, patients, -1)
        return gain.reshape(shape), slope.reshape(shape)


def sampled_clinic(model: ClinicModel, *, hide_patients: bool = False) -> SampledClinic:
    """Return a clinic for the sampled programme.

    A price on the marginal effect of a dose is left out of the values where AMR is reported late or
    inexactly: no policy is worth less without it. What it costs is counted when a policy is played.

    Raises:
        NotComputable: A part is not one of the shipped ones, nor a reward that declares its
            expected values.
    """
    beliefs, reward = beliefs_of(model), linear(model.reward)
    gain, slope, untreated = beliefs.mean
    problem = Problem(
        **laws_of(model),
        harm=beliefs.rewarded.harm,
        share=np.ones(1),
        gain=gain[None],
        slope=slope[None],
        untreated=np.array([untreated]),
        seen=np.zeros((1, 0)),
        lambda_weight=float(reward.lambda_weight),
        epsilon=float(reward.epsilon),
    )
    return SampledClinic(problem=problem, beliefs=beliefs.hidden() if hide_patients else beliefs)


@dataclass(frozen=True, kw_only=True, eq=False)
class Values:
    """Values of a grid after each step, to be interpolated.

    Attributes:
        grid: Whose nodes they belong to.
        ahead: Value of the nodes after step t, the report made then included, (T, n, n, n).
        start: Of the whole episode.
        upper: The same with what interpolation may have taken away; None: not asked for.
    """

    grid: Grid
    ahead: Floats32
    start: float
    upper: float | None


@dataclass(frozen=True, eq=False)
class Grid:
    """A clinic on nodes, ready to be swept.

    Attributes:
        clinic: The clinic.
        number: Nodes of an antibiotic, about.
    """

    clinic: SampledClinic
    number: int
    nodes: tuple[Nodes, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Lay the nodes.

        Raises:
            NotComputable: There are too many antibiotics.
        """
        problem = self.clinic.problem
        k = len(problem.antibiotics)
        if k > MOST_ANTIBIOTICS:
            raise NotComputable(f"values are kept for at most 3 antibiotics, got {k}")
        useful = self.clinic.useful_levels
        nodes = tuple(
            build_nodes(
                problem,
                self.clinic.choices,
                j,
                number=self.number,
                useful_level=float(useful[j]),
            )
            for j in range(k)
        )
        object.__setattr__(self, "nodes", nodes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes of the three axes."""
        sizes = [1] * (MOST_ANTIBIOTICS - len(self.nodes)) + [len(n.positions) for n in self.nodes]
        return sizes[0], sizes[1], sizes[2]

    @property
    def memory(self) -> int:
        """Bytes of the values of all steps."""
        return math.prod(self.shape) * (4 * self.clinic.problem.num_steps + 64)

    def work(self, cohorts: int) -> float:
        """Return how many numbers are compared in one sweep with so many cohorts a step."""
        problem = self.clinic.problem
        k, p = len(problem.antibiotics), problem.num_patients
        ways = sum(math.comb(i + k, k) for i in range(1, p + 1)) * k
        per_node = cohorts * (ways + len(self.clinic.choices)) + 6 * len(self.clinic.choices)
        return float(math.prod(self.shape)) * per_node * problem.num_steps

    @cached_property
    def positions(self) -> Floats:
        """The nodes' pressures, (3, n), padded."""
        found = np.zeros((MOST_ANTIBIOTICS, max(self.shape)))
        for axis, nodes in self._axes:
            found[axis, : len(nodes.positions)] = nodes.positions
        return found

    @cached_property
    def sizes(self) -> Ints:
        """Nodes of the three axes, (3,)."""
        return np.array(self.shape, dtype=np.int64)

    @property
    def _axes(self) -> list[tuple[int, Nodes]]:
        absent = MOST_ANTIBIOTICS - len(self.nodes)
        return [(absent + j, nodes) for j, nodes in enumerate(self.nodes)]

    @cached_property
    def _tables(self) -> Any:
        c = len(self.clinic.choices)
        absent = MOST_ANTIBIOTICS - len(self.nodes)
        return (
            *([np.zeros((c, 1), np.int32)] * absent + [n.cell for n in self.nodes]),
            *([np.zeros((c, 1))] * absent + [n.part for n in self.nodes]),
            *([np.zeros(1)] * absent + [n.level for n in self.nodes]),
            *([np.zeros((c, 1))] * absent + [n.cost for n in self.nodes]),
            self.clinic.fewer,
            self.clinic.totals,
        )

    @cached_property
    def community(self) -> Floats:
        """What one report of the levels adds to the reward, (n, n, n)."""
        problem = self.clinic.problem
        weight = -problem.lambda_weight * problem.community_share
        total = np.zeros(self.shape)
        for axis, nodes in self._axes:
            shape = [1, 1, 1]
            shape[axis] = -1
            total += weight * problem.reported(nodes.level).reshape(shape)
        return total

    def chord_errors(self, values: Floats) -> Floats:
        """Return how far the function that values are of may lie above their chords, at most."""
        found = np.zeros(self.shape)
        for axis, nodes in self._axes:
            if nodes.interpolates.any():
                add_chord_errors(values, nodes.positions, nodes.interpolates, axis, found)
        return found

    def back(self, ahead: Floats, gain: Floats, slope: Floats) -> Floats:
        """Return the values one step earlier, what no treatment is worth left out.

        Args:
            ahead: Values after the step, (n, n, n).
            gain: Of the step's cohorts, (M, P, 1 or K).
            slope: Of the step's cohorts, (M, P, 1 or K).
        """
        out = np.empty(self.shape)
        tables = (*self._tables, *self.clinic.treatments(gain, slope), ahead, out)

        def some(first: int, last: int) -> None:
            everything: Any = (first, last, *tables)
            best_values(*everything)

        share_rows(self.shape[0] * self.shape[1], some)
        return out

    def at_start(self, values: Floats) -> float:
        """Return the value at the start of an episode, interpolated."""
        found = values
        for j, nodes in enumerate(self.nodes):
            position = float(self.clinic.problem.initial[j])
            axis = MOST_ANTIBIOTICS - len(self.nodes) + j
            n = int(
                np.clip(
                    np.searchsorted(nodes.positions, position, side="right") - 1,
                    0,
                    len(nodes.positions) - 2,
                )
            )
            part = (position - nodes.positions[n]) / (nodes.positions[n + 1] - nodes.positions[n])
            low, high = (np.take(found, [at], axis=axis) for at in (n, n + 1))
            found = low + part * (high - low)
        return float(found.ravel()[0])


def solve(
    grid: Grid,
    *,
    cohorts: int,
    seed: int,
    bounds: bool = True,
    into: Floats32 | None = None,
    share: float = 1.0,
    gamma: float = 1.0,
    on_progress: OnProgress | None = None,
) -> Values:
    """Return the values of one draw of cohorts.

    Args:
        grid: Where they are kept.
        cohorts: Of each step.
        seed: Names the draw.
        bounds: Whether the upper value is computed too, which takes as long again.
        into: Values (T, n, n, n) to which `share` of these are added; None: new ones.
        share: See `into`.
        gamma: Discount factor of a step, for values without bounds.
        on_progress: Told how many steps, from the last one backwards, are done.

    Raises:
        NotComputable: The values of all steps take more than 2 GiB.
    """
    if grid.memory > MEMORY_LIMIT:
        raise NotComputable("the values of all steps take more than 2 GiB")
    clinic, problem = grid.clinic, grid.clinic.problem
    steps = problem.num_steps
    number = 1 if clinic.is_homogeneous else cohorts
    gain, slope = clinic.cohorts(stream(seed, "planning", "cohorts"), steps, number)
    kept = np.zeros((steps, *grid.shape), np.float32) if into is None else into
    values, upper = np.zeros(grid.shape), np.zeros(grid.shape)
    for step in counting(on_progress, "step", range(steps - 1, -1, -1)):
        report = problem.report_weight(step + 1) * grid.community
        ahead = values * gamma + report
        kept[step] += share * ahead
        values = grid.back(ahead, gain[step], slope[step])
        if bounds:
            # at the last step nothing but the exactly known report lies ahead
            missing = grid.chord_errors(ahead) if step < steps - 1 else 0.0
            upper = grid.back(upper + report + missing, gain[step], slope[step])
    base = clinic.untreated_return + clinic.community_at_reset
    top = grid.at_start(upper + grid.chord_errors(values)) + base if bounds else None
    return Values(grid=grid, ahead=kept, start=grid.at_start(values) + base, upper=top)
