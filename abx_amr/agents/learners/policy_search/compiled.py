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
    nothing = np.zeros(0, np.int64)
    treated = np.zeros((num_patients, kernel.UNIFORMS + k + 4))
    waiting = np.zeros((num_patients, kernel.UNIFORMS + k + 4))
    observed = np.empty((num_patients, kernel.NUM_ATTRIBUTES))
    spare = np.empty(max(48 * num_patients, 3 * k))
    doses, delta = np.empty(k), np.zeros(k)
    one = np.zeros(observation_size, np.float32)
    seen = np.zeros((observation_size, num_candidates), np.float32)
    num_units = int(shape[HIDDEN]) if shape[HIDDEN] > 0 else int(shape[TREATMENTS])
    x = np.empty(num_candidates, np.float32)
    common = np.empty((num_units, num_candidates), np.float32)
    units = np.empty((num_units, num_candidates), np.float32)
    scores = np.empty((int(shape[TREATMENTS]), num_candidates), np.float32)
    before = row.copy()
    after = row.copy()

    returns[:] = 0.0
    for c in range(num_candidates):
        for j in range(k):
            state[c, j] = initial[0, j]
            state[c, k + j] = initial[1, j]
        after[:] = before
        kernel.see_levels(after, state[c], k, True, numbers, spare)
        state[c, 4 * k : 5 * k] = 0.0
    kernel.sample_patients(after, groups, waiting, observed, spare)
    kernel.draw_luck(after, waiting)
    for time in range(1, num_steps + 1):
        last_since = (time - 1) % update_every
        for c in range(num_candidates):
            kernel.write_observation(
                state[c],
                observed,
                actions[c] if time > 1 else nothing,
                k,
                shown,
                windows,
                last_since if since_seen else -1,
                previous_seen,
                horizon_seen,
                time - 1,
                one,
            )
            for d in range(observation_size):
                seen[d, c] = one[d]
        choose(weights, seen, reads, offsets, scales, shape, x, common, units, scores, actions)
        treated, waiting = waiting, treated
        refresh = time % update_every == 0
        before[:] = after
        for c in range(num_candidates):
            now = state[c]
            kernel.effective_doses(actions[c], drugs[:, kernel.CROSS :], doses)
            for j in range(k):
                now[2 * k + j] = now[k + j]
                now[j] = kernel.balloon_step(now[j], doses[j], drugs[j, kernel.LEAK])
                now[k + j] = kernel.balloon_level(
                    now[j], drugs[j, kernel.FLATNESS], drugs[j, kernel.RESIDUAL]
                )
            after[:] = before
            kernel.see_levels(after, now, k, refresh, numbers, spare)
            if numbers[kernel.EPSILON] > 0.0:
                for j in range(k):
                    delta[j] = kernel.balloon_delta(
                        now[3 * k + j],
                        doses[j],
                        drugs[j, kernel.LEAK],
                        drugs[j, kernel.FLATNESS],
                        drugs[j, kernel.RESIDUAL],
                    )
            returns[c] += treated_reward(treated, actions[c], now, drugs, numbers, delta)
            if num_windows > 0:
                kernel.remember_prescriptions(now, actions[c], k, windows, time)
        kernel.sample_patients(after, groups, waiting, observed, spare)
        kernel.draw_luck(after, waiting)
    row[:] = after


@compiled
def treated_reward(
    treated: Floats, actions: Ints, now: Floats, drugs: Floats, numbers: Floats, delta: Floats
) -> float:
    """Return the reward of one environment's cohort (P, 8 + K+4) under actions (P,)."""
    k = drugs.shape[0]
    chance = kernel.UNIFORMS + 1 + k
    total = 0.0
    for p in range(actions.shape[0]):
        j = actions[p]
        is_treated = j < k
        drug = j if is_treated else 0
        value, _ = one_outcome(treated, p, is_treated, drug, chance, now, drugs, numbers)
        if is_treated and numbers[kernel.EPSILON] > 0.0:
            value -= numbers[kernel.EPSILON] * delta[drug]
        total += value
    community = kernel.community_reward(now[3 * k : 4 * k])
    return float(kernel.whole_reward(total / actions.shape[0], community, numbers[kernel.LAMBDA]))


@compiled
def one_outcome(
    treated: Floats,
    p: int,
    is_treated: bool,
    drug: int,
    chance: int,
    now: Floats,
    drugs: Floats,
    numbers: Floats,
) -> tuple[float, int]:
    """Return (value without the epsilon term, events) of patient `p`."""
    k = drugs.shape[0]
    cohort = treated.reshape(1, treated.shape[0], treated.shape[1])
    return kernel.patient_outcome(
        treated[p, kernel.UNIFORMS] < treated[p, 0],
        is_treated,
        treated[p, kernel.UNIFORMS + 1 + drug] < 1.0 - now[2 * k + drug],
        cohort,
        0,
        p,
        treated[p, chance],
        treated[p, chance + 1],
        treated[p, chance + 2],
        numbers,
        drugs[drug, kernel.ADVERSE_PROBABILITY],
        drugs[drug, kernel.ADVERSE_VALUE],
    )
