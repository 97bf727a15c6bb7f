"""Where everything lies in the arrays of a batch: named once, and read back by those names."""

import numpy as np
import pytest

from abx_amr.rng import stream_states
from abx_amr.simulator import ATTRIBUTES, Clinic
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import Batch, new_batch, tables_of
from abx_amr.simulator.kernel.step import begin_episodes, take_step
from tests.clinics import clinic_model, population

OBSERVED = {
    "include_steps_since_amr_update": True,
    "include_previous_action": True,
    "include_time_remaining": True,
    "temporal_windows": (2, 5),
}


def windowed_clinic(num_envs=3):
    model = clinic_model(patients=4, steps=12, observation=OBSERVED)
    return Clinic(model, stream_states(5, "layout", count=num_envs))


def flat_state_of_release_0_1(state, num_windows):
    """Return a state as release 0.1 kept it, written entry by entry from its description."""
    num_envs, num_rows, k = state.shape
    longest = num_rows - 5 - num_windows
    flat = np.empty((num_envs, num_rows * k))
    for e in range(num_envs):
        for j in range(k):
            for row in range(5):
                flat[e, row * k + j] = state[e, row, j]
            for w in range(num_windows):
                flat[e, 5 * k + j * num_windows + w] = state[e, 5 + w, j]
            for step in range(longest):
                at = 5 * k + k * num_windows + j * longest + step
                flat[e, at] = state[e, 5 + num_windows + step, j]
    return flat


def test_a_state_kept_by_release_0_1_goes_on_to_the_bit():
    clinic, other = windowed_clinic(), windowed_clinic()
    clinic.reset()
    generator = np.random.default_rng(0)
    actions = generator.integers(0, 3, (12, 3, 4))
    for before in actions[:7]:
        clinic.step(before)
    kept = clinic.state()
    other.restore({**kept, "state": flat_state_of_release_0_1(kept["state"], 2)})
    for after in actions[7:]:
        ours, theirs = clinic.step(after), other.step(after)
        assert (ours[0] == theirs[0]).all()
        assert (ours[1] == theirs[1]).all()


def test_a_state_of_another_clinic_is_refused():
    clinic = windowed_clinic()
    clinic.reset()
    state = clinic.state()
    with pytest.raises(ValueError, match="same model and batch: state has shape"):
        clinic.restore({**state, "state": np.zeros((3, 7))})


def test_packed_tables_come_back_under_their_names():
    clinic = windowed_clinic()
    tables = tables_of(*clinic.compiled_parts[1:])
    model = clinic.model
    assert (tables.drugs[:, : layout.RESIDUAL + 1] == model.dynamics.balloons).all()
    assert (tables.drugs[:, layout.CROSS :] == model.cross_resistance_matrix).all()
    assert (tables.groups == model.population.groups).all()
    assert tables.numbers[layout.LAMBDA] == model.reward.lambda_weight
    assert tables.windows.tolist() == [2, 5]
    assert [ATTRIBUTES[a] for a in tables.shown] == list(model.layout.attributes)
    assert tables.starts.tolist() == [part.start for part in model.layout.parts]


def test_laws_are_read_by_name():
    groups = np.arange(2 * 7 * 13, dtype=np.float64).reshape(2, *layout.GROUP_SHAPE)
    laws = layout.law_views(groups)
    assert laws.shape == (2, 6)
    assert (laws["mean"] == groups[:, :6, layout.MEAN]).all()
    assert (laws["observed_high"] == groups[:, :6, layout.OBSERVED_HIGH]).all()
    assert (laws["noisy"] == groups[:, :6, layout.NOISY]).all()


def test_every_entry_of_an_observation_belongs_to_one_part():
    parts = windowed_clinic().model.layout.parts
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    names = windowed_clinic().model.layout.names
    assert all(name.startswith("visible_amr[") for name in names[parts.visible_amr])
    assert names[parts.steps_since_amr_update] == ("steps_since_amr_update",)
    assert all(".previous_action[" in name for name in names[parts.previous_action])


@compiled
def play_in_turn(rows, floats, whole, length, actions, observation, returns):
    """Play an episode everywhere, treating with the antibiotics in turn."""
    tables = tables_of(floats, whole)
    num_envs, num_patients = actions.shape
    reward = np.empty(num_envs)
    batch = new_batch(rows, num_envs, num_patients, tables.drugs.shape[0], tables.windows)
    begin_episodes(None, batch, tables, observation)
    for time in range(1, length + 1):
        actions[:] = time % tables.drugs.shape[0]
        take_step(None, batch, tables, actions, time, observation, reward)
        batch = Batch(batch.rows, batch.state, batch.treated, batch.waiting)
        returns += reward


def played_in_turn(clinic, rows, num_envs):
    """Return returns (E,) and last observations (E, D) of one compiled loop."""
    model = clinic.model
    returns, actions = np.zeros(num_envs), np.zeros((num_envs, 4), np.int64)
    observation = np.empty((num_envs, model.layout.size), np.float32)
    tables = clinic.compiled_parts[1:]
    play_in_turn(rows, *tables, model.max_time_steps, actions, observation, returns)
    return returns, observation


def test_episodes_in_one_compiled_loop_give_the_bits_of_the_clinic():
    clinic = windowed_clinic()
    streams = clinic.state()["rows"]
    returns, observation = played_in_turn(clinic, streams.copy(), 3)
    expected = np.zeros(3)
    clinic.reset(streams)
    for time in range(1, clinic.model.max_time_steps + 1):
        seen, reward, _ = clinic.step(np.full((3, 4), time % 2))
        expected += reward
    assert (returns == expected).all()
    assert (observation == seen).all()


def test_environments_of_one_stream_meet_the_patients_that_each_would_meet_alone():
    model = clinic_model(
        patients=4,
        steps=12,
        people=population(sigma=0.1, noise_std=0.1),
        observation=OBSERVED,
        visible_amr={"update_every_n_time_steps": 3, "noise_std": 0.1},
    )
    streams = stream_states(5, "common", count=1)
    clinic, rows = Clinic(model, streams), streams.copy()
    together, alone = played_in_turn(clinic, rows, 3), played_in_turn(clinic, streams, 1)
    assert (together[0] == alone[0]).all()
    assert (together[1] == alone[1]).all()
    assert (rows == streams).all()
