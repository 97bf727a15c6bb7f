"""What a built Q-learner is made of, to prove that a value reached it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from abx_amr.agents.learners.on_policy.snapshot import evidence
from abx_amr.agents.read_back import plain

if TYPE_CHECKING:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm


def snapshot(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """Return attributes of algorithm, buffer, policy, optimiser and environment."""
    policy, buffer = agent.policy, agent.replay_buffer
    assert buffer is not None
    weights = hashlib.sha256()
    for parameter in policy.parameters():
        weights.update(parameter.detach().cpu().numpy().tobytes())
    found = dict(evidence("", agent))
    # As configured: transitions over all environments.
    found["buffer_size"] = buffer.buffer_size * buffer.n_envs
    found["train_freq"] = agent.train_freq.frequency  # type: ignore[union-attr]
    found.update(
        (name, value) for name, value in evidence("buffer.", buffer) if name != "buffer.buffer_size"
    )
    found.update(
        (name, value)
        for name, value in evidence("policy.", policy)
        if not name.startswith("policy._")
    )
    found["policy.layers"] = str(policy)
    found["policy.initial_weights"] = weights.hexdigest()
    found["optimizer"] = plain(type(policy.optimizer))
    group = {k: v for k, v in policy.optimizer.param_groups[0].items() if k != "params"}
    found.update((f"optimizer.{k}", plain(v)) for k, v in group.items())
    return found
