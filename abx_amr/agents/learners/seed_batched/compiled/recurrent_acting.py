"""Actions and values of all seeds at one step of a rollout, with LSTMs below.

Shapes: S seeds, E environments of a seed, D observation entries, A choices per action, Q
parameters, M LSTMs, H their hidden units.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.categories import choose, log_softmax
from abx_amr.agents.learners.seed_batched.compiled.dense import forward
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    CELL,
    HIDDEN,
    HIDDEN_AFTER,
    NUM_TRACES,
    OUTPUTS,
    PLACE,
)
from abx_amr.agents.learners.seed_batched.compiled.lstm import lstm_forward
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Streams = NDArray[np.uint64]

_0F = np.float32(0.0)


@compiled_sums
def remember(
    theta: Floats32,
    lstms: Ints,
    which: int,
    inputs: Floats32,
    memory: Floats32,
    outputs: Floats32,
) -> None:
    """Make one step of LSTM `which` of a seed's environments, each a sequence of its own.

    Args:
        theta: parameters (Q,).
        lstms: the table.
        which: row of the table.
        inputs: (E, D).
        memory: (E, 2 M H), the LSTM's part replaced by that after the step.
        outputs: (H, E), written.
    """
    n, hidden = inputs.shape[0], lstms[which, HIDDEN]
    at = 2 * hidden * which
    own_memory = memory[:, at : at + 2 * hidden]
    gates, trace = (
        np.empty((n, 4 * hidden), np.float32),
        np.empty((NUM_TRACES, n, hidden), np.float32),
    )
    lstm_forward(
        theta, lstms[which], inputs, np.ones(n, np.bool_), own_memory.copy(), gates, trace, outputs
    )
    own_memory[:, :hidden] = trace[HIDDEN_AFTER]
    own_memory[:, hidden:] = trace[CELL]


@compiled_sums
def recurrent_values(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    inputs: Floats32,
    memory: Floats32,
    latent: Floats32,
    outputs: Floats32,
) -> Floats32:
    """Return one seed's values (1, E) of inputs (E, D); `memory` (E, 2 M H) becomes the next."""
    first = num_policy_layers
    if len(lstms) > 1:
        remember(theta, lstms, 1, inputs, memory, latent)
    else:
        latent[:] = forward(theta, layers, first, first + 1, relu, inputs.T.copy(), outputs)
        first += 1
    return forward(theta, layers, first, len(layers), relu, latent, outputs)


@compiled_sums
def act_with_memory(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    choices: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    streams: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
    values: Floats32,
) -> None:
    """Choose actions for every seed as `act` does, with recurrent networks.

    Args:
        theta: (S, Q).
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        lstms: the table.
        choices: the number of categories of each of the A choices.
        observations: (S * E, D), seed by seed.
        starts: 1 where an episode begins, which begins without memory, (S * E,).
        memory: (S * E, 2 M H), replaced by that after the step.
        streams: (S, 4), advanced unless the choice is deterministic.
        is_deterministic: take the likeliest (the first of equals) instead of a drawn category.
        actions: (S * E, A), written.
        log_probs: (S * E,), written.
        values: (S * E,), written.
    """
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    latent = np.empty((lstms[0, HIDDEN], n), np.float32)
    for s in range(num_seeds):
        rows = slice(s * n, (s + 1) * n)
        seen, own_memory = observations[rows], memory[rows]
        for i in range(n):
            if starts[s * n + i] > _0F:
                own_memory[i] = _0F
        remember(theta[s], lstms, 0, seen, own_memory, latent)
        logits = forward(theta[s], layers, 0, num_policy_layers, relu, latent, outputs)
        log_softmax(logits, choices)
        value = recurrent_values(
            theta[s], layers, num_policy_layers, relu, lstms, seen, own_memory, latent, outputs
        )
        choose(logits, choices, streams[s], is_deterministic, actions[rows], log_probs[rows])
        values[rows] = value[0]


@compiled_sums
def state_values_with_memory(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    values: Floats32,
) -> None:
    """Write every seed's values (S * E,) of its observations (S * E, D), with `memory` as it is."""
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    latent = np.empty((lstms[0, HIDDEN], n), np.float32)
    for s in range(num_seeds):
        rows = slice(s * n, (s + 1) * n)
        own_memory = memory[rows].copy()
        for i in range(n):
            if starts[s * n + i] > _0F:
                own_memory[i] = _0F
        value = recurrent_values(
            theta[s],
            layers,
            num_policy_layers,
            relu,
            lstms,
            observations[rows],
            own_memory,
            latent,
            outputs,
        )
        values[rows] = value[0]
