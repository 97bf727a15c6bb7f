"""The compiled steps of the programme over interpolated pressures; nothing else.

Shapes: K antibiotics, three axes of n nodes (absent ones come first and have one node), C choices
(how many patients get each antibiotic, in ascending order), M cohorts, P patients, E episodes.

Who gets what is a knapsack over the patients: the best worth of every choice among the first i
patients follows from that among i - 1. Rows of the last axis are treated together.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Indices = NDArray[np.int32]

_NEVER = -1e300
_SAFETY = 2.0  # times the error of a parabola


@compiled
def best_values(
    first: int,
    last: int,
    cell_i: Indices,
    cell_j: Indices,
    cell_k: Indices,
    part_i: Floats,
    part_j: Floats,
    part_k: Floats,
    level_i: Floats,
    level_j: Floats,
    level_k: Floats,
    cost_i: Floats,
    cost_j: Floats,
    cost_k: Floats,
    fewer: Ints,
    totals: Ints,
    gain: Floats,
    slope: Floats,
    ahead: Floats,
    out: Floats,
) -> None:
    """Write the mean over cohorts of the best value at each node to rows first..last of `out`.

    out = mean over m of max over choices c of
        best worth of treating c of cohort m + ahead[node after c, interpolated] - cost

    `cell` (C, n) is the node below the pressure after each choice, `part` (C, n) how far it is on
    the way to the next one, `cost` (C, n) the choice's price, `level` (n,) the AMR, each per axis.
    `fewer` (C, K) is the choice with one treatment less, -1: none; `totals` (C,) how many are
    treated. `gain` and `slope` are (M, P, K), weighted. `ahead` and `out` are (n, n, n); a row is a
    pair of the first two axes.
    """
    num_choices, k = fewer.shape
    num_cohorts, num_patients = gain.shape[0], gain.shape[1]
    nj, wide = out.shape[1], out.shape[2]
    absent = 3 - k
    q = np.empty((num_choices, wide))
    worth = np.empty((num_choices, wide))
    mixed = np.empty(wide)
    best = np.empty(wide)
    own = np.empty(wide)
    for row in range(first, last):
        i, j = row // nj, row % nj
        for c in range(num_choices):
            ci, cj = cell_i[c, i], cell_j[c, j]
            wi, wj = part_i[c, i], part_j[c, j]
            paid = cost_i[c, i] + cost_j[c, j]
            for n in range(wide):
                mixed[n] = -paid
            for corner in range(4):
                up_i, up_j = corner // 2, corner % 2
                weight = (wi if up_i else 1.0 - wi) * (wj if up_j else 1.0 - wj)
                if weight == 0.0:
                    continue
                line = ahead[ci + up_i, cj + up_j]
                for n in range(wide):
                    mixed[n] += weight * line[n]
            for n in range(wide):
                low, w = cell_k[c, n], part_k[c, n]
                high = low + 1 if w > 0.0 else low
                q[c, n] = mixed[low] + w * (mixed[high] - mixed[low]) - cost_k[c, n]
        for n in range(wide):
            out[i, j, n] = 0.0
        for m in range(num_cohorts):
            worth[:] = _NEVER
            worth[0] = 0.0
            for p in range(num_patients):
                for n in range(wide):
                    own[n] = gain[m, p, k - 1] - slope[m, p, k - 1] * level_k[n]
                for c in range(num_choices - 1, 0, -1):
                    if totals[c] > p + 1:
                        continue
                    into = worth[c]
                    for a in range(k):
                        less = fewer[c, a]
                        if less < 0:
                            continue
                        before = worth[less]
                        if a == k - 1:
                            for n in range(wide):
                                value = before[n] + own[n]
                                into[n] = value if value > into[n] else into[n]
                        else:
                            level = level_i[i] if absent + a == 0 else level_j[j]
                            now = gain[m, p, a] - slope[m, p, a] * level
                            for n in range(wide):
                                value = before[n] + now
                                into[n] = value if value > into[n] else into[n]
            for n in range(wide):
                best[n] = _NEVER
            for c in range(num_choices):
                for n in range(wide):
                    value = worth[c, n] + q[c, n]
                    best[n] = value if value > best[n] else best[n]
            for n in range(wide):
                out[i, j, n] += best[n]
        for n in range(wide):
            out[i, j, n] /= num_cohorts


@compiled
def add_chord_errors(
    values: Floats, positions: Floats, interpolates: Floats, axis: int, out: Floats
) -> None:
    """Add to `out` how far the function of these values may lie above their chords along an axis.

    Where a function is concave it lies below its neighbouring chords, prolonged into the cell: in a
    cell of width h whose slope falls by a from the cell before and by b to the next one, it is at
    most h a b / (a + b) above the cell's own chord. That is exact for a corner and four times too
    much for a parabola, whose error is h^2 / 8 times its curvature: twice that is the other bound,
    and the smaller one is taken. Each node gets the larger error of the cells beside it; a cell
    whose entry in `interpolates` (n - 1,) is zero has none. `values` and `out` are (n, n, n),
    `positions` (n,).
    """
    size = positions.shape[0]
    shape = values.shape
    first = shape[1] if axis == 0 else shape[0]
    second = shape[1] if axis == 2 else shape[2]
    fall, bend = np.zeros(size), np.zeros(size)
    error = np.zeros(size + 1)
    line = np.empty(size)
    for a in range(first):
        for b in range(second):
            for n in range(size):
                if axis == 0:
                    line[n] = values[n, a, b]
                elif axis == 1:
                    line[n] = values[a, n, b]
                else:
                    line[n] = values[a, b, n]
            for n in range(1, size - 1):
                before = (line[n] - line[n - 1]) / (positions[n] - positions[n - 1])
                after = (line[n + 1] - line[n]) / (positions[n + 1] - positions[n])
                fall[n] = max(0.0, before - after)
                bend[n] = 2.0 * fall[n] / (positions[n + 1] - positions[n - 1])
            fall[0], fall[size - 1] = fall[1], fall[size - 2]
            bend[0], bend[size - 1] = bend[1], bend[size - 2]
            for n in range(size - 1):
                total = fall[n] + fall[n + 1]
                error[n + 1] = 0.0
                if total > 0.0 and interpolates[n] > 0.0:
                    width = positions[n + 1] - positions[n]
                    corner = width * fall[n] * fall[n + 1] / total
                    smooth = _SAFETY * width * width / 8.0 * max(bend[n], bend[n + 1])
                    error[n + 1] = min(corner, smooth)
            for n in range(size):
                found = max(error[n], error[n + 1])
                if axis == 0:
                    out[n, a, b] += found
                elif axis == 1:
                    out[a, n, b] += found
                else:
                    out[a, b, n] += found


@compiled
def locate(position: float, positions: Floats, size: int) -> int:
    """Return the last of the first `size` positions that is not above `position`, but the last."""
    low, high = 0, size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if positions[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@compiled
def values_after(
    pressure: Floats,
    doses: Floats,
    leak: Floats,
    positions: Floats,
    sizes: Ints,
    ahead: Floats32,
    out: Floats,
) -> None:
    """Write the interpolated value after each choice to `out` (C,).

    `pressure` and `leak` (K,), `doses` (C, K); `positions` (3, n) of the axes, `sizes` (3,).
    """
    num_choices, k = doses.shape
    absent = 3 - k
    cell = np.zeros(3, np.int64)
    part = np.zeros(3)
    for c in range(num_choices):
        for a in range(k):
            axis = absent + a
            size = sizes[axis]
            after = pressure[a] + doses[c, a] - leak[a]
            after = min(max(after, 0.0), positions[axis, size - 1])
            n = locate(after, positions[axis], size) if size > 1 else 0
            cell[axis] = n
            part[axis] = 0.0
            if size > 1:
                part[axis] = (after - positions[axis, n]) / (
                    positions[axis, n + 1] - positions[axis, n]
                )
        total = 0.0
        for corner in range(8):
            weight = 1.0
            at_i, at_j, at_k = cell[0], cell[1], cell[2]
            for axis in range(3):
                up = (corner >> axis) & 1
                weight *= part[axis] if up else 1.0 - part[axis]
                if up and axis == 0:
                    at_i += 1
                elif up and axis == 1:
                    at_j += 1
                elif up:
                    at_k += 1
            if weight != 0.0:
                total += weight * ahead[at_i, at_j, at_k]
        out[c] = total


@compiled
def allocate(
    gain: Floats,
    slope: Floats,
    level: Floats,
    values: Floats,
    fewer: Ints,
    totals: Ints,
    worth: Floats,
    chosen: Indices,
    actions: Ints,
) -> int:
    """Write the best treatment of each patient to `actions` (P,), K: none; return the choice.

    `gain`, `slope` (P, K) weighted, `level` (K,), `values` (C,) what each choice leads to. `worth`
    (C,) and `chosen` (P, C) are overwritten; worth[choice] is what the treatments are worth.
    """
    num_choices, k = fewer.shape
    num_patients = gain.shape[0]
    worth[:] = _NEVER
    worth[0] = 0.0
    chosen[:] = k
    for p in range(num_patients):
        for c in range(num_choices - 1, 0, -1):
            if totals[c] > p + 1:
                continue
            for a in range(k):
                less = fewer[c, a]
                if less >= 0:
                    value = worth[less] + gain[p, a] - slope[p, a] * level[a]
                    if value > worth[c]:
                        worth[c] = value
                        chosen[p, c] = a
    best, at = _NEVER, 0
    for c in range(num_choices):
        value = worth[c] + values[c]
        # of equals the one with fewer treatments
        if value > best + 1e-12 * max(1.0, abs(value)):
            best, at = value, c
        elif value > best - 1e-12 * max(1.0, abs(value)) and totals[c] < totals[at]:
            best, at = max(value, best), c
    c = at
    for p in range(num_patients - 1, -1, -1):
        actions[p] = chosen[p, c]
        if actions[p] < k:
            c = fewer[c, actions[p]]
    return at


@compiled
def play(
    pressure: Floats,
    gain: Floats,
    slope: Floats,
    doses: Floats,
    choices: Ints,
    fewer: Ints,
    totals: Ints,
    leak: Floats,
    flatness: Floats,
    residual: Floats,
    positions: Floats,
    sizes: Ints,
    ahead: Floats32,
    visible: Floats,
    report: Floats,
    refreshed: bool,
    price: float,
    rewards: Floats,
    given: Ints,
) -> None:
    """Make one step of E episodes: move pressures (E, K), write rewards (E,) and given (E, K).

    Rewards are the individual part, less what no treatment is worth. `price` is the weighted
    epsilon; where it is not 0, `visible` (E, K) is refreshed with `report` (E, K), noise and bias
    added to the level.
    """
    num_choices, k = doses.shape
    num_patients = gain.shape[1]
    values = np.empty(num_choices)
    worth = np.empty(num_choices)
    chosen = np.empty((num_patients, num_choices), np.int32)
    actions = np.empty(num_patients, np.int64)
    level = np.empty(k)
    for e in range(pressure.shape[0]):
        for a in range(k):
            level[a] = residual[a] + (1 - residual[a]) * math.tanh(
                pressure[e, a] / (2 * flatness[a])
            )
        values_after(pressure[e], doses, leak, positions, sizes, ahead, values)
        c = allocate(gain[e], slope[e], level, values, fewer, totals, worth, chosen, actions)
        rewards[e] = worth[c]
        for a in range(k):
            given[e, a] = choices[c, a]
            after = max(0.0, pressure[e, a] + doses[c, a] - leak[a])
            pressure[e, a] = after if after > 1e-9 else 0.0
            if price > 0.0:
                scale = 2 * flatness[a]
                if refreshed:
                    seen = residual[a] + (1 - residual[a]) * math.tanh(pressure[e, a] / scale)
                    visible[e, a] = min(max(seen + report[e, a], 0.0), 1.0)
                if choices[c, a] > 0:
                    share = (visible[e, a] - residual[a]) / (1 - residual[a])
                    share = min(max(share, 0.0), 1.0 - 2e-10)
                    shown = scale * math.atanh(share)
                    dosed = max(0.0, shown + doses[c, a] - leak[a])
                    less = max(0.0, shown + doses[c, a] - 1.0 - leak[a])
                    delta = math.tanh(dosed / scale) - math.tanh(less / scale)
                    rewards[e] -= price * choices[c, a] * (1 - residual[a]) * delta


@compiled
def actions_of(
    pressure: Floats,
    gain: Floats,
    slope: Floats,
    level: Floats,
    doses: Floats,
    fewer: Ints,
    totals: Ints,
    leak: Floats,
    positions: Floats,
    sizes: Ints,
    ahead: Floats32,
    actions: Ints,
) -> None:
    """Write the best treatments of cohorts (E, P) at pressures (E, K) to `actions` (E, P)."""
    num_choices = doses.shape[0]
    values = np.empty(num_choices)
    worth = np.empty(num_choices)
    chosen = np.empty((gain.shape[1], num_choices), np.int32)
    for e in range(pressure.shape[0]):
        values_after(pressure[e], doses, leak, positions, sizes, ahead, values)
        allocate(gain[e], slope[e], level[e], values, fewer, totals, worth, chosen, actions[e])


@compiled
def choice_values_of(
    pressure: Floats,
    doses: Floats,
    leak: Floats,
    positions: Floats,
    sizes: Ints,
    ahead: Floats32,
    out: Floats,
) -> None:
    """Write the interpolated values after each choice at pressures (E, K) to `out` (E, C)."""
    for e in range(pressure.shape[0]):
        values_after(pressure[e], doses, leak, positions, sizes, ahead, out[e])
