"""An on-policy agent as what a checkpoint holds, and back, to the bit.

Weights, optimiser, environment and random generators stand afterwards where they stood.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.entropy import entropy_fell_at, set_entropy_fell_at
from abx_amr.agents.learners.on_policy.building import build_env, clinic_env
from abx_amr.agents.learners.on_policy.former_agents import objects_of_former_names
from abx_amr.agents.prescriber import SavedAgent, StoredAgent
from abx_amr.agents.techniques import KEPT_WITH_AGENT
from abx_amr.agents.torch_state import random_state, set_random_state

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from abx_amr.agents.learners.on_policy.building import AgentSpec
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel


def captured(agent: OnPolicyAlgorithm, streams: Mapping[str, np.ndarray]) -> SavedAgent:
    """Return an agent and where its own random streams stand, as what a checkpoint holds."""
    weights = io.BytesIO()
    agent.save(weights, exclude=KEPT_WITH_AGENT)
    state = {f"clinic.{k}": v for k, v in clinic_env(agent).state().items()}
    state.update((f"random.{k}", v) for k, v in random_state().items())
    state.update((f"stream.{k}", v) for k, v in streams.items())
    state.update((f"lstm.{k}", v) for k, v in _lstm_states(agent).items())
    fell_at = entropy_fell_at(agent)
    if fell_at is not None:
        state["entropy.fell_at"] = np.array(fell_at)
    normalised = agent.get_vec_normalize_env()
    if normalised is not None:  # its pickle leaves out the discounted returns of running episodes
        state["normalise.returns"] = np.array(normalised.returns)
    return SavedAgent(agent=weights.getvalue(), state=state, vec_normalize=normalised)


def restored(
    stored: StoredAgent, spec: AgentSpec, model: ClinicModel, settings: TrainingSettings
) -> tuple[OnPolicyAlgorithm, dict[str, np.ndarray]]:
    """Return the agent that was captured, in an environment of its own, and its random streams."""
    env = build_env(spec, model, settings)
    if isinstance(stored.vec_normalize, VecNormalize):
        assert isinstance(env, VecNormalize)
        stored.vec_normalize.set_venv(env.venv)
        env = stored.vec_normalize
        if "normalise.returns" in stored.state:  # not in a checkpoint of release 0.1
            env.returns = np.array(stored.state["normalise.returns"])
    agent = spec.algorithm.load(
        stored.agent,
        env=env,
        device="cpu",
        custom_objects=objects_of_former_names(stored.agent),
        force_reset=False,
    )
    spec.techniques.begin(agent, spec.arguments)
    if "entropy.fell_at" in stored.state:
        set_entropy_fell_at(agent, int(stored.state["entropy.fell_at"]))
    clinic_env(agent).restore(_part(stored.state, "clinic"))
    _set_lstm_states(agent, _part(stored.state, "lstm"))
    set_random_state(_part(stored.state, "random"))
    return agent, _part(stored.state, "stream")


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


def _part(state: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
