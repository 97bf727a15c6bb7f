"""What is seen: the visible levels, and an observation part by part.

Shapes: E environments, P patients, K antibiotics, V visible attributes, D observation entries.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import (
    CHANGE,
    LEVEL,
    SEEN_ACTIONS,
    SEEN_CHANGES,
    SEEN_FRACTIONS,
    SEEN_LEVELS,
    SEEN_PATIENTS,
    SEEN_SINCE,
    SEEN_TIME,
    VISIBLE,
    VISIBLE_BIAS,
    VISIBLE_NOISE,
    WINDOWS,
    Tables,
)
from abx_amr.simulator.kernel.random_numbers import fill_normal

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Rows = NDArray[np.uint64]


@compiled
def see_levels(rows: Rows, state: Floats, is_due: bool, numbers: Floats) -> None:
    """Refresh the visible levels of every environment when due, and keep their change.

    A refresh shows clip(level + noise + bias, 0, 1); nothing is drawn where there is no noise.
    """
    num_antibiotics = state.shape[2]
    if not is_due:
        for e in range(state.shape[0]):
            for j in range(num_antibiotics):
                state[e, CHANGE, j] = 0.0
        return
    noise, bias = numbers[VISIBLE_NOISE], numbers[VISIBLE_BIAS]
    if noise > 0.0:
        normals, spare = np.empty(num_antibiotics), np.empty(3 * num_antibiotics)
        for e in range(state.shape[0]):
            if e < rows.shape[0]:
                fill_normal(rows[e], normals, spare)
            for j in range(num_antibiotics):
                _show(state, e, j, state[e, LEVEL, j] + noise * normals[j] + bias)
    else:
        for e in range(state.shape[0]):
            for j in range(num_antibiotics):
                _show(state, e, j, state[e, LEVEL, j] + bias)


@compiled
def _show(state: Floats, e: int, j: int, seen: float) -> None:
    """Let `seen`, clipped to [0, 1], be the visible level of antibiotic j in environment e."""
    before = state[e, VISIBLE, j]
    state[e, VISIBLE, j] = min(max(seen, 0.0), 1.0)
    state[e, CHANGE, j] = state[e, VISIBLE, j] - before


@compiled
def forget_changes(state: Floats) -> None:
    """Let no environment's visible levels have changed, as after a reset."""
    for e in range(state.shape[0]):
        for j in range(state.shape[2]):
            state[e, CHANGE, j] = 0.0


@compiled
def write_observations(
    state: Floats, observed: Floats, actions: Ints, tables: Tables, time: int, out: Floats32
) -> None:
    """Write every environment's observation, out (E, D).

    Args:
        state: of the batch.
        observed: what is seen of the patients who wait, (E or 1, P, 6).
        actions: the previous ones, (E, P); not read at time 0.
        tables: of the clinic.
        time: steps made.
        out: written.
    """
    num_antibiotics, num_shown = state.shape[2], tables.shown.shape[0]
    windows, starts = tables.windows, tables.starts
    for e in range(state.shape[0]):
        cohort = min(e, observed.shape[0] - 1)
        i = starts[SEEN_PATIENTS]
        for p in range(observed.shape[1]):
            for v in range(num_shown):
                out[e, i] = observed[cohort, p, tables.shown[v]]
                i += 1
        i = starts[SEEN_LEVELS]
        for j in range(num_antibiotics):
            out[e, i + j] = state[e, VISIBLE, j]
        if windows.shape[0] > 0:
            i = starts[SEEN_FRACTIONS]
            for j in range(num_antibiotics):
                for w in range(windows.shape[0]):
                    out[e, i] = state[e, WINDOWS + w, j] / windows[w]
                    i += 1
            i = starts[SEEN_CHANGES]
            for j in range(num_antibiotics):
                out[e, i + j] = state[e, CHANGE, j]
        if tables.shows_since > 0:
            out[e, starts[SEEN_SINCE]] = time % tables.update_every
        if tables.shows_previous > 0:
            first = starts[SEEN_ACTIONS]
            out[e, first : starts[SEEN_TIME]] = 0.0
            if time > 0:
                for p in range(actions.shape[1]):
                    out[e, first + p * (num_antibiotics + 1) + actions[e, p]] = 1.0
        if tables.horizon > 0:
            out[e, starts[SEEN_TIME]] = (tables.horizon - time) / tables.horizon
