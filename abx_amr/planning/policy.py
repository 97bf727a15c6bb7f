"""The optimal policy as a prescriber that any evaluation can play; it knows the parameters.

Shapes: N observations, P patients, K antibiotics, G types of patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.rules import Rule
from abx_amr.planning.lattice import counts
from abx_amr.planning.play import best_actions, best_counts, next_pressure
from abx_amr.planning.problem import NotComputable, Problem
from abx_amr.planning.programme import Programme, Solution
from abx_amr.planning.progress import OnProgress, within
from abx_amr.planning.rollouts import best_treatments
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.views import SampledView, values_of, view
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import Decoded
from abx_amr.simulator.patients import ATTRIBUTES, PADDING

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
    patients it takes what is observed: on the lattice for the type that looks most alike, else for
    what can be expected of those who look alike.
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
        self.posed = view(model)
        if len(model.antibiotics) > MOST_ANTIBIOTICS:
            raise NotComputable("the optimal policy is played with at most 3 antibiotics")

    @property
    def problem(self) -> Problem:
        """The laws that it goes by."""
        return self.posed.problem

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
        actions = np.empty((rows, self.num_patients), dtype=np.int64)
        told = within(self.on_progress, "optimal policy")
        for one in np.unique(step):
            at = np.flatnonzero(step == one)
            now = int(one) % problem.num_steps
            after = None
            if not isinstance(self.posed, SampledView):
                after = self.solution(told).choice_values(now, pressure[at])
            attributes = {name: values[at] for name, values in seen.attributes.items()}
            gain, slope = self.expected_worth(attributes, len(at))
            actions[at] = self.best_of(now, pressure[at], after, gain, slope, on_progress=told)
        if self.on_progress is not None:
            made = int(step.max()) % problem.num_steps + 1
            self.on_progress("optimal policy played: step", made, problem.num_steps)
        given = np.stack([(actions == j).sum(axis=1) for j in range(self.no_treatment)], axis=1)
        return actions, OptimalState(
            step=step + 1, pressure=next_pressure(problem, pressure, given)
        )

    def expected_worth(self, seen: Mapping[str, Any], rows: int) -> tuple[Floats, Floats]:
        """Return gain and slope, (N, P, 1 or K), expected of patients as they are observed.

        Args:
            seen: Attribute -> what is observed of it, (N, P).
            rows: N.
        """
        if isinstance(self.posed, SampledView):
            observed = np.full((rows, self.num_patients, len(ATTRIBUTES)), PADDING)
            for name, values in seen.items():
                observed[:, :, ATTRIBUTES.index(name)] = values
            gain, slope = self.posed.clinic.beliefs.worth(observed.reshape(-1, len(ATTRIBUTES)))
            shape = (*observed.shape[:2], -1)
            return gain.reshape(shape), slope.reshape(shape)
        types = self._types(seen, rows)
        return self.problem.gain[types][:, :, None], self.problem.slope[types][:, :, None]

    def best_of(
        self,
        step: int,
        pressure: Floats,
        after: Floats | None,
        gain: Floats,
        slope: Floats,
        *,
        on_progress: OnProgress | None = None,
    ) -> Ints:
        """Return the best treatment of each patient, (N, P).

        Args:
            step: Steps made in the episode.
            pressure: Latent pressures, (N, K).
            after: What comes after each choice, (N, C); not needed where values are interpolated.
            gain: Expected of the patients, (N, P, 1 or K).
            slope: Likewise.
            on_progress: Told how far solving is.
        """
        if isinstance(self.posed, SampledView):
            return best_treatments(values_of(self.posed, on_progress), step, pressure, gain, slope)
        assert after is not None
        problem, level = self.problem, self.problem.level(pressure)
        if problem.is_homogeneous and len(problem.antibiotics) > 1:
            choices = counts(self.num_patients, len(problem.antibiotics))
            given = best_counts(problem, choices, after, level)
            bounds = given.cumsum(axis=1)
            patient = np.arange(self.num_patients)
            actions: Ints = (patient[None, :, None] >= bounds[:, None, :]).sum(axis=2)
            return actions
        return best_actions(problem, after, level, gain[:, :, 0], slope[:, :, 0])

    def solution(self, on_progress: OnProgress | None = None) -> Solution:
        """Return the solved programme, where the lattice holds the clinic."""
        return _solution(self.problem, on_progress)

    def _types(self, seen: Mapping[str, Any], rows: int) -> Ints:
        """Return the type that looks most alike, of each patient, (N, P)."""
        if self.problem.is_homogeneous:
            return np.zeros((rows, self.num_patients), dtype=np.int64)
        columns = [seen[name] for name in self.model.layout.attributes]
        observed = np.stack(columns, axis=-1).astype(np.float64)
        distance = np.abs(observed[:, :, None, :] - self.problem.seen).sum(axis=3)
        nearest: Ints = distance.argmin(axis=2)
        return nearest


def _solution(problem: Problem, on_progress: OnProgress | None) -> Solution:
    """Return the solved programme, the last one from memory."""
    name = problem.fingerprint
    if name not in _SOLVED:
        solution = Programme(problem).solve(on_progress)
        _SOLVED.clear()
        _SOLVED[name] = solution
    return _SOLVED[name]
