"""A step's parts done by a model's components, through the batched methods of their Protocols.

Shapes: E environments, P patients, K antibiotics.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.draws import Draws
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.cohorts import draw_uniform_rows
from abx_amr.simulator.kernel.layout import cohort_views
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.rewards import Score, TreatedCohort

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Streams = NDArray[np.uint64]


class ComponentSteps:
    """What `kernel.step` asks of components.

    Attributes:
        resistance_state: The resistance model's state, (E, ...).
        last_score: That of the step just made; None where it is not known.
    """

    def __init__(self, model: ClinicModel, num_envs: int) -> None:
        self._model = model
        self.resistance_state: Floats = np.zeros((num_envs, 0))
        self.last_score: Score | None = None

    def start_resistance(self, state: Floats) -> None:
        """Write the levels at the start of an episode to the batch's state."""
        self.resistance_state = self._model.dynamics.initial_state(len(state))
        state[:, layout.LEVEL] = self._model.dynamics.level(self.resistance_state)

    def step_resistance(self, state: Floats, doses: Floats) -> None:
        """Write the levels after the doses (E, K), and those before."""
        dynamics = self._model.dynamics
        self.resistance_state = dynamics.step(self.resistance_state, doses)
        state[:, layout.BEFORE] = state[:, layout.LEVEL]
        state[:, layout.LEVEL] = dynamics.level(self.resistance_state)

    def find_deltas(self, state: Floats, doses: Floats, delta: Floats) -> None:
        """Write the marginal effects of the last dose to delta (E, K), if the reward reads them."""
        if self._model.reward.needs_delta:
            delta[:] = self._model.dynamics.delta(state[:, layout.VISIBLE].copy(), doses)

    def sample_cohorts(self, rows: Streams, patients: Floats, observed: Floats) -> None:
        """Draw patients (E, P, 8 + K+4), and what is observed of them (E, P, 6)."""
        drawn = self._model.population.sample(Draws(rows), patients.shape[1])
        columns = cohort_views(patients)
        columns.attributes[:] = drawn.attributes
        columns.group[:] = drawn.group
        draw_uniform_rows(rows, patients)
        observed[:] = drawn.observed

    def score(self, state: Floats, patients: Floats, delta: Floats, reward: Floats) -> None:
        """Write the rewards (E,) of the patients just treated."""
        self.last_score = self.score_of(state, patients, delta)
        reward[:] = self.last_score.reward

    def score_of(self, state: Floats, patients: Floats, delta: Floats) -> Score:
        """Return the score of the patients just treated, with the marginal effects (E, K)."""
        columns = cohort_views(patients)
        infected, sensitive = infections(patients, state[:, layout.BEFORE])
        return self._model.reward.score(
            TreatedCohort(
                actions=columns.action.astype(np.int64),
                attributes=columns.attributes.copy(),
                infected=infected,
                sensitive=sensitive,
                uniforms=columns.chances.copy(),
                visible_amr=state[:, layout.VISIBLE].copy(),
                delta=delta,
            )
        )


def infections(patients: Floats, level: Floats) -> tuple[Bools, Bools]:
    """Return who is infected (E, P) and by what each could be cured (E, P, K).

    Args:
        patients: (E, P, 8 + K+4).
        level: The true level at which the cohort was drawn, (E, K).
    """
    columns = cohort_views(patients)
    infected = columns.infection < patients[..., layout.PROB_INFECTED]
    return infected, columns.sensitivities < 1.0 - level[:, None, :]
