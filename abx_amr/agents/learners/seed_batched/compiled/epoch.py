"""One pass over a seed's rollout in minibatches, in any order.

Shapes: N transitions, D observation entries, A choices per action, Q parameters.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.adam import clipped_step
from abx_amr.agents.learners.seed_batched.compiled.categories import log_softmax
from abx_amr.agents.learners.seed_batched.compiled.dense import backward, forward
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    GOES_ON,
    INPUTS,
    KL,
    LOSS,
    NOT_FINITE,
    NUM_STATISTICS,
    OUTPUTS,
    PLACE,
    STOPPED_BY_KL,
    TARGET_KL,
)
from abx_amr.agents.learners.seed_batched.compiled.loss import loss_and_output_gradients
from abx_amr.simulator.kernel.compiling import compiled_sums
from abx_amr.simulator.kernel.random_numbers import next_uniform

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Order = NDArray[np.int32]
Streams = NDArray[np.uint64]


@compiled_sums
def shuffle(stream: Streams, order: Order) -> None:
    """Fill `order` (n,) with a random permutation of 0..n-1 (Fisher and Yates)."""
    for i in range(order.shape[0]):
        order[i] = i
    for i in range(order.shape[0] - 1, 0, -1):
        j = int(next_uniform(stream) * (i + 1))
        order[i], order[j] = order[j], order[i]


@compiled_sums
def learn_epoch(
    theta: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    choices: Ints,
    observations: Floats32,
    actions: Ints,
    old_log_probs: Floats32,
    old_values: Floats32,
    advantages: Floats32,
    returns: Floats32,
    order: Order,
    batch_size: int,
    settings: Floats,
    statistics: Floats,
) -> int:
    """Pass once over a seed's rollout in minibatches; return GOES_ON, STOPPED_BY_KL or NOT_FINITE.

    Args:
        theta: parameters (Q,), changed in place.
        mean: Adam's first moments (Q,), changed in place.
        square: Adam's second moments (Q,), changed in place.
        count: Adam's steps so far, (1,), changed in place.
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        choices: the number of categories of each of the A choices.
        observations: (N, D).
        actions: (N, A).
        old_log_probs: (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        order: the transitions in the order in which they are learned from, at most (N,).
        batch_size: transitions of a minibatch; the last may be smaller.
        settings: hyper-parameters, (NUM_SETTINGS,).
        statistics: sums over minibatches (LOSS: the last one's), (NUM_STATISTICS,), added to.
    """
    total, width = order.shape[0], observations.shape[1]
    most = min(batch_size, total)
    per_row = layers[-1, PLACE] + layers[-1, OUTPUTS]
    widest = 0
    for at in range(len(layers)):
        widest = max(widest, layers[at, OUTPUTS], layers[at, INPUTS])
    outputs = np.empty(most * per_row, np.float32)
    spare = np.empty(2 * most * widest, np.float32)
    inputs_room = np.empty(most * width, np.float32)
    by_logits_room = np.empty(most * choices.sum(), np.float32)
    by_values_room = np.empty(most, np.float32)
    gradient = np.zeros(theta.shape[0], np.float32)
    now = np.zeros(NUM_STATISTICS)
    for start in range(0, total, batch_size):
        chosen = order[start : min(start + batch_size, total)]
        n = chosen.shape[0]
        inputs = inputs_room[: n * width].reshape(width, n)
        for i in range(n):
            for d in range(width):
                inputs[d, i] = observations[chosen[i], d]
        by_logits = by_logits_room[: n * choices.sum()].reshape(choices.sum(), n)
        by_values = by_values_room[:n].reshape(1, n)
        logits = forward(theta, layers, 0, num_policy_layers, relu, inputs, outputs)
        log_softmax(logits, choices)
        values = forward(theta, layers, num_policy_layers, len(layers), relu, inputs, outputs)
        loss_and_output_gradients(
            logits,
            values,
            choices,
            actions,
            old_log_probs,
            old_values,
            advantages,
            returns,
            chosen,
            settings,
            by_logits,
            by_values,
            now,
        )
        for j in range(NUM_STATISTICS):
            statistics[j] = now[j] if j == LOSS else statistics[j] + now[j]
        if now[KL] > 1.5 * settings[TARGET_KL]:
            return STOPPED_BY_KL
        backward(
            theta,
            layers,
            0,
            num_policy_layers,
            relu,
            inputs,
            outputs,
            by_logits,
            gradient,
            spare,
        )
        backward(
            theta,
            layers,
            num_policy_layers,
            len(layers),
            relu,
            inputs,
            outputs,
            by_values,
            gradient,
            spare,
        )
        if not clipped_step(theta, gradient, mean, square, count, now[LOSS], settings):
            return NOT_FINITE
    return GOES_ON
