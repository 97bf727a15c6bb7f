"""What a built on-policy agent is made of, to prove that a value reached it.

Attributes of the algorithm, its buffer, its policy (with the initial weights), its optimiser and
its environment. The constructor's own record of what it was told (`policy_kwargs`) is left out: an
echo proves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.read_back import attributes, plain
from abx_amr.agents.techniques import techniques_of

# What differs between two builds of the same configuration, or only echoes the arguments.
_NOT_EVIDENCE = frozenset({"policy_kwargs", "start_time", "rollout_buffer_kwargs"})


def evidence(prefix: str, thing: object) -> Iterable[tuple[str, Any]]:
    """Yield the attributes of one part of the agent that are evidence, prefixed."""
    for name, value in attributes(thing):
        if name not in _NOT_EVIDENCE:
            yield f"{prefix}{name}", value


def snapshot(agent: OnPolicyAlgorithm) -> dict[str, Any]:
    """Return what the built agent is made of: name -> plain value."""
    policy = agent.policy
    weights = hashlib.sha256()
    for parameter in policy.parameters():
        weights.update(parameter.detach().cpu().numpy().tobytes())
    found = dict(evidence("", agent))
    if "n_steps" in found:  # as configured: transitions over all environments
        found["n_steps"] = agent.n_steps * agent.n_envs
    techniques = techniques_of(agent)
    found.update(evidence("techniques.", techniques))
    found.update(techniques.first_values(agent))
    found.update(evidence("buffer.", agent.rollout_buffer))
    found.update(
        (name, value)
        for name, value in evidence("policy.", policy)
        if not name.startswith("policy._")
    )
    found["policy.layers"] = str(policy)
    found["policy.initial_weights"] = weights.hexdigest()
    optimizer: torch.optim.Optimizer = policy.optimizer
    found["optimizer"] = plain(type(optimizer))
    group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    found.update((f"optimizer.{k}", plain(v)) for k, v in group.items())
    if (memory := getattr(policy, "lstm_actor", None)) is not None:
        found["policy.lstm_hidden_size"] = memory.hidden_size
        found["policy.n_lstm_layers"] = memory.num_layers
    env = agent.get_env()
    found["normalise.enabled"] = isinstance(env, VecNormalize) and (
        env.norm_obs or not techniques.normalize_reward  # which has such an environment by itself
    )
    while env is not None:
        kind = "normalise." if isinstance(env, VecNormalize) else "environment."
        found.update(evidence(kind, env))
        env = getattr(env, "venv", None)
    return found
