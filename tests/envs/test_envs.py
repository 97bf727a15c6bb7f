"""The clinic as environments of gymnasium and Stable-Baselines3."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from abx_amr.envs import ClinicEnv, ClinicVecEnv
from abx_amr.rng import stream_states
from abx_amr.simulator import ATTRIBUTES, Clinic
from tests.clinics import DEFAULT_DRUGS as DRUGS
from tests.clinics import clinic_model, crowded_model, mixture, population

torch.set_num_threads(1)
THREE_DRUGS = {**DRUGS, "C": (0.3, 10.0, -1.0, 0.5)}


def small_model(**parts):
    return clinic_model(**({"patients": 3, "steps": 12} | parts))


@settings(max_examples=20)
@given(
    drugs=st.integers(1, 3),
    patients=st.integers(1, 6),
    mixed=st.booleans(),
    noise=st.sampled_from([0.0, 0.3]),
    windows=st.lists(st.integers(1, 9), unique=True, max_size=2),
    extra=st.booleans(),
)
def test_the_single_environment_passes_both_libraries_checks(
    drugs, patients, mixed, noise, windows, extra
):
    people = population(visible=ATTRIBUTES, sigma=noise, noise_std=noise)
    if mixed:
        people = mixture(plain=population(), varied=people)
    model = clinic_model(
        dict(list(THREE_DRUGS.items())[:drugs]),
        patients=patients,
        steps=10,
        people=people,
        visible_amr={"noise_std": noise, "update_every_n_time_steps": 3},
        observation={
            "temporal_windows": tuple(windows),
            "include_previous_action": extra,
            "include_steps_since_amr_update": extra,
        },
    )
    with warnings.catch_warnings():
        # multipliers are unbounded above: the libraries advise against infinite bounds
        warnings.filterwarnings("ignore", message=".*A Box observation space m.* is.*infinity.*")
        warnings.filterwarnings("ignore", message=".*not within a certain range.*")
        gymnasium_check(ClinicEnv(model, seed=1), skip_render_check=True)
        sb3_check(ClinicEnv(model, seed=1))


def test_the_time_limit_truncates_and_never_terminates():
    env = ClinicEnv(small_model(), seed=0)
    env.reset()
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(12)]
    assert ends == [(False, False)] * 11 + [(False, True)]


def test_info_has_the_keys_of_last_step_without_environments():
    env = ClinicEnv(small_model(), seed=0)
    env.reset(seed=3)
    _, reward, _, _, info = env.step(np.array([0, 1, 2]))
    assert info["prescriptions"].tolist() == [1, 1]
    assert info["reward"] == reward
    assert set(info) == set(env.clinic.last_step)


def test_one_environment_of_a_batch_is_the_single_environment():
    model = small_model(people=population(sigma=0.2, prob_infected=0.5))
    batch, single = ClinicVecEnv(model, 3, seed=5), ClinicEnv(model, seed=5)
    assert (batch.reset()[0] == single.reset()[0]).all()
    for time in range(11):
        actions = np.full((3, 3), time % 3)
        observation, reward, _, _ = batch.step(actions)
        alone = single.step(actions[0])
        assert (observation[0] == alone[0]).all()
        assert reward[0] == np.float32(alone[1])


def test_all_environments_end_together_and_start_again():
    model = small_model()
    env = ClinicVecEnv(model, 4, seed=1)
    twin = Clinic(model, stream_states(1, "training", "clinic", count=4))
    assert (env.reset() == twin.reset()).all()
    actions, total = np.zeros((4, 3), dtype=np.int64), np.zeros(4)
    for episode in range(2):
        total[:] = 0.0
        for time in range(1, 13):
            observation, reward, done, infos = env.step(actions)
            last, raw, truncated = twin.step(actions)
            total += raw
            assert reward.dtype == np.float32
            assert done.all() == done.any() == truncated == (time == 12), episode
            if time < 12:
                assert infos == [{}] * 4
                assert (observation == last).all()
        ended = twin.last_step
        assert (observation == twin.reset()).all()
        for e, info in enumerate(infos):
            assert (info["terminal_observation"] == last[e]).all()
            assert info["TimeLimit.truncated"] is True
            assert info["episode"]["r"] == pytest.approx(total[e])
            assert info["episode"]["l"] == 12
        for key, values in env.last_step.items():
            assert (values == ended[key]).all()


def test_a_seed_names_the_streams_from_the_next_reset_on():
    env = ClinicVecEnv(crowded_model(), 2, seed=1)
    first = env.reset()
    second = env.reset()
    assert (first != second).any()
    assert env.seed(1) == [1, 1]
    assert (env.reset() == first).all()
    env.seed(2)
    assert (env.reset() == ClinicVecEnv(crowded_model(), 2, seed=2).reset()).all()
    env.seed(None)
    assert (env.reset() != first).any()


def test_the_batch_answers_the_questions_of_a_vec_env():
    env = ClinicVecEnv(small_model(), 3, seed=0)
    assert env.get_attr("render_mode") == [None] * 3
    assert env.get_attr("num_envs", indices=[0, 2]) == [3, 3]
    assert env.has_attr("clinic")
    assert not env.has_attr("unheard_of")
    assert env.env_is_wrapped(Monitor) == [False] * 3
    assert env.env_is_wrapped(gymnasium.Wrapper, indices=1) == [False]
    env.set_attr("note", "x")
    assert env.env_method("get_attr", "note", indices=[0]) == [["x"] * 3]
    with pytest.raises(ValueError, match="note is shared by all environments"):
        env.set_attr("note", "y", indices=[1])
    env.close()


@pytest.mark.parametrize(
    ("algorithm", "policy", "settings_"),
    [
        (PPO, "MlpPolicy", {"n_steps": 16, "batch_size": 32, "n_epochs": 2}),
        (A2C, "MlpPolicy", {"n_steps": 16}),
        (RecurrentPPO, "MlpLstmPolicy", {"n_steps": 16, "batch_size": 32, "n_epochs": 1}),
    ],
)
def test_agents_learn_in_the_batch_under_the_usual_wrappers(algorithm, policy, settings_):
    env = VecNormalize(VecMonitor(ClinicVecEnv(small_model(), 4, seed=0)))
    agent = algorithm(policy, env, seed=0, device="cpu", **settings_)
    agent.learn(192)
    assert agent.num_timesteps == 192
    lengths = {int(episode["l"]) for episode in agent.ep_info_buffer}
    assert lengths == {12}
    assert len(agent.ep_info_buffer) == 16


def test_returns_are_counted_without_a_monitor_too():
    env = ClinicVecEnv(small_model(), 2, seed=0)
    agent = PPO("MlpPolicy", env, n_steps=24, batch_size=24, device="cpu")
    agent.learn(48)
    assert [int(episode["l"]) for episode in agent.ep_info_buffer] == [12] * 4
