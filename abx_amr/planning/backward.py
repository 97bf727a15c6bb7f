"""The compiled steps of the dynamic programme; nothing else.

Shapes: three axes of n cells (an absent antibiotic has one cell), C choices, M cohorts that can
come, A allocations (which types get what) of all cohorts one after the other.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Indices = NDArray[np.int32]


@compiled
def stage(
    following_i: Indices,
    following_j: Indices,
    following_k: Indices,
    level_i: Floats,
    level_j: Floats,
    level_k: Floats,
    cost_i: Floats,
    cost_j: Floats,
    cost_k: Floats,
    begins: Ints,
    chances: Floats,
    choice_of: Ints,
    worth: Floats,
    slopes: Floats,
    straight: Ints,
    ahead: Floats,
    ahead_low: Ints,
    low: Ints,
    out: Floats,
) -> None:
    """Write the best expected value at each cell of the box that begins at `low` to `out`.

    out = sum over cohorts m of chances[m] * max over its allocations a of
        worth[a] - slopes[a] . level + ahead[cell after choice_of[a]] - cost

    `following` (C, n) is the cell after each choice, `cost` (C, n) its price, `level` (n,) the AMR,
    each per axis. `begins` (M + 1,) and `chances` (M,) are of cohorts; `choice_of` (A,), `worth`
    (A,) and `slopes` (A, 3) of allocations. `straight` (C, 3) is a shift and the range of cells of
    the last axis that it holds for. `ahead` is a box that begins at `ahead_low`.
    """
    num_choices = following_k.shape[0]
    wide = out.shape[2]
    priced = (cost_k != 0.0).any()
    seen = level_k[low[2] : low[2] + wide]
    q = np.empty((num_choices, wide))
    best = np.empty(wide)
    total = np.empty(wide)
    for i in range(out.shape[0]):
        at_i = i + low[0]
        for j in range(out.shape[1]):
            at_j = j + low[1]
            for c in range(num_choices):
                row = ahead[
                    following_i[c, at_i] - ahead_low[0], following_j[c, at_j] - ahead_low[1]
                ]
                paid = cost_i[c, at_i] + cost_j[c, at_j]
                first = min(max(straight[c, 1] - low[2], 0), wide)
                last = max(min(straight[c, 2] - low[2], wide), first)
                for k in range(first):
                    q[c, k] = row[following_k[c, k + low[2]] - ahead_low[2]] - paid
                if last > first:
                    begin = first + low[2] + straight[c, 0] - ahead_low[2]
                    part = row[begin : begin + last - first]
                    into = q[c, first:last]
                    for k in range(last - first):
                        into[k] = part[k] - paid
                for k in range(last, wide):
                    q[c, k] = row[following_k[c, k + low[2]] - ahead_low[2]] - paid
                if priced:
                    for k in range(wide):
                        q[c, k] -= cost_k[c, k + low[2]]
            for k in range(wide):
                total[k] = 0.0
            for m in range(chances.shape[0]):
                for a in range(begins[m], begins[m + 1]):
                    c = choice_of[a]
                    base = worth[a] - slopes[a, 0] * level_i[at_i] - slopes[a, 1] * level_j[at_j]
                    slope = slopes[a, 2]
                    after = q[c]
                    if a == begins[m]:
                        for k in range(wide):
                            best[k] = base - slope * seen[k] + after[k]
                    else:
                        for k in range(wide):
                            value = base - slope * seen[k] + after[k]
                            best[k] = value if value > best[k] else best[k]
                for k in range(wide):
                    total[k] += chances[m] * best[k]
            for k in range(wide):
                out[i, j, k] = total[k]


@compiled
def follow(
    following_i: Indices,
    following_j: Indices,
    following_k: Indices,
    level_i: Floats,
    level_j: Floats,
    level_k: Floats,
    cost_i: Floats,
    cost_j: Floats,
    cost_k: Floats,
    begins: Ints,
    chances: Floats,
    choice_of: Ints,
    worth: Floats,
    slopes: Floats,
    judged: Floats,
    ahead: Floats,
    out: Floats,
) -> None:
    """As `stage` on whole axes, for a policy that judges the cells one step later by `judged`.

    The allocation is chosen by `judged` and valued by `ahead`.
    """
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                total = 0.0
                for m in range(chances.shape[0]):
                    best, value = -np.inf, 0.0
                    for a in range(begins[m], begins[m + 1]):
                        c = choice_of[a]
                        ii, jj, kk = following_i[c, i], following_j[c, j], following_k[c, k]
                        now = worth[a] - slopes[a, 0] * level_i[i] - slopes[a, 1] * level_j[j]
                        now -= slopes[a, 2] * level_k[k]
                        now -= cost_i[c, i] + cost_j[c, j] + cost_k[c, k]
                        if now + judged[ii, jj, kk] > best:
                            best = now + judged[ii, jj, kk]
                            value = now + ahead[ii, jj, kk]
                    total += chances[m] * value
                out[i, j, k] = total


@compiled
def improve(
    following_i: Indices,
    following_j: Indices,
    following_k: Indices,
    level_i: Floats,
    level_j: Floats,
    level_k: Floats,
    cost_i: Floats,
    cost_j: Floats,
    cost_k: Floats,
    choice_of: Ints,
    worth: Floats,
    slopes: Floats,
    community_i: Floats,
    community_j: Floats,
    community_k: Floats,
    value: Floats,
    gamma: float,
    leads_to: Ints,
    reward: Floats,
) -> float:
    """Write the best choice's next cell and reward, of patients of one type; return the gain.

    The gain is the most by which now + community + gamma * value[next] exceeds `value`.
    """
    nj, nk = value.shape[1], value.shape[2]
    gain = 0.0
    for i in range(value.shape[0]):
        for j in range(nj):
            for k in range(nk):
                best, at, paid = -np.inf, 0, 0.0
                for a in range(worth.shape[0]):
                    c = choice_of[a]
                    ii, jj, kk = following_i[c, i], following_j[c, j], following_k[c, k]
                    now = worth[a] - slopes[a, 0] * level_i[i] - slopes[a, 1] * level_j[j]
                    now -= slopes[a, 2] * level_k[k]
                    now -= cost_i[c, i] + cost_j[c, j] + cost_k[c, k]
                    now += community_i[ii] + community_j[jj] + community_k[kk]
                    worth_of_it = now + gamma * value[ii, jj, kk]
                    if worth_of_it > best:
                        best, at, paid = worth_of_it, (ii * nj + jj) * nk + kk, now
                leads_to[(i * nj + j) * nk + k] = at
                reward[(i * nj + j) * nk + k] = paid
                gain = max(gain, best - value[i, j, k])
    return gain


@compiled
def lengthen(value: Floats, ahead: Ints, factor: float) -> tuple[Floats, Ints]:
    """Return values and next cells of chains of twice as many steps, both (n,).

    `value` is that of so many steps, `ahead` the cell after them, `factor` their discount.
    """
    n = value.shape[0]
    longer, further = np.empty(n), np.empty(n, np.int64)
    for s in range(n):
        longer[s] = value[s] + factor * value[ahead[s]]
        further[s] = ahead[ahead[s]]
    return longer, further
