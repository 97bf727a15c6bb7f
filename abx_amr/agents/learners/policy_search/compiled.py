"""Compiled: the scores of many networks, and whole episodes of many candidates in one clinic.

All candidates of an episode meet the same patients and the same luck, which are drawn once for
them. Inside, the last axis is the candidates', so that arithmetic runs on vector units.

Shapes: C candidates, Q weights, D observation entries, P patients, K antibiotics, U units of the
first layer, S inputs of the clinic. Weights (Q, C) hold, U rows each: biases, inputs of the clinic,
place, attributes, previous action; then, K+1 rows each: biases of the scores, hidden units.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled, compiled_polynomial
from abx_amr.simulator.kernel.layout import Batch, new_batch, tables_of
from abx_amr.simulator.kernel.step import begin_episodes, take_step

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Rows = NDArray[np.uint64]
# entries of `shape`
PATIENTS, ATTRIBUTES, TREATMENTS, HIDDEN, PREVIOUS = 0, 1, 2, 3, 4
_FLOOR = np.float32(1e-3)
_1F = np.float32(1.0)


@compiled_polynomial
def replace_by_tanh(x: Floats32) -> None:
    """Replace `x` (n,) by tanh(x), to 3e-7 (the coefficients of Eigen's float tanh)."""
    for i in range(x.shape[0]):
        v = min(max(x[i], np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
        y = v * v
        over = np.float32(-2.76076847742355e-16) * y + np.float32(2.00018790482477e-13)
        over = over * y + np.float32(-8.60467152213735e-11)
        over = over * y + np.float32(5.12229709037114e-08)
        over = over * y + np.float32(1.48572235717979e-05)
        over = over * y + np.float32(6.37261928875436e-04)
        over = over * y + np.float32(4.89352455891786e-03)
        under = np.float32(1.19825839466702e-06) * y + np.float32(1.18534705686654e-04)
        under = under * y + np.float32(2.26843463243900e-03)
        under = under * y + np.float32(4.89352518554385e-03)
        x[i] = v * over / under


@compiled_polynomial
def add_product(out: Floats32, weights: Floats32, x: Floats32) -> None:
    """Add weights * x to `out`, all (C,)."""
    for c in range(out.shape[0]):
        out[c] += weights[c] * x[c]


@compiled_polynomial
def choose(
    weights: Floats32,
    seen: Floats32,
    reads: Ints,
    offsets: Floats32,
    scales: Floats32,
    shape: Ints,
    x: Floats32,
    common: Floats32,
    units: Floats32,
    scores: Floats32,
    actions: Ints,
) -> None:
    """Write the treatment of the highest score, the first of equals, to actions (C, P).

    Weights (Q, C), seen (D, C); `reads` (S, 2) and the first S of `offsets` and `scales` say what
    is read of the clinic, their last V how attributes are. x (C,), common and units (U, C) and
    scores (K+1, C) are overwritten.
    """
    num_candidates, num_units = seen.shape[1], common.shape[0]
    num_treatments, hidden = shape[TREATMENTS], shape[HIDDEN]
    for u in range(num_units):
        common[u] = weights[u]
    at = num_units
    for s in range(reads.shape[0]):
        entry = seen[reads[s, 0]]
        if reads[s, 1] == 1:
            for c in range(num_candidates):
                x[c] = (np.float32(math.log(entry[c] + _FLOOR)) + offsets[s]) * scales[s]
        else:
            for c in range(num_candidates):
                x[c] = (entry[c] + offsets[s]) * scales[s]
        for u in range(num_units):
            add_product(common[u], weights[at + u], x)
        at += num_units
    for p in range(shape[PATIENTS]):
        row = at
        place = np.float32(2 * p + 1 - shape[PATIENTS]) / np.float32(max(1, shape[PATIENTS] - 1))
        for u in range(num_units):
            for c in range(num_candidates):
                units[u, c] = common[u, c] + place * weights[row + u, c]
        row += num_units
        for v in range(shape[ATTRIBUTES]):
            entry = seen[p * shape[ATTRIBUTES] + v]
            scale = reads.shape[0] + v
            for c in range(num_candidates):
                x[c] = (entry[c] + offsets[scale]) * scales[scale]
            for u in range(num_units):
                add_product(units[u], weights[row + u], x)
            row += num_units
        if shape[PREVIOUS] >= 0:
            for k in range(num_treatments):
                entry = seen[shape[PREVIOUS] + p * num_treatments + k]
                for u in range(num_units):
                    add_product(units[u], weights[row + u], entry)
                row += num_units
        if hidden > 0:
            for k in range(num_treatments):
                scores[k] = weights[row + k]
            row += num_treatments
            for u in range(num_units):
                replace_by_tanh(units[u])
                for k in range(num_treatments):
                    add_product(scores[k], weights[row + k], units[u])
                row += num_treatments
            take_highest(scores, actions[:, p])
        else:
            take_highest(units, actions[:, p])


@compiled
def take_highest(scores: Floats32, actions: Ints) -> None:
    """Write the row of the highest score of each column (K+1, C), the first of equals, to (C,)."""
    for c in range(actions.shape[0]):
        best = 0
        for k in range(1, scores.shape[0]):
            if scores[k, c] > scores[best, c]:
                best = k
        actions[c] = best


@compiled
def choose_for(
    weights: Floats32,
    seen: Floats32,
    reads: Ints,
    offsets: Floats32,
    scales: Floats32,
    shape: Ints,
    actions: Ints,
) -> None:
    """Write the treatments of observations (D, C) under weights (Q, C) to actions (C, P)."""
    num_units = shape[HIDDEN] if shape[HIDDEN] > 0 else shape[TREATMENTS]
    count = seen.shape[1]
    choose(
        weights,
        seen,
        reads,
        offsets,
        scales,
        shape,
        np.empty(count, np.float32),
        np.empty((num_units, count), np.float32),
        np.empty((num_units, count), np.float32),
        np.empty((shape[TREATMENTS], count), np.float32),
        actions,
    )


@compiled
def play_episode(
    row: Rows,
    floats: Floats,
    whole: Ints,
    num_steps: int,
    observation_size: int,
    weights: Floats32,
    reads: Ints,
    offsets: Floats32,
    scales: Floats32,
    shape: Ints,
    returns: Floats,
) -> None:
    """Write the undiscounted returns of all candidates in the episode of one stream to (C,).

    All meet the same patients and the same luck: one stream `row` (1, 4), advanced.

    Args:
        row: The stream's state.
        floats: The clinic's tables, see `Clinic.compiled_parts`.
        whole: The rest of them.
        num_steps: Of the episode.
        observation_size: D.
        weights: Of the candidates, (Q, C); what follows is as in `choose`.
        reads: Of the network.
        offsets: Of the network.
        scales: Of the network.
        shape: Of the network.
        returns: Overwritten.
    """
    tables = tables_of(floats, whole)
    num_candidates, num_patients = weights.shape[1], int(shape[PATIENTS])
    num_treatments, hidden = int(shape[TREATMENTS]), int(shape[HIDDEN])
    num_units = hidden if hidden > 0 else num_treatments
    batch = new_batch(row, num_candidates, num_patients, num_treatments - 1, tables.windows)
    observation = np.empty((num_candidates, observation_size), np.float32)
    seen = np.empty((observation_size, num_candidates), np.float32)
    actions = np.zeros((num_candidates, num_patients), np.int64)
    reward = np.empty(num_candidates)
    x = np.empty(num_candidates, np.float32)
    common = np.empty((num_units, num_candidates), np.float32)
    units = np.empty((num_units, num_candidates), np.float32)
    scores = np.empty((num_treatments, num_candidates), np.float32)
    returns[:] = 0.0
    begin_episodes(None, batch, tables, observation)
    for time in range(1, num_steps + 1):
        for c in range(num_candidates):
            for d in range(observation_size):
                seen[d, c] = observation[c, d]
        choose(weights, seen, reads, offsets, scales, shape, x, common, units, scores, actions)
        take_step(None, batch, tables, actions, time, observation, reward)
        batch = Batch(batch.rows, batch.state, batch.treated, batch.waiting)
        for c in range(num_candidates):
            returns[c] += reward[c]
