"""Actions, and a pass over a rollout, where the patients of a cohort share the policy's network.

The policy's layers are applied to a column for each patient of each sample: patient p of n samples
has the columns p * n to (p + 1) * n - 1. The value function reads the whole observation, as ever.

Shapes: S seeds, E environments of a seed, N transitions, n of a minibatch, D observation entries, P
patients, C categories of each patient's choice, R entries read for a patient, Q parameters.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.adam import clipped_step
from abx_amr.agents.learners.seed_batched.compiled.categories import choose, log_softmax
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

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Order = NDArray[np.int32]
Streams = NDArray[np.uint64]


@compiled_sums
def patients_inputs(seen: Floats32, reads: Ints, inputs: Floats32) -> None:
    """Write what is read for each patient of observations (D, n) to `inputs` (1 + R, P * n).

    The first is the place in the cohort, from -1 to 1; `reads` (P, R) are entries of the rest.
    """
    n, num_patients = seen.shape[1], reads.shape[0]
    for p in range(num_patients):
        place = np.float32(2 * p + 1 - num_patients) / np.float32(max(1, num_patients - 1))
        for i in range(n):
            inputs[0, p * n + i] = place
        for r in range(reads.shape[1]):
            for i in range(n):
                inputs[1 + r, p * n + i] = seen[reads[p, r], i]


@compiled_sums
def side_by_side(of_patients: Floats32, of_cohort: Floats32) -> None:
    """Write what is patient by patient (C, P * n) as choices of the cohort, (P * C, n)."""
    categories, n = of_patients.shape[0], of_cohort.shape[1]
    for p in range(of_cohort.shape[0] // categories):
        for k in range(categories):
            for i in range(n):
                of_cohort[p * categories + k, i] = of_patients[k, p * n + i]


@compiled_sums
def one_by_one(of_cohort: Floats32, of_patients: Floats32) -> None:
    """Write what is of the cohort's choices (P * C, n) patient by patient, (C, P * n)."""
    categories, n = of_patients.shape[0], of_cohort.shape[1]
    for p in range(of_cohort.shape[0] // categories):
        for k in range(categories):
            for i in range(n):
                of_patients[k, p * n + i] = of_cohort[p * categories + k, i]


@compiled_sums
def act_for_cohort(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    reads: Ints,
    choices: Ints,
    observations: Floats32,
    streams: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
    values: Floats32,
) -> None:
    """Choose actions for every seed as `act` does, patient by patient with one network.

    Args:
        theta: (S, Q).
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        reads: which entries are read for each patient, (P, R).
        choices: the number of categories of each of the P choices.
        observations: (S * E, D), seed by seed.
        streams: (S, 4), advanced unless the choice is deterministic.
        is_deterministic: take the likeliest (the first of equals) instead of a drawn category.
        actions: (S * E, P), written.
        log_probs: (S * E,), written.
        values: (S * E,), written.
    """
    num_seeds, num_patients = theta.shape[0], reads.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(num_patients * n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    inputs = np.empty((1 + reads.shape[1], num_patients * n), np.float32)
    logits = np.empty((choices.sum(), n), np.float32)
    for s in range(num_seeds):
        seen = observations[s * n : (s + 1) * n].T.copy()
        patients_inputs(seen, reads, inputs)
        side_by_side(forward(theta[s], layers, 0, num_policy_layers, relu, inputs, outputs), logits)
        log_softmax(logits, choices)
        value = forward(theta[s], layers, num_policy_layers, len(layers), relu, seen, outputs)
        rows = slice(s * n, (s + 1) * n)
        choose(logits, choices, streams[s], is_deterministic, actions[rows], log_probs[rows])
        values[rows] = value[0]


@compiled_sums
def learn_epoch_of_cohort(
    theta: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    reads: Ints,
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
    """Pass once over a seed's rollout as `learn_epoch` does, with one network for all patients.

    Args:
        theta: parameters (Q,), changed in place.
        mean: Adam's first moments (Q,), changed in place.
        square: Adam's second moments (Q,), changed in place.
        count: Adam's steps so far, (1,), changed in place.
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        reads: which entries are read for each patient, (P, R).
        choices: the number of categories of each of the P choices.
        observations: (N, D).
        actions: (N, P).
        old_log_probs: (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        order: the transitions in the order in which they are learned from, at most (N,).
        batch_size: transitions of a minibatch; the last may be smaller.
        settings: hyper-parameters, (NUM_SETTINGS,).
        statistics: sums over minibatches (LOSS: the last one's), (NUM_STATISTICS,), added to.
    """
    total, width, num_patients = order.shape[0], observations.shape[1], reads.shape[0]
    most, num_read = min(batch_size, total), 1 + reads.shape[1]
    num_categories = choices[0]
    per_row = layers[-1, PLACE] + layers[-1, OUTPUTS]
    widest = 0
    for at in range(len(layers)):
        widest = max(widest, layers[at, OUTPUTS], layers[at, INPUTS])
    outputs = np.empty(most * per_row, np.float32)
    patients_outputs = np.empty(num_patients * most * per_row, np.float32)
    spare = np.empty(2 * num_patients * most * widest, np.float32)
    seen_room = np.empty(most * width, np.float32)
    inputs_room = np.empty(num_patients * most * num_read, np.float32)
    logits_room = np.empty(most * choices.sum(), np.float32)
    by_logits_room = np.empty(most * choices.sum(), np.float32)
    by_patients_room = np.empty(most * choices.sum(), np.float32)
    by_values_room = np.empty(most, np.float32)
    gradient = np.zeros(theta.shape[0], np.float32)
    now = np.zeros(NUM_STATISTICS)
    for start in range(0, total, batch_size):
        chosen = order[start : min(start + batch_size, total)]
        n = chosen.shape[0]
        columns = num_patients * n
        seen = seen_room[: n * width].reshape(width, n)
        for i in range(n):
            for d in range(width):
                seen[d, i] = observations[chosen[i], d]
        inputs = inputs_room[: columns * num_read].reshape(num_read, columns)
        patients_inputs(seen, reads, inputs)
        logits = logits_room[: n * choices.sum()].reshape(choices.sum(), n)
        by_logits = by_logits_room[: n * choices.sum()].reshape(choices.sum(), n)
        by_patients = by_patients_room[: n * choices.sum()].reshape(num_categories, columns)
        by_values = by_values_room[:n].reshape(1, n)
        side_by_side(
            forward(theta, layers, 0, num_policy_layers, relu, inputs, patients_outputs), logits
        )
        log_softmax(logits, choices)
        values = forward(theta, layers, num_policy_layers, len(layers), relu, seen, outputs)
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
        one_by_one(by_logits, by_patients)
        backward(
            theta,
            layers,
            0,
            num_policy_layers,
            relu,
            inputs,
            patients_outputs,
            by_patients,
            gradient,
            spare,
        )
        backward(
            theta,
            layers,
            num_policy_layers,
            len(layers),
            relu,
            seen,
            outputs,
            by_values,
            gradient,
            spare,
        )
        if not clipped_step(theta, gradient, mean, square, count, now[LOSS], settings):
            return NOT_FINITE
    return GOES_ON
