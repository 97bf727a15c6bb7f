"""Actions and values of all seeds at one step of a rollout.

Shapes: S seeds, E environments of a seed, D observation entries, A choices per action, Q
parameters.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.categories import choose, log_softmax
from abx_amr.agents.learners.seed_batched.compiled.dense import forward
from abx_amr.agents.learners.seed_batched.compiled.layout import OUTPUTS, PLACE
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Streams = NDArray[np.uint64]


@compiled_sums
def act(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    choices: Ints,
    observations: Floats32,
    streams: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
    values: Floats32,
) -> None:
    """Choose actions for every seed, each from its own parameters and stream.

    Args:
        theta: (S, Q).
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        choices: the number of categories of each of the A choices.
        observations: (S * E, D), seed by seed.
        streams: (S, 4), advanced unless the choice is deterministic.
        is_deterministic: take the likeliest (the first of equals) instead of a drawn category.
        actions: (S * E, A), written.
        log_probs: (S * E,), written.
        values: (S * E,), written.
    """
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    for s in range(num_seeds):
        seen = observations[s * n : (s + 1) * n].T.copy()
        logits = forward(theta[s], layers, 0, num_policy_layers, relu, seen, outputs)
        log_softmax(logits, choices)
        value = forward(theta[s], layers, num_policy_layers, len(layers), relu, seen, outputs)
        rows = slice(s * n, (s + 1) * n)
        choose(logits, choices, streams[s], is_deterministic, actions[rows], log_probs[rows])
        values[rows] = value[0]


@compiled_sums
def state_values(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    observations: Floats32,
    values: Floats32,
) -> None:
    """Write every seed's values (S * E,) of its observations (S * E, D)."""
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    for s in range(num_seeds):
        seen = observations[s * n : (s + 1) * n].T.copy()
        value = forward(theta[s], layers, num_policy_layers, len(layers), relu, seen, outputs)
        for i in range(n):
            values[s * n + i] = value[0, i]
