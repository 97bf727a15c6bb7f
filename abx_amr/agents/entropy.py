"""When the choices of an agent in training stopped being random, noted after every update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.evaluation.collapse import VANISHED

if TYPE_CHECKING:
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


def note_entropy(agent: OnPolicyAlgorithm, entropy: float) -> None:
    """Note an update's mean entropy (nats): since when it has been below VANISHED, if it is.

    VANISHED is a share of a uniform choice's entropy. What is noted is an attribute of the agent,
    which its checkpoint keeps.
    """
    told: Any = agent
    space: Any = agent.action_space
    uniform = float(np.log(np.ravel(getattr(space, "nvec", getattr(space, "n", 1)))).sum())
    if entropy >= VANISHED * uniform:
        told.entropy_fell_at = None
    elif entropy_fell_at(agent) is None:
        told.entropy_fell_at = agent.num_timesteps


def entropy_fell_at(agent: OnPolicyAlgorithm) -> int | None:
    """Return the transitions since which an agent's entropy has been below VANISHED, if it is."""
    return getattr(agent, "entropy_fell_at", None)
