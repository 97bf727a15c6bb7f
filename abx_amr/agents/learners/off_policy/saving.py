"""A Q-learner as what a checkpoint holds, and back, to the bit: its buffer of transitions too.

Shapes: B steps in the buffer, E environments, D observation entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.off_policy.building import (
    QLearnerSpec,
    build_agent,
    build_to_play,
    clinic_env,
)
from abx_amr.agents.learners.off_policy.policy import GreedyPolicy
from abx_amr.agents.learners.on_policy.packing import pack, unpack
from abx_amr.agents.learners.on_policy.policies import check_fits, choices
from abx_amr.agents.learners.on_policy.saving import (
    attributes_of,
    give_parameters,
    parameters_of,
    part_of,
)
from abx_amr.agents.prescriber import SavedAgent, StoredAgent
from abx_amr.agents.torch_state import random_state, set_random_state
from abx_amr.envs.joint_actions import joint_action_space, joint_actions
from abx_amr.envs.vec_env import observation_space
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from stable_baselines3.common.buffers import ReplayBuffer
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel

#: What a transition is made of in the library's buffer, (B, E, ...).
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def captured(agent: OffPolicyAlgorithm) -> SavedAgent:
    """Return an agent as what a checkpoint holds."""
    state = {f"clinic.{k}": v for k, v in clinic_env(agent).state().items()}
    state.update((f"random.{k}", v) for k, v in random_state().items())
    state.update((f"replay.{k}", v) for k, v in _transitions(_buffer_of(agent)).items())
    facts: dict[str, Any] = {
        "observation_shape": list(agent.observation_space.shape or ()),
        "action_choices": list(choices(agent.action_space)),
        "seed": agent.seed,
        "exploration_draws": _draws_of(agent),
        "parameters": pack("parameters", parameters_of(agent), state),
        "attributes": attributes_of(agent, state),
    }
    return SavedAgent(state=state, facts=facts)


def restored(
    stored: StoredAgent, spec: QLearnerSpec, model: ClinicModel, settings: TrainingSettings
) -> OffPolicyAlgorithm:
    """Return the agent that was captured, in an environment of its own.

    Raises:
        InputError: it was not captured of such an agent.
    """
    state, facts = stored.state, stored.facts
    agent = build_agent(spec, model, settings, device="cpu")
    give_parameters(agent, state, facts, name=str(stored.file))
    for name, packed in facts["attributes"].items():
        setattr(agent, name, unpack(packed, state))
    clinic_env(agent).restore(part_of(state, "clinic"))
    _give_transitions(_buffer_of(agent), part_of(state, "replay"), name=str(stored.file))
    agent.action_space.np_random.bit_generator.state = {
        **agent.action_space.np_random.bit_generator.state,
        **_as_numbers(facts["exploration_draws"]),
    }
    set_random_state(part_of(state, "random"))
    return agent


def loaded(
    stored: StoredAgent, spec: QLearnerSpec, model: ClinicModel, *, name: str
) -> GreedyPolicy:
    """Return the agent that was captured as a policy.

    Raises:
        InputError: it does not fit the clinic, or was not captured of such an agent.
    """
    facts = stored.facts
    check_fits(
        tuple(facts["observation_shape"]),
        tuple(facts["action_choices"]),
        observation_space(model),
        joint_action_space(model),
        name=name,
    )
    agent = build_to_play(spec, model, seed=facts["seed"])
    give_parameters(agent, stored.state, facts, name=name)
    return GreedyPolicy(agent.policy, joint_actions(model))


def _buffer_of(agent: OffPolicyAlgorithm) -> ReplayBuffer:
    assert agent.replay_buffer is not None
    return agent.replay_buffer


def _transitions(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    """Return what a buffer holds, without the room that is left in it."""
    held = buffer.buffer_size if buffer.full else buffer.pos
    columns = {name: np.array(getattr(buffer, name)[:held]) for name in _COLUMNS}
    return {**columns, "place": np.array([buffer.pos, buffer.full], dtype=np.int64)}


def _give_transitions(
    buffer: ReplayBuffer, state: Mapping[str, NDArray[Any]], *, name: str
) -> None:
    """Fill a new buffer with what was captured.

    Raises:
        InputError: it has other room than that which was captured.
    """
    position, is_full = (int(value) for value in state["place"])
    held = len(state["rewards"])
    if held > buffer.buffer_size or (is_full and held != buffer.buffer_size):
        raise InputError(
            f"the agent of {name} holds {held} steps of each environment, "
            f"agent_algorithm.buffer_size gives room for {buffer.buffer_size}: it must be what it "
            "was trained with"
        )
    for column in _COLUMNS:
        getattr(buffer, column)[:held] = state[column]
    buffer.pos, buffer.full = position, bool(is_full)


def _draws_of(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """Return where the generator of random actions stands; its numbers have 128 bits, as text."""
    state: Any = agent.action_space.np_random.bit_generator.state
    return {
        "state": {name: str(value) for name, value in state["state"].items()},
        "has_uint32": int(state["has_uint32"]),
        "uinteger": int(state["uinteger"]),
    }


def _as_numbers(draws: Mapping[str, Any]) -> dict[str, Any]:
    return {**draws, "state": {name: int(value) for name, value in draws["state"].items()}}
