"""The agent that is built is the one that was written."""

import pytest

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.errors import InputError


def test_an_algorithm_that_prescribes_for_nobody_is_refused() -> None:
    config = compose("train", ["agent_algorithm._target_=stable_baselines3.SAC"]).plain
    with pytest.raises(InputError, match="acts in real numbers"):
        build_learner(config)


def test_a_schedule_reaches_the_optimiser() -> None:
    config = compose("train", ["agent_algorithm=ppo_linear", "training.n_envs=8"]).plain
    model = build_clinic(config)
    agent = build_agent(build_learner(config), model, build_training(config))
    assert agent.lr_schedule(1.0) == pytest.approx(3e-4)
    assert agent.lr_schedule(0.5) == pytest.approx(1.5e-4)
    assert agent.clip_range(0.0) == pytest.approx(0.05)  # type: ignore[attr-defined]
