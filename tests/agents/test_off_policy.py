"""Q-learners: one action for a whole cohort, and what they cannot be."""

from typing import Any

import numpy as np
import pytest

from abx_amr.agents.learners.off_policy.agent import QAgent
from abx_amr.configuration.agent import build_learner, check_quickly
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.envs.joint_actions import joint_actions
from abx_amr.errors import InputError
from tests.clinics import clinic_model

SMALL = ("agent_algorithm=dqn", "environment.max_time_steps=8", "training.n_envs=4")


def built(*overrides: str) -> Any:
    config = compose("train", [*SMALL, *overrides]).plain
    check_quickly(config)
    model = build_clinic(config)
    learner = build_learner(config)
    learner.check_clinic(model)
    return learner.build(model, build_training(config))


def test_every_way_to_treat_a_cohort_is_one_action() -> None:
    rows = joint_actions(clinic_model({"A": (0.1, 10.0, -1.0, 0.5)}, patients=3))
    assert rows.tolist()[:3] == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert len({tuple(row) for row in rows.tolist()}) == 8


def test_what_it_learns_from_is_what_the_patients_got() -> None:
    agent = built("environment.num_patients_per_time_step=2", "agent_algorithm.learning_starts=0")
    assert isinstance(agent, QAgent)
    list(agent.learn(16))
    buffer = agent.algorithm.replay_buffer
    assert buffer is not None
    last = agent.algorithm.get_env().venv.last_step["prescriptions"]  # type: ignore[union-attr]
    rows = agent.rows[buffer.actions[buffer.pos - 1, :, 0]]
    assert [[(row == drug).sum() for drug in (0, 1)] for row in rows] == last.tolist()


def test_its_policy_does_not_explore() -> None:
    agent = built()
    observation = np.random.Generator(np.random.PCG64(1)).uniform(
        size=(5, *agent.algorithm.observation_space.shape)
    )
    played = [
        agent.policy().predict(observation, deterministic=flag)[0] for flag in (True, False, False)
    ]
    assert all(np.array_equal(played[0], one) for one in played)
    assert played[0].shape == (5, 5)


def test_a_clinic_of_many_joint_actions_is_refused_with_how_many_patients_fit() -> None:
    with pytest.raises(InputError, match="have 729; choose agent_algorithm=ppo, or ") as refused:
        built("environment.num_patients_per_time_step=6")
    assert str(refused.value).endswith("environment.num_patients_per_time_step=5")
    assert len(built("environment.num_patients_per_time_step=5").rows) == 243


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.vec_normalize.enabled=true"], "vec_normalize.enabled must be false for DQN"),
        (["agent_algorithm.gradient_steps=0"], "gradient_steps must be a number of steps, or -1"),
        (["agent_algorithm.gradient_steps=-2"], "gradient_steps must be"),
        (["agent_algorithm.exploration_fraction=0"], "exploration_fraction must be"),
        (["agent_algorithm.buffer_size=0"], "buffer_size must be"),
        (["agent_algorithm.train_freq=[1,episode]"], "train_freq must be"),
        (["+agent_algorithm.optimize_memory_usage=true"], "leave it out"),
        (["+agent_algorithm.exploring_starts=0.5"], "exploring_starts"),
        (["+agent_algorithm.gae_lambda=0.5"], "gae_lambda"),
        (["agent_algorithm.policy_kwargs.net_arch=[0]"], "net_arch"),
    ],
)
def test_what_it_cannot_be_is_refused_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        built(*overrides)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("stable_baselines3.SAC", "acts in real numbers"),
        ("sb3_contrib.TQC", "acts in real numbers"),
        ("sb3_contrib.MaskablePPO", "choose agent_algorithm=ppo, which is the same"),
        ("stable_baselines3.common.buffers.ReplayBuffer", "must be an algorithm"),
    ],
)
def test_an_algorithm_that_does_not_fit_a_clinic_is_refused_in_one_line(
    target: str, message: str
) -> None:
    config = compose("train").plain
    config["agent_algorithm"] = {"_target_": target, "policy": "MlpPolicy"}
    with pytest.raises(InputError, match=message):
        build_learner(config)


def test_a_buffer_of_another_size_is_not_resumed_into() -> None:
    from abx_amr.agents.learners.off_policy.saving import _give_transitions, _transitions

    agent = built("agent_algorithm.buffer_size=40")
    list(agent.learn(48))
    held = _transitions(agent.algorithm.replay_buffer)
    assert held["place"].tolist() == [2, 1]
    smaller = built("agent_algorithm.buffer_size=20").algorithm.replay_buffer
    with pytest.raises(InputError, match="gives room for 5"):
        _give_transitions(smaller, held, name="mine")
