"""The optimal policy as a prescriber that any evaluation can play; it knows the parameters.

Shapes: N observations, P patients, K antibiotics, G types of patients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.rules import Rule
from abx_amr.planning.lattice import counts
from abx_amr.planning.play import best_actions, best_counts, next_pressure
from abx_amr.planning.problem import NotComputable, Problem, pose
from abx_amr.planning.programme import Programme, Solution, fitting
from abx_amr.planning.progress import OnProgress, within
from abx_amr.simulator.clinic import ClinicModel
from abx_amr.simulator.observation import Decoded

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SOLVED: dict[str, Solution] = {}  # the last solution: large, and often asked for twice


@dataclass(frozen=True, kw_only=True)
class OptimalState:
    """What the policy carries: steps made in each episode (N,) and latent pressures (N, K)."""

    step: Ints
    pressure: Floats


class Optimal(Rule):
    """The optimal policy of the dynamic programme. It knows the parameters of the clinic.

    Of AMR it reads nothing: it carries the latent pressures, which follow from its own actions. Of
    patients it takes what is observed for the type that looks most alike.
    """

    knows_the_parameters = True
    #: Told how far solving and playing are.
    on_progress: OnProgress | None = None

    def __init__(self, model: ClinicModel) -> None:
        """Take the clinic; it is solved at the first call.

        Raises:
            NotComputable: The clinic's optimum cannot be computed.
        """
        super().__init__(model)
        self.problem = pose(model).problem
        if self.problem.epsilon > 0 and not self.problem.sees_amr:
            self.problem = replace(self.problem, epsilon=0.0)

    def prescribe(
        self, seen: Decoded, state: OptimalState | None, begins: NDArray[np.bool_]
    ) -> tuple[Ints, OptimalState]:
        """Return the optimal treatments and the pressures that follow from them."""
        problem = self.problem
        rows = len(begins)
        if state is None:
            begins = np.ones(rows, dtype=bool)
            state = OptimalState(
                step=np.zeros(rows, np.int64), pressure=np.tile(problem.initial, (rows, 1))
            )
        step = np.where(begins, 0, state.step)
        pressure = np.where(begins[:, None], problem.initial, state.pressure)
        types = self._types(seen)
        actions = np.empty((rows, self.num_patients), dtype=np.int64)
        solution = _solution(problem, within(self.on_progress, "optimal policy"))
        for one in np.unique(step):
            at = np.flatnonzero(step == one)
            values = solution.choice_values(int(one) % problem.num_steps, pressure[at])
            actions[at] = self._best(values, problem.level(pressure[at]), types[at], seen, at)
        if self.on_progress is not None:
            made = int(step.max()) % problem.num_steps + 1
            self.on_progress("optimal policy played: step", made, problem.num_steps)
        given = np.stack([(actions == j).sum(axis=1) for j in range(self.no_treatment)], axis=1)
        return actions, OptimalState(
            step=step + 1, pressure=next_pressure(problem, pressure, given)
        )

    def _best(self, values: Floats, level: Floats, types: Ints, seen: Decoded, at: Ints) -> Ints:
        problem = self.problem
        if problem.is_homogeneous and len(problem.antibiotics) > 1:
            choices = counts(self.num_patients, len(problem.antibiotics))
            given = best_counts(problem, choices, values, level)
            bounds = given.cumsum(axis=1)
            patient = np.arange(self.num_patients)
            actions: Ints = (patient[None, :, None] >= bounds[:, None, :]).sum(axis=2)
            return actions
        gain, slope = problem.gain[types], problem.slope[types]
        if problem.varying >= 0:
            values_seen = self._observed(seen)[at][:, :, problem.varying]
            points = problem.seen[:, problem.varying]
            order = points.argsort()
            gain = _line(values_seen, points[order], problem.gain[order])
            slope = _line(values_seen, points[order], problem.slope[order])
        return best_actions(problem, values, level, gain, slope)

    def _observed(self, seen: Decoded) -> Floats:
        """Return what is observed of the patients, (N, P, V)."""
        columns = [seen.attributes[name] for name in self.model.layout.attributes]
        return np.stack(columns, axis=-1).astype(np.float64)

    def _types(self, seen: Decoded) -> Ints:
        """Return the type that looks most alike, of each patient, (N, P)."""
        if self.problem.is_homogeneous:
            return np.zeros((len(seen.visible_amr), self.num_patients), dtype=np.int64)
        distance = np.abs(self._observed(seen)[:, :, None, :] - self.problem.seen).sum(axis=3)
        nearest: Ints = distance.argmin(axis=2)
        return nearest


def _line(at: Floats, points: Floats, values: Floats) -> Floats:
    """Return the line through the outermost points at `at`: gains are linear in one attribute."""
    rise = (values[-1] - values[0]) / (points[-1] - points[0])
    line: Floats = values[0] + (at - points[0]) * rise
    return line


def _solution(problem: Problem, on_progress: OnProgress | None) -> Solution:
    """Return the solved programme, the last one from memory."""
    name = problem.fingerprint
    if name not in _SOLVED:
        factors = fitting(problem)
        if max(factors) > 1 and len(problem.antibiotics) > 2:
            raise NotComputable("the optimal policy of three antibiotics is too large to be played")
        solution = Programme(problem, factors).solve(on_progress)
        _SOLVED.clear()
        _SOLVED[name] = solution
    return _SOLVED[name]
