"""An on-policy agent as what a checkpoint holds, and back, to the bit.

Weights, optimiser, environment and random generators stand afterwards where they stood. An agent is
built anew by its configuration, which names its classes and schedules; the checkpoint holds what
training has changed since, as arrays and plain values.

Shapes: E environments.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.save_util import recursive_getattr, recursive_setattr
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.learners.on_policy import normalising
from abx_amr.agents.learners.on_policy.building import (
    build_env,
    build_in,
    build_to_play,
    clinic_env,
)
from abx_amr.agents.learners.on_policy.former_agents import as_of_today
from abx_amr.agents.learners.on_policy.packing import NotPlainError, pack, unpack
from abx_amr.agents.learners.on_policy.policies import TrainedPolicy, check_fits, choices
from abx_amr.agents.prescriber import Arrays, SavedAgent, StoredAgent
from abx_amr.agents.torch_state import random_state, set_random_state
from abx_amr.errors import InputError, first_line

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from abx_amr.agents.learners.on_policy.building import AgentSpec
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel

#: Attributes that the environment or the run brings anew.
_NOT_SAVED = frozenset({"observation_space", "action_space", "n_envs", "start_time"})


def captured(agent: OnPolicyAlgorithm, streams: Mapping[str, np.ndarray]) -> SavedAgent:
    """Return an agent and where its own random streams stand, as what a checkpoint holds."""
    state = {f"clinic.{k}": v for k, v in clinic_env(agent).state().items()}
    state.update((f"random.{k}", v) for k, v in random_state().items())
    state.update((f"stream.{k}", v) for k, v in streams.items())
    state.update((f"lstm.{k}", v) for k, v in _lstm_states(agent).items())
    facts: dict[str, Any] = {
        "observation_shape": list(agent.observation_space.shape or ()),
        "action_choices": list(choices(agent.action_space)),
        "seed": agent.seed,
        "parameters": pack("parameters", parameters_of(agent), state),
        "attributes": attributes_of(agent, state),
    }
    normalised = agent.get_vec_normalize_env()
    if normalised is not None:
        arrays, facts["normalise"] = normalising.captured(normalised)
        state.update((f"normalise.{k}", v) for k, v in arrays.items())
    return SavedAgent(state=state, facts=facts)


def restored(
    stored: StoredAgent, spec: AgentSpec, model: ClinicModel, settings: TrainingSettings
) -> tuple[OnPolicyAlgorithm, dict[str, np.ndarray]]:
    """Return the agent that was captured, in an environment of its own, and its random streams.

    Raises:
        InputError: it was not captured of such an agent.
    """
    state, facts = as_of_today(stored)
    env = build_env(spec, model, settings)
    if isinstance(env, VecNormalize) and "normalise" in facts:
        normalising.restore(env, part_of(state, "normalise"))
    agent = build_in(env, spec, model, settings, device="cpu")
    give_parameters(agent, state, facts, name=str(stored.file))
    for name, packed in facts["attributes"].items():
        setattr(agent, name, unpack(packed, state))
    clinic_env(agent).restore(part_of(state, "clinic"))
    _set_lstm_states(agent, part_of(state, "lstm"))
    set_random_state(part_of(state, "random"))
    return agent, part_of(state, "stream")


def loaded(stored: StoredAgent, spec: AgentSpec, model: ClinicModel, *, name: str) -> TrainedPolicy:
    """Return the agent that was captured as a policy of its role; it has no environment.

    Raises:
        InputError: it does not fit the clinic, or was not captured of such an agent.
    """
    state, facts = as_of_today(stored)
    observed, acted = spec.role.spaces(model)
    check_fits(
        tuple(facts["observation_shape"]),
        tuple(facts["action_choices"]),
        observed,
        acted,
        name=name,
    )
    agent = build_to_play(spec, model, observed, acted, seed=facts["seed"])
    give_parameters(agent, state, facts, name=name)
    is_normalised = "normalise" in facts
    return TrainedPolicy(
        agent,
        normalising.scale(part_of(state, "normalise"), facts["normalise"])
        if is_normalised
        else None,
    )


def parameters_of(agent: BaseAlgorithm) -> dict[str, Any]:
    """Return the networks' and optimisers' states, and other tensors, by their names in it."""
    networks, tensors = agent._get_torch_save_params()
    found = {name: dict(recursive_getattr(agent, name).state_dict()) for name in networks}
    return found | {name: recursive_getattr(agent, name) for name in tensors}


def give_parameters(
    agent: BaseAlgorithm, state: Arrays, facts: Mapping[str, Any], *, name: str
) -> None:
    """Give a built agent the weights and the optimiser's memory that were saved."""
    networks, tensors = agent._get_torch_save_params()
    try:
        saved = unpack(facts["parameters"], state)
        for part in networks:
            recursive_getattr(agent, part).load_state_dict(saved[part])
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"the agent of {name} is not one of {type(agent).__name__} as configured: "
            f"{first_line(error)}"
        ) from error
    for part in tensors:
        recursive_setattr(agent, f"{part}.data", saved[part].data)


def attributes_of(agent: BaseAlgorithm, state: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the plain attributes that training may have changed: counters, the last observation.

    Those that the constructor was given come from the configuration again, and so do objects.
    """
    brought = set(inspect.signature(type(agent).__init__).parameters)
    networks, tensors = agent._get_torch_save_params()
    brought |= {name.split(".")[0] for name in (*networks, *tensors)}
    brought |= {*agent._excluded_save_params(), *_NOT_SAVED}
    found = {}
    for name, value in vars(agent).items():
        arrays: dict[str, NDArray[Any]] = {}
        if name in brought:
            continue
        try:
            found[name] = pack(f"attributes.{name}", value, arrays)
        except NotPlainError:
            continue
        state.update(arrays)
    return found


def _lstm_states(agent: OnPolicyAlgorithm) -> dict[str, np.ndarray]:
    """Return what a recurrent agent remembers of its episodes; its `load` forgets that."""
    states = getattr(agent, "_last_lstm_states", None)
    if states is None:
        return {}
    return {
        f"{network}.{i}": tensor.detach().cpu().numpy()
        for network in states._fields
        for i, tensor in enumerate(getattr(states, network))
    }


def _set_lstm_states(agent: OnPolicyAlgorithm, values: Mapping[str, np.ndarray]) -> None:
    states = getattr(agent, "_last_lstm_states", None)
    if states is None or not values:
        return
    remembered = {
        network: tuple(
            torch.from_numpy(values[f"{network}.{i}"].copy()).to(agent.device)
            for i in range(len(getattr(states, network)))
        )
        for network in states._fields
    }
    agent._last_lstm_states = states._replace(**remembered)  # type: ignore[attr-defined]


def part_of(state: Arrays, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of one part, by their names in it."""
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
