"""What is prescribed: valid actions, effective doses, and how often of late.

Shapes: E environments, P patients, K antibiotics, W windows, L the longest window.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import ACTION, CROSS, WINDOWS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@compiled
def first_invalid_action(actions: Ints, num_antibiotics: int) -> int:
    """Return the flat position of the first action outside 0..K of actions (E, P), or -1."""
    for e in range(actions.shape[0]):
        for p in range(actions.shape[1]):
            if actions[e, p] < 0 or actions[e, p] > num_antibiotics:
                return int(e * actions.shape[1] + p)
    return -1


@compiled
def write_actions(actions: Ints, patients: Floats) -> None:
    """Keep the actions (E, P) with the patients (E or 1, P, 8 + K+4) whom they are for."""
    for e in range(patients.shape[0]):
        for p in range(actions.shape[1]):
            patients[e, p, ACTION] = actions[e, p]


@compiled
def effective_doses(actions: Ints, drugs: Floats, doses: Floats) -> None:
    """Write d_j = sum_i count_i * C[i, j] to doses (E, K) for actions (E, P)."""
    num_antibiotics = drugs.shape[0]
    for e in range(actions.shape[0]):
        for j in range(num_antibiotics):
            doses[e, j] = 0.0
        for i in range(num_antibiotics):
            count = 0
            for p in range(actions.shape[1]):
                count += actions[e, p] == i
            for j in range(num_antibiotics):
                doses[e, j] += count * drugs[i, CROSS + j]


@compiled
def count_prescriptions(state: Floats, actions: Ints, windows: Ints, time: int) -> None:
    """Count step `time` (1 for the first) into the windows (W,) of every environment."""
    num_windows = windows.shape[0]
    if num_windows == 0:
        return
    ring = WINDOWS + num_windows
    longest = state.shape[1] - ring
    for e in range(actions.shape[0]):
        for j in range(state.shape[2]):
            now = 0.0
            for p in range(actions.shape[1]):
                if actions[e, p] == j:
                    now = 1.0
            for w in range(num_windows):
                gone = 0.0
                if time > windows[w]:
                    gone = state[e, ring + (time - 1 - windows[w]) % longest, j]
                state[e, WINDOWS + w, j] += now - gone
            state[e, ring + (time - 1) % longest, j] = now
