"""A clinic's tables for the compiled step, read from its components."""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.dynamics import LeakyBalloon
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.layout import Tables
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import visible_columns
from abx_amr.simulator.patients import PatientMixture, PatientPopulation, Population
from abx_amr.simulator.rewards import ClinicalReward

Floats = NDArray[np.float64]


def clinic_tables(model: ClinicModel) -> tuple[Tables, bool]:
    """Return a clinic's tables, and whether each component has put its laws into them.

    A component that is not exactly a shipped one has no laws there: a subclass may change any.
    """
    k = len(model.antibiotics)
    numbers, initial = np.zeros(layout.NUM_NUMBERS), np.zeros((2, k))
    drugs = np.zeros((k, layout.CROSS + k))
    drugs[:, layout.CROSS :] = model.cross_resistance_matrix
    dynamics, reward = model.dynamics, model.reward
    if type(dynamics) is LeakyBalloon:
        drugs[:, : layout.RESIDUAL + 1] = dynamics.balloons
        initial[0] = dynamics.initial_state(1)[0]
        initial[1] = dynamics.level(initial[0])
    if type(reward) is ClinicalReward:
        numbers[:] = reward.numbers
        drugs[:, layout.ADVERSE_PROBABILITY : layout.CROSS] = reward.harms
    numbers[layout.VISIBLE_NOISE] = model.visible_amr.noise_std
    numbers[layout.VISIBLE_BIAS] = model.visible_amr.bias
    groups = _groups(model.population)
    tables = Tables(
        numbers=numbers,
        initial=initial,
        drugs=drugs,
        groups=np.zeros((0, *layout.GROUP_SHAPE)) if groups is None else groups,
        update_every=model.visible_amr.update_every_n_time_steps,
        shows_since=int(model.observation.include_steps_since_amr_update),
        shows_previous=int(model.observation.include_previous_action),
        horizon=model.max_time_steps if model.observation.include_time_remaining else 0,
        starts=np.array([part.start for part in model.layout.parts], dtype=np.int64),
        shown=visible_columns(model.layout.attributes),
        windows=np.array(model.layout.temporal_windows, dtype=np.int64),
    )
    is_whole = (
        type(dynamics) is LeakyBalloon and type(reward) is ClinicalReward and groups is not None
    )
    return tables, is_whole


def _groups(population: Population) -> Floats | None:
    if type(population) is PatientPopulation:
        return population.groups
    if type(population) is PatientMixture:
        return population.groups
    return None
