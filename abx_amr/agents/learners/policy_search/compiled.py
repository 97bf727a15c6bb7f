"""Compiled: the scores of many networks, and whole episodes of many candidates in one clinic.

All candidates of an episode meet the same patients and the same luck, which are drawn once for
them. Inside, the last axis is the candidates', so that arithmetic runs on vector units.

Shapes: C candidates, Q weights, D observation entries, P patients, K antibiotics, U units of the
first layer, S inputs of the clinic. Weights (Q, C) hold, U rows each: biases, inputs of the clinic,
place, attributes, previous action; then, K+1 rows each: biases of the scores, hidden units.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator import kernel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Rows = NDArray[np.uint64]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Return `function` compiled on its first call, kept on disk, free of the interpreter lock."""
    dispatcher = numba.njit(
        cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp"}
    )(function)
    return cast(_Function, dispatcher)


# entries of `shape`
PATIENTS, ATTRIBUTES, TREATMENTS, HIDDEN, PREVIOUS = 0, 1, 2, 3, 4
_FLOOR = np.float32(1e-3)
_1F = np.float32(1.0)


@compiled
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


@compiled
def add_product(out: Floats32, weights: Floats32, x: Floats32) -> None:
    """Add weights * x to `out`, all (C,)."""
    for c in range(out.shape[0]):
        out[c] += weights[c] * x[c]


@compiled
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
def write_seen(
    state: Floats,
    observed: Floats,
    actions: Ints,
    num_antibiotics: int,
    shown: Ints,
    windows: Ints,
    since: int,
    previous: bool,
    horizon: int,
    time: int,
    seen: Floats32,
) -> None:
    """Write what all candidates see, seen (D, C): `kernel.write_observation`, turned around.

    Their clinics' state (C, W) and last actions (C, P) differ, the waiting patients do not.
    """
    k, num_candidates = num_antibiotics, state.shape[0]
    i = 0
    for p in range(observed.shape[0]):
        for v in range(shown.shape[0]):
            value = np.float32(observed[p, shown[v]])
            for c in range(num_candidates):
                seen[i, c] = value
            i += 1
    for j in range(k):
        for c in range(num_candidates):
            seen[i, c] = state[c, 3 * k + j]
        i += 1
    if windows.shape[0] > 0:
        for j in range(k):
            for w in range(windows.shape[0]):
                at = 5 * k + j * windows.shape[0] + w
                for c in range(num_candidates):
                    seen[i, c] = state[c, at] / windows[w]
                i += 1
        for j in range(k):
            for c in range(num_candidates):
                seen[i, c] = state[c, 4 * k + j]
            i += 1
    if since >= 0:
        for c in range(num_candidates):
            seen[i, c] = since
        i += 1
    if previous:
        for p in range(actions.shape[1]):
            for a in range(k + 1):
                for c in range(num_candidates):
                    seen[i, c] = time > 0 and actions[c, p] == a
                i += 1
    if horizon > 0:
        for c in range(num_candidates):
            seen[i, c] = (horizon - time) / horizon


@compiled
def step_resistance(
    state: Floats, c: int, actions: Ints, drugs: Floats, counts: Ints, doses: Floats
) -> None:
    """Let the pressures of clinic `c` answer to its actions, and keep the levels before."""
    k = drugs.shape[0]
    for j in range(k):
        counts[j] = 0
        doses[j] = 0.0
    for p in range(actions.shape[1]):
        if actions[c, p] < k:
            counts[actions[c, p]] += 1
    for i in range(k):
        for j in range(k):
            doses[j] += counts[i] * drugs[i, kernel.CROSS + j]
    for j in range(k):
        state[c, 2 * k + j] = state[c, k + j]
        state[c, j] = kernel.balloon_step(state[c, j], doses[j], drugs[j, kernel.LEAK])
        state[c, k + j] = kernel.balloon_level(
            state[c, j], drugs[j, kernel.FLATNESS], drugs[j, kernel.RESIDUAL]
        )


@compiled
def see_levels_of(
    before: Rows,
    after: Rows,
    state: Floats,
    c: int,
    num_antibiotics: int,
    refresh: bool,
    numbers: Floats,
    spare: Floats,
) -> None:
    """Refresh what clinic `c` sees of its levels when due: `kernel.see_levels`.

    The noise is drawn from `before` (4,), so that it is the same for all; `after` is behind it.
    """
    k = num_antibiotics
    if not refresh:
        for j in range(k):
            state[c, 4 * k + j] = 0.0
        return
    for j in range(k):
        state[c, 4 * k + j] = state[c, 3 * k + j]
    if numbers[kernel.VISIBLE_NOISE] > 0.0:
        after[:] = before
        visible = state[c, 3 * k : 4 * k]
        kernel.refresh_visible(after, state[c, k : 2 * k], numbers, visible, spare)
    else:
        for j in range(k):
            level = state[c, k + j] + numbers[kernel.VISIBLE_BIAS]
            state[c, 3 * k + j] = min(max(level, 0.0), 1.0)
    for j in range(k):
        state[c, 4 * k + j] = state[c, 3 * k + j] - state[c, 4 * k + j]


@compiled
def reward_of(
    state: Floats,
    c: int,
    actions: Ints,
    treated: Floats,
    drugs: Floats,
    numbers: Floats,
    doses: Floats,
    delta: Floats,
) -> float:
    """Return the reward of clinic `c` for the cohort treated (1, P, 8 + K+4)."""
    k = drugs.shape[0]
    chance = kernel.UNIFORMS + 1 + k
    if numbers[kernel.EPSILON] > 0.0:
        for j in range(k):
            delta[j] = kernel.balloon_delta(
                state[c, 3 * k + j],
                doses[j],
                drugs[j, kernel.LEAK],
                drugs[j, kernel.FLATNESS],
                drugs[j, kernel.RESIDUAL],
            )
    total = 0.0
    for p in range(actions.shape[1]):
        j = actions[c, p]
        is_treated = j < k
        drug = j if is_treated else 0
        value, _ = kernel.patient_outcome(
            treated[0, p, kernel.UNIFORMS] < treated[0, p, 0],
            is_treated,
            treated[0, p, kernel.UNIFORMS + 1 + drug] < 1.0 - state[c, 2 * k + drug],
            treated,
            0,
            p,
            treated[0, p, chance],
            treated[0, p, chance + 1],
            treated[0, p, chance + 2],
            numbers,
            drugs[drug, kernel.ADVERSE_PROBABILITY],
            drugs[drug, kernel.ADVERSE_VALUE],
        )
        if is_treated and numbers[kernel.EPSILON] > 0.0:
            value -= numbers[kernel.EPSILON] * delta[drug]
        total += value
    individual = total / actions.shape[1]
    if numbers[kernel.LAMBDA] == 0.0:
        return float(individual)
    community = kernel.community_reward(state[c, 3 * k : 4 * k])
    return float(kernel.whole_reward(individual, community, numbers[kernel.LAMBDA]))


@compiled
def play_episode(
    row: Rows,
    weights: Floats32,
    reads: Ints,
    offsets: Floats32,
    scales: Floats32,
    shape: Ints,
    observation_size: int,
    initial: Floats,
    drugs: Floats,
    groups: Floats,
    numbers: Floats,
    shown: Ints,
    windows: Ints,
    update_every: int,
    since_seen: bool,
    previous_seen: bool,
    horizon_seen: int,
    num_steps: int,
    returns: Floats,
) -> None:
    """Write the undiscounted returns of all candidates in the episode of one stream to (C,).

    `row` is the stream's state (4,), advanced; weights (Q, C). The laws and the order of draws are
    those of `kernel.reset_clinic` and `kernel.step_clinic`.
    """
    num_candidates, num_patients = weights.shape[1], int(shape[PATIENTS])
    k = drugs.shape[0]
    num_windows = windows.shape[0]
    longest = windows.max() if num_windows > 0 else 0
    state = np.zeros((num_candidates, k * (5 + num_windows + longest)))
    actions = np.zeros((num_candidates, num_patients), np.int64)
    treated = np.zeros((1, num_patients, kernel.UNIFORMS + k + 4))
    waiting = np.zeros((1, num_patients, kernel.UNIFORMS + k + 4))
    observed = np.empty((num_patients, kernel.NUM_ATTRIBUTES))
    spare = np.empty(max(48 * num_patients, 3 * k))
    doses, delta, counts = np.empty(k), np.zeros(k), np.zeros(k, np.int64)
    seen = np.zeros((observation_size, num_candidates), np.float32)
    num_units = int(shape[HIDDEN]) if shape[HIDDEN] > 0 else int(shape[TREATMENTS])
    x = np.empty(num_candidates, np.float32)
    common = np.empty((num_units, num_candidates), np.float32)
    units = np.empty((num_units, num_candidates), np.float32)
    scores = np.empty((int(shape[TREATMENTS]), num_candidates), np.float32)
    before = row.copy()
    returns[:] = 0.0
    for c in range(num_candidates):
        for j in range(k):
            state[c, j] = initial[0, j]
            state[c, k + j] = initial[1, j]
        see_levels_of(before, row, state, c, k, True, numbers, spare)
        for j in range(k):
            state[c, 4 * k + j] = 0.0
    kernel.sample_patients(row, groups, waiting[0], observed, spare)
    kernel.draw_luck(row, waiting[0])
    for time in range(1, num_steps + 1):
        since = (time - 1) % update_every if since_seen else -1
        write_seen(
            state,
            observed,
            actions,
            k,
            shown,
            windows,
            since,
            previous_seen,
            horizon_seen,
            time - 1,
            seen,
        )
        choose(weights, seen, reads, offsets, scales, shape, x, common, units, scores, actions)
        treated, waiting = waiting, treated
        refresh = time % update_every == 0
        before[:] = row
        for c in range(num_candidates):
            step_resistance(state, c, actions, drugs, counts, doses)
            see_levels_of(before, row, state, c, k, refresh, numbers, spare)
            returns[c] += reward_of(state, c, actions, treated, drugs, numbers, doses, delta)
            if num_windows > 0:
                kernel.remember_prescriptions(state[c], actions[c], k, windows, time)
        kernel.sample_patients(row, groups, waiting[0], observed, spare)
        kernel.draw_luck(row, waiting[0])
