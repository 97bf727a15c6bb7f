"""When the choices of an agent in training stopped being random.

The entropy of its policy, as a share of a uniform choice's, is noted after every update.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.evaluation.collapse import VANISHED


def note_entropy(agent: OnPolicyAlgorithm, entropy: float) -> None:
    """Note an update's mean entropy (nats): since when it has been below VANISHED, if it is."""
    space: Any = agent.action_space
    uniform = float(np.log(np.ravel(getattr(space, "nvec", getattr(space, "n", 1)))).sum())
    if entropy >= VANISHED * uniform:
        set_entropy_fell_at(agent, None)
    elif entropy_fell_at(agent) is None:
        set_entropy_fell_at(agent, agent.num_timesteps)


def entropy_fell_at(agent: OnPolicyAlgorithm) -> int | None:
    """Return the transitions since which an agent's entropy has been below VANISHED, if it is."""
    return getattr(agent, "entropy_fell_at", None)


def set_entropy_fell_at(agent: OnPolicyAlgorithm, transitions: int | None) -> None:
    """Keep with an agent since when its entropy has been below VANISHED."""
    agent.entropy_fell_at = transitions  # type: ignore[attr-defined]
