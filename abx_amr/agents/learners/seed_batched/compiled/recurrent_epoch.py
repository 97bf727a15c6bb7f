"""One pass over a seed's rollout in minibatches, with LSTMs below, in the order of the episodes.

Shapes: N transitions, T steps, D observation entries, A choices per action, Q parameters, M LSTMs,
H their hidden units.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.adam import clipped_step
from abx_amr.agents.learners.seed_batched.compiled.categories import log_softmax
from abx_amr.agents.learners.seed_batched.compiled.dense import backward, forward
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    GOES_ON,
    HIDDEN,
    INPUTS,
    KL,
    LOSS,
    NOT_FINITE,
    NUM_STATISTICS,
    NUM_TRACES,
    OUTPUTS,
    PLACE,
    STOPPED_BY_KL,
    TARGET_KL,
)
from abx_amr.agents.learners.seed_batched.compiled.loss import loss_and_output_gradients
from abx_amr.agents.learners.seed_batched.compiled.lstm import lstm_backward, lstm_forward
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_0F = np.float32(0.0)


@compiled_sums
def learn_epoch_with_memory(
    theta: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    choices: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    steps: int,
    actions: Ints,
    old_log_probs: Floats32,
    old_values: Floats32,
    advantages: Floats32,
    returns: Floats32,
    split: int,
    batch_size: int,
    settings: Floats,
    statistics: Floats,
) -> int:
    """Pass once over a seed's rollout as `learn_epoch` does, with recurrent networks.

    The transitions are learned from in the order `split`, ..., N - 1, 0, ..., `split` - 1, as
    sb3-contrib's RecurrentRolloutBuffer gives them. Within a minibatch a sequence begins at its
    first transition, where an episode begins and where another environment follows; it begins with
    the memory of its rollout. The sequences are walked one after the other, so that none is padded.

    Args:
        theta: parameters (Q,), changed in place.
        mean: Adam's first moments (Q,), changed in place.
        square: Adam's second moments (Q,), changed in place.
        count: Adam's steps so far, (1,), changed in place.
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        lstms: the table.
        choices: the number of categories of each of the A choices.
        observations: (N, D), environment by environment.
        starts: 1 where an episode begins, (N,).
        memory: what was remembered before each transition, (N, 2 M H).
        steps: T.
        actions: (N, A).
        old_log_probs: (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        split: the transition that is learned from first.
        batch_size: transitions of a minibatch; the last may be smaller.
        settings: hyper-parameters, (NUM_SETTINGS,).
        statistics: sums over minibatches (LOSS: the last one's), (NUM_STATISTICS,), added to.
    """
    total, width = observations.shape
    most = min(batch_size, total)
    num_lstms, hidden = len(lstms), lstms[0, HIDDEN]
    per_row = layers[-1, PLACE] + layers[-1, OUTPUTS]
    widest = 0
    for at in range(len(layers)):
        widest = max(widest, layers[at, OUTPUTS], layers[at, INPUTS])
    outputs = np.empty(most * per_row, np.float32)
    spare = np.empty(2 * most * widest, np.float32)
    gates_room = np.empty(num_lstms * most * 4 * hidden, np.float32)
    trace_room = np.empty(num_lstms * NUM_TRACES * most * hidden, np.float32)
    gradient = np.zeros(theta.shape[0], np.float32)
    now = np.zeros(NUM_STATISTICS)
    first_value = num_policy_layers + 2 - num_lstms  # the first layer above what is remembered
    for start in range(0, total, batch_size):
        n = min(batch_size, total - start)
        chosen = np.empty(n, np.int32)
        begins = np.empty(n, np.bool_)
        inputs = np.empty((n, width), np.float32)
        before = np.zeros((num_lstms, n, 2 * hidden), np.float32)
        for i in range(n):
            row = (split + start + i) % total
            chosen[i] = row
            inputs[i] = observations[row]
            begins[i] = i == 0 or starts[row] > _0F or row % steps == 0
            if begins[i] and starts[row] == _0F:
                for m in range(num_lstms):
                    before[m, i] = memory[row, 2 * hidden * m : 2 * hidden * (m + 1)]
        gates = gates_room[: num_lstms * n * 4 * hidden].reshape(num_lstms, n, 4 * hidden)
        trace = trace_room[: num_lstms * NUM_TRACES * n * hidden].reshape(
            num_lstms, NUM_TRACES, n, hidden
        )
        latent = np.empty((2, hidden, n), np.float32)
        for m in range(num_lstms):
            lstm_forward(theta, lstms[m], inputs, begins, before[m], gates[m], trace[m], latent[m])
        columns = latent[0]
        if num_lstms == 1:
            columns = inputs.T.copy()
            latent[1] = forward(
                theta, layers, num_policy_layers, first_value, relu, columns, outputs
            )
        by_logits = np.empty((choices.sum(), n), np.float32)
        by_values = np.empty((1, n), np.float32)
        logits = forward(theta, layers, 0, num_policy_layers, relu, latent[0], outputs)
        log_softmax(logits, choices)
        values = forward(theta, layers, first_value, len(layers), relu, latent[1], outputs)
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
        by_latent = np.empty((hidden, n), np.float32)
        for m in range(2):
            first, last, by_outputs = 0, num_policy_layers, by_logits
            if m == 1:
                first, last, by_outputs = first_value, len(layers), by_values
            delta = backward(
                theta, layers, first, last, relu, latent[m], outputs, by_outputs, gradient, spare
            )
            w, rows, cols, _ = layers[first]
            np.dot(theta[w : w + rows * cols].reshape(rows, cols).T, delta, by_latent)
            if m < num_lstms:
                lstm_backward(
                    theta, lstms[m], inputs, begins, gates[m], trace[m], by_latent, gradient
                )
            else:
                backward(
                    theta,
                    layers,
                    num_policy_layers,
                    first_value,
                    relu,
                    columns,
                    outputs,
                    by_latent,
                    gradient,
                    spare,
                )
        if not clipped_step(theta, gradient, mean, square, count, now[LOSS], settings):
            return NOT_FINITE
    return GOES_ON
