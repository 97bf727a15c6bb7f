"""An agent in training as what one file holds, from which its training goes on to the bit.

Weights, optimiser, environment and random generators stand afterwards where they stood.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.learning import (
    AgentSpec,
    Learner,
    build_env,
    clinic_env,
    random_state,
    set_random_state,
)
from abx_amr.agents.settings import TrainingSettings

if TYPE_CHECKING:
    from abx_amr.runs.checkpoint_file import Checkpoint
    from abx_amr.simulator.clinic import ClinicModel


@dataclass(frozen=True)
class Restored:
    """An agent as it was saved; `streams` are its own in the seed-batched trainer, or none."""

    agent: OnPolicyAlgorithm
    streams: Mapping[str, np.ndarray] | None


def captured(agent: OnPolicyAlgorithm, learner: Learner, **more: np.ndarray) -> dict[str, Any]:
    """Return the arguments of `results.write_checkpoint` for an agent that was published.

    `more` names further arrays to save with it.
    """
    weights = io.BytesIO()
    agent.save(weights)
    state = {f"clinic.{k}": v for k, v in clinic_env(agent).state().items()}
    state.update((f"random.{k}", v) for k, v in random_state().items())
    state.update((f"stream.{k}", v) for k, v in learner.streams(agent).items())
    state.update((f"lstm.{k}", v) for k, v in _lstm_states(agent).items())
    state["transitions"] = np.array(agent.num_timesteps)
    return {
        "agent": weights.getvalue(),
        "state": {**state, **more},
        "vec_normalize": agent.get_vec_normalize_env(),
    }


def restored(
    checkpoint: Checkpoint, spec: AgentSpec, model: ClinicModel, settings: TrainingSettings
) -> Restored:
    """Return the agent that was captured, in an environment of its own."""
    env = build_env(spec, model, settings)
    if isinstance(checkpoint.vec_normalize, VecNormalize):
        assert isinstance(env, VecNormalize)
        checkpoint.vec_normalize.set_venv(env.venv)
        env = checkpoint.vec_normalize
    agent = spec.algorithm.load(checkpoint.agent, env=env, device="cpu", force_reset=False)
    clinic_env(agent).restore(_part(checkpoint.state, "clinic"))
    _set_lstm_states(agent, _part(checkpoint.state, "lstm"))
    set_random_state(_part(checkpoint.state, "random"))
    return Restored(agent, _part(checkpoint.state, "stream") or None)


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
