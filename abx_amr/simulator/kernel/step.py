"""One step of a batch of clinics, and the start of its episodes: the order, written once.

The same function is compiled, where all components are the shipped ones (`components` is None), and
interpreted for any others, which then do their parts. Both give the same bits.

Shapes: E environments, P patients, K antibiotics, D observation entries.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.balloon import start_balloons, step_balloons, visible_deltas
from abx_amr.simulator.kernel.cohorts import sample_cohorts
from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.doses import (
    count_prescriptions,
    effective_doses,
    first_invalid_action,
    write_actions,
)
from abx_amr.simulator.kernel.layout import EPSILON, NUM_ATTRIBUTES, Batch, Tables, tables_of
from abx_amr.simulator.kernel.observation import forget_changes, see_levels, write_observations
from abx_amr.simulator.kernel.rewards import reward_cohorts

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Rows = NDArray[np.uint64]


class Components(Protocol):
    """The parts of a step that components do, each for all environments."""

    def start_resistance(self, state: Floats) -> None:
        """Write the levels at the start of an episode to the batch's state."""

    def step_resistance(self, state: Floats, doses: Floats) -> None:
        """Write the levels after the doses (E, K), and those before."""

    def find_deltas(self, state: Floats, doses: Floats, delta: Floats) -> None:
        """Write the marginal effects of the last dose to delta (E, K), where they cost anything."""

    def sample_cohorts(self, rows: Rows, patients: Floats, observed: Floats) -> None:
        """Draw patients (E, P, 8 + K+4), and what is observed of them (E, P, 6)."""

    def score(self, state: Floats, patients: Floats, delta: Floats, reward: Floats) -> None:
        """Write the rewards (E,) of the patients just treated."""


@compiled
def begin_episodes(
    components: Components | None, batch: Batch, tables: Tables, observation: Floats32
) -> None:
    """Start an episode in every environment and write what is seen first, (E, D)."""
    num_cohorts, num_patients = batch.waiting.shape[:2]
    observed = np.empty((num_cohorts, num_patients, NUM_ATTRIBUTES))
    batch.state[:] = 0.0
    if components is None:
        start_balloons(batch.state, tables.initial)
    else:
        components.start_resistance(batch.state)
    see_levels(batch.rows, batch.state, True, tables.numbers)
    forget_changes(batch.state)
    if components is None:
        sample_cohorts(batch.rows, tables.groups, batch.waiting, observed)
    else:
        components.sample_cohorts(batch.rows, batch.waiting, observed)
    nobody = np.empty((batch.state.shape[0], 0), np.int64)
    write_observations(batch.state, observed, nobody, tables, 0, observation)


@compiled
def take_step(
    components: Components | None,
    batch: Batch,
    tables: Tables,
    actions: Ints,
    time: int,
    observation: Floats32,
    reward: Floats,
) -> None:
    """Treat every environment's waiting cohort.

    Args:
        components: what does its parts; None: the laws of the shipped ones.
        batch: the clinics; `treated` becomes the next cohort, so that the two change places.
        tables: of the clinic.
        actions: per patient, valid, (E, P).
        time: 1 at the first step.
        observation: written, (E, D).
        reward: written, (E,).
    """
    (num_envs, num_patients), num_cohorts = actions.shape, batch.waiting.shape[0]
    num_antibiotics = tables.drugs.shape[0]
    doses, delta = np.empty((num_envs, num_antibiotics)), np.zeros((num_envs, num_antibiotics))
    observed = np.empty((num_cohorts, num_patients, NUM_ATTRIBUTES))
    write_actions(actions, batch.waiting)
    count_prescriptions(batch.state, actions, tables.windows, time)
    # 1. the doses, through cross-resistance
    effective_doses(actions, tables.drugs, doses)
    # 2. resistance answers
    if components is None:
        step_balloons(batch.state, tables.drugs, doses)
    else:
        components.step_resistance(batch.state, doses)
    # 3. the visible levels are refreshed when due
    see_levels(batch.rows, batch.state, time % tables.update_every == 0, tables.numbers)
    # 4. the marginal effects of the last dose
    if components is not None:
        components.find_deltas(batch.state, doses, delta)
    elif tables.numbers[EPSILON] > 0.0:
        visible_deltas(batch.state, tables.drugs, doses, delta)
    # 5. the next cohort comes
    if components is None:
        sample_cohorts(batch.rows, tables.groups, batch.treated, observed)
    else:
        components.sample_cohorts(batch.rows, batch.treated, observed)
    # 6. the treated cohort's reward
    if components is None:
        reward_cohorts(
            batch.state, batch.waiting, actions, tables.drugs, tables.numbers, delta, reward
        )
    else:
        components.score(batch.state, batch.waiting, delta, reward)
    # 7. what is seen of the next cohort
    write_observations(batch.state, observed, actions, tables, time, observation)


@compiled
def reset_clinic(
    rows: Rows,
    state: Floats,
    waiting: Floats,
    treated: Floats,
    floats: Floats,
    whole: Ints,
    observation: Floats32,
) -> None:
    """Start an episode in a `Batch` of shipped components, given with its packed tables."""
    batch = Batch(rows, state, waiting, treated)
    begin_episodes(None, batch, tables_of(floats, whole), observation)


@compiled
def step_clinic(
    rows: Rows,
    state: Floats,
    waiting: Floats,
    treated: Floats,
    floats: Floats,
    whole: Ints,
    actions: Ints,
    time: int,
    observation: Floats32,
    reward: Floats,
) -> int:
    """Make one step in a `Batch` of shipped components, given with its packed tables.

    Returns:
        -1, or the position of an invalid action: nothing has changed then.
    """
    tables = tables_of(floats, whole)
    invalid = first_invalid_action(actions, tables.drugs.shape[0])
    if invalid < 0:
        batch = Batch(rows, state, waiting, treated)
        take_step(None, batch, tables, actions, time, observation, reward)
    return invalid
