"""Whole episodes under the likeliest actions of one agent's networks.

What is computed here differs from the library's arithmetic in the last bits, so that it decides
only where that cannot matter: where two categories are too near to be told apart, it stops, and the
library is asked.

Shapes: E environments, T steps, A choices per action, C categories of all choices, D observation
entries, F features of them, R rows of a state, K antibiotics, Q parameters, H hidden units of the
policy's LSTM.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.cohort import patients_inputs, side_by_side
from abx_amr.agents.learners.seed_batched.compiled.dense import forward
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    HIDDEN,
    INPUTS,
    OUTPUTS,
    PLACE,
    WEIGHTS,
)
from abx_amr.agents.learners.seed_batched.compiled.recurrent_acting import remember
from abx_amr.simulator.kernel.compiling import compiled, compiled_sums
from abx_amr.simulator.kernel.layout import Batch, tables_of
from abx_amr.simulator.kernel.step import take_step

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

#: Categories are told apart by more than this share of the sum of sizes that made their scores.
#: Errors are some 3e-7 of it: those of products in float32 and of tanh (see `elementary.tanh_of`).
NEAR = np.float32(1e-5)
_0F = np.float32(0.0)
_1F = np.float32(1.0)


class Decider(NamedTuple):
    """An agent's policy as compiled code reads it.

    Attributes:
        theta: Parameters, (Q,).
        layers: The policy's rows of the table.
        relu: Whether hidden layers end in relu, else tanh.
        lstms: The table; none without an LSTM.
        reads: Which features are read for each patient, (P, R); (0, 0) for one network of all.
        choices: The number of categories of each choice, (A,).
        mean: What is subtracted from each observation entry, (D,); (0,) where none is normalised.
        deviation: What it is then divided by, (D,).
        clip: Where it is then clipped, on both sides.
        levels: The entries whose logarithm follows the observation.
        log_floor: What is added to them before.
        log_half: What the logarithm is divided by; 1 less the result follows.
    """

    theta: Floats32
    layers: Ints
    relu: bool
    lstms: Ints
    reads: Ints
    choices: Ints
    mean: Floats
    deviation: Floats
    clip: float
    levels: Ints
    log_floor: float
    log_half: float


@compiled
def features_of(decider: Decider, observation: Floats32, seen: Floats32) -> None:
    """Write what the networks are given of observations (E, D) to `seen` (F, E)."""
    num_envs, size = observation.shape
    for e in range(num_envs):
        for d in range(size):
            if decider.mean.shape[0] > 0:
                value = (observation[e, d] - decider.mean[d]) / decider.deviation[d]
                seen[d, e] = np.float32(min(max(value, -decider.clip), decider.clip))
            else:
                seen[d, e] = observation[e, d]
        for k in range(decider.levels.shape[0]):
            level = seen[decider.levels[k], e] + decider.log_floor
            seen[size + k, e] = np.float32(1.0 - math.log(level) / decider.log_half)


@compiled_sums
def score_sizes(theta: Floats32, layer: Ints, below: Floats32, sizes: Floats32) -> None:
    """Write to sizes (n,) the largest sum of |weight * input| of the outputs of a layer.

    Inputs `below` are (inputs, n).
    """
    at, outputs, inputs = layer[WEIGHTS], layer[OUTPUTS], layer[INPUTS]
    total = np.empty(sizes.shape[0], np.float32)
    sizes[:] = _0F
    for k in range(outputs):
        bias = abs(theta[at + outputs * inputs + k])
        for i in range(sizes.shape[0]):
            total[i] = bias
        for j in range(inputs):
            weight = abs(theta[at + k * inputs + j])
            for i in range(sizes.shape[0]):
                total[i] += weight * abs(below[j, i])
        for i in range(sizes.shape[0]):
            sizes[i] = max(sizes[i], total[i])


@compiled
def top_layer(decider: Decider, inputs: Floats32, outputs: Floats32, sizes: Floats32) -> Floats32:
    """Return the scores (outputs, n) of inputs (F, n), and write their sizes, see `score_sizes`."""
    theta, layers, n = decider.theta, decider.layers, inputs.shape[1]
    scores = forward(theta, layers, 0, len(layers), decider.relu, inputs, outputs)
    below = inputs
    if len(layers) > 1:
        place, width = layers[-2, PLACE], layers[-2, OUTPUTS]
        below = outputs[n * place : n * (place + width)].reshape(width, n)
    score_sizes(theta, layers[-1], below, sizes)
    return scores


@compiled
def scores_of(
    decider: Decider, seen: Floats32, memory: Floats32, scores: Floats32, sizes: Floats32
) -> None:
    """Write the scores of all categories (C, E) for features (F, E), and their sizes (A or 1, E).

    `memory` (E, 2 H) becomes that after the step.
    """
    layers, n = decider.layers, seen.shape[1]
    num_patients = decider.reads.shape[0]
    columns = max(1, num_patients) * n
    outputs = np.empty(columns * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    if num_patients > 0:
        inputs = np.empty((1 + decider.reads.shape[1], columns), np.float32)
        patients_inputs(seen, decider.reads, inputs)
        flat = sizes.reshape(columns)
        side_by_side(top_layer(decider, inputs, outputs, flat), scores)
    elif decider.lstms.shape[0] > 0:
        latent = np.empty((decider.lstms[0, HIDDEN], n), np.float32)
        remember(decider.theta, decider.lstms, 0, seen.T.copy(), memory, latent)
        scores[:] = top_layer(decider, latent, outputs, sizes[0])
    else:
        scores[:] = top_layer(decider, seen, outputs, sizes[0])


@compiled
def take_likeliest(scores: Floats32, sizes: Floats32, choices: Ints, actions: Ints) -> bool:
    """Write the likeliest actions (E, A); return whether none is in doubt.

    Scores are (C, E), their sizes (A or 1, E).
    """
    is_sure = True
    for i in range(scores.shape[1]):
        at = 0
        for a in range(choices.shape[0]):
            best, second = at, -1
            for j in range(at + 1, at + choices[a]):
                if scores[j, i] > scores[best, i]:
                    best, second = j, best
                elif second < 0 or scores[j, i] > scores[second, i]:
                    second = j
            if second >= 0:
                margin = scores[best, i] - scores[second, i]
                # Not `margin <= ...`: what is not a number is in doubt.
                is_sure &= margin > NEAR * sizes[min(a, sizes.shape[0] - 1), i]
            actions[i, a] = best - at
            at += choices[a]
    return is_sure


@compiled
def decide(decider: Decider, observation: Floats32, memory: Floats32, actions: Ints) -> bool:
    """Write the likeliest actions (E, A) on observations (E, D); return whether none is in doubt.

    `memory` (E, 2 H) becomes that after the step.
    """
    n = observation.shape[0]
    size = observation.shape[1] + decider.levels.shape[0]
    seen = np.empty((size, n), np.float32)
    scores = np.empty((decider.choices.sum(), n), np.float32)
    sizes = np.empty((max(1, decider.reads.shape[0]), n), np.float32)
    features_of(decider, observation, seen)
    scores_of(decider, seen, memory, scores, sizes)
    return take_likeliest(scores, sizes, decider.choices, actions)


@compiled
def play_steps(
    decider: Decider,
    batch: Batch,
    floats: Floats,
    whole: Ints,
    observation: Floats32,
    memory: Floats32,
    actions: Ints,
    time: int,
    first: int,
    is_decided: bool,
    observations: Floats32,
    states: Floats,
    patients: Floats,
) -> int:
    """Make and record steps `first` to T - 1 of a recording, up to one that is in doubt.

    Args:
        decider: Who decides.
        batch: The clinics, whose components are all shipped ones; cohorts change places each step.
        floats: The clinic's packed tables.
        whole: The rest of them.
        observation: What is seen now (E, D), replaced.
        memory: What the episodes remember (E, 2 H), replaced.
        actions: (E, A), overwritten; those of step `first` where `is_decided`.
        time: Steps of the episodes made before step 0 of the recording.
        first: The first step.
        is_decided: Whether the actions of step `first` are given.
        observations: Recorded, (T, E, D).
        states: Recorded, (T, E, R, K).
        patients: Recorded, (T, E, P, 8 + K+4).

    Returns:
        The step that is in doubt, before which it stopped; T if all were made.
    """
    tables = tables_of(floats, whole)
    num_steps: int = states.shape[0]
    reward = np.empty(observation.shape[0])
    for t in range(first, num_steps):
        observations[t] = observation
        if not is_decided and not decide(decider, observation, memory, actions):
            return t
        is_decided = False
        take_step(None, batch, tables, actions, time + t + 1, observation, reward)
        batch = Batch(batch.rows, batch.state, batch.treated, batch.waiting)
        states[t] = batch.state
        patients[t] = batch.treated
    return num_steps
