"""Build a Q-learner of SB3 in its training environment.

Shapes: E environments, J joint actions.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from abx_amr.agents.learners.on_policy.building import keep_compiler_unloaded, library_errors
from abx_amr.envs.joint_actions import JointActionVecEnv, joint_action_space, joint_actions
from abx_amr.envs.vec_env import ClinicVecEnv, observation_space

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel


@dataclass(frozen=True, kw_only=True)
class QLearnerSpec:
    """A Q-learner of SB3 or sb3-contrib and its constructor's arguments."""

    algorithm: type[OffPolicyAlgorithm]
    arguments: Mapping[str, Any]


def build_agent(
    spec: QLearnerSpec, model: ClinicModel, settings: TrainingSettings, **more: Any
) -> OffPolicyAlgorithm:
    """Return an untrained agent in its training environment; `more` go before the arguments.

    Raises:
        InputError: the algorithm rejects an argument.
    """
    env = JointActionVecEnv(
        ClinicVecEnv(model, settings.n_envs, seed=settings.seed), joint_actions(model)
    )
    keep_compiler_unloaded()
    with library_errors(spec.algorithm.__name__), warnings.catch_warnings():
        # With many environments the target network is renewed at every step of theirs.
        warnings.filterwarnings("ignore", message="The number of environments used is greater")
        return spec.algorithm(env=env, seed=settings.seed, verbose=0, **{**spec.arguments, **more})


def build_to_play(spec: QLearnerSpec, model: ClinicModel, *, seed: int) -> OffPolicyAlgorithm:
    """Return an untrained agent without an environment, with room for one transition.

    Raises:
        InputError: the algorithm rejects an argument.
    """
    arguments = {
        **spec.arguments,
        "device": "cpu",
        "buffer_size": 1,
        "_init_setup_model": False,
    }
    keep_compiler_unloaded()
    with library_errors(spec.algorithm.__name__):
        # As the library's own `load` builds an agent.
        agent = spec.algorithm(env=None, seed=seed, verbose=0, **arguments)  # type: ignore[arg-type]
        agent.observation_space = observation_space(model)
        agent.action_space = joint_action_space(model)
        agent.n_envs = 1
        agent._setup_model()
    return agent


def clinic_env(agent: OffPolicyAlgorithm) -> ClinicVecEnv:
    """Return the batch of clinics that an agent trains in."""
    env = agent.get_env()
    assert isinstance(env, JointActionVecEnv)
    return cast(ClinicVecEnv, env.venv)
