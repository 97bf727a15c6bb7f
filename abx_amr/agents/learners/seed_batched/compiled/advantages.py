"""Generalised advantages and value targets of a rollout.

Shapes: S seeds, E environments of a seed, T steps.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]

_0F = np.float32(0.0)
_1F = np.float32(1.0)


@compiled_sums
def advantages_and_returns(
    rewards: Floats32,
    values: Floats32,
    starts: Floats32,
    last_values: Floats32,
    last_dones: Floats32,
    discounts: Floats32,
    gae_lambda: float,
    advantages: Floats32,
    returns: Floats32,
) -> None:
    """Write generalised advantages and value targets, (T, S * E) each.

    delta_t = r_t + g_t V_{t+1} - V_t;  A_t = delta_t + g_t lambda A_{t+1}   (arXiv 1506.02438)

    Args:
        rewards: (T, S * E), bootstrapped at time limits.
        values: (T, S * E).
        starts: 1 where an episode begins at step t, (T, S * E).
        last_values: values after the last step, (S * E,).
        last_dones: 1 where the last step ended an episode, (S * E,).
        discounts: g_t, (T, S * E).
        gae_lambda: lambda.
        advantages: written.
        returns: written; A + V.
    """
    steps = rewards.shape[0]
    smoothing = np.float32(gae_lambda)
    for e in range(rewards.shape[1]):
        advantage = _0F
        for t in range(steps - 1, -1, -1):
            if t == steps - 1:
                goes_on, following = _1F - last_dones[e], last_values[e]
            else:
                goes_on, following = _1F - starts[t + 1, e], values[t + 1, e]
            g = discounts[t, e] * goes_on
            delta = rewards[t, e] + g * following - values[t, e]
            advantage = delta + g * smoothing * advantage
            advantages[t, e] = advantage
            returns[t, e] = advantage + values[t, e]
