"""Where everything lies in the arrays of a batch of clinics: the one owner of their order.

Shapes: E environments, P patients, K antibiotics, G groups of patients, V visible attributes,
W windows, L the longest window.

A batch lives in few arrays, and what defines its clinic in two more, because every array argument
of a compiled call costs time. Compiled code indexes them by the names below, and gets the clinic's
own by `tables_of`; other code reads them through `cohort_views` and `law_views`.

    state (E, 5 + W + L, K)           pressure | level | level before the step | visible level
                                      | its change | per window the steps with a prescription
                                      | a ring of the last L steps, 1 = prescribed
    patients (E, P, 8 + K+4)          six attributes | group | action | K+4 uniforms: infection,
                                      K sensitivities, outcome, adverse event, recovery
    drugs (K, 5 + K)                  leak, flatness, residual | adverse probability, value
                                      | share of a dose that reaches each antibiotic
    groups (G, 7, 13)                 per attribute its law, see LAW; four that `complete_groups`
                                      fills; row 6: cumulative proportion, normals per patient
    numbers (8,)                      benefit, failure, their probabilities, lambda, epsilon,
                                      noise and bias of the visible AMR
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.uint64]

# rows of `state`
PRESSURE, LEVEL, BEFORE, VISIBLE, CHANGE, WINDOWS = 0, 1, 2, 3, 4, 5
# columns of `patients`
PROB_INFECTED, BENEFIT_MULTIPLIER, FAILURE_MULTIPLIER = 0, 1, 2
BENEFIT_CHANCE_MULTIPLIER, FAILURE_CHANCE_MULTIPLIER, RECOVERY_CHANCE = 3, 4, 5
NUM_ATTRIBUTES = 6
GROUP, ACTION, UNIFORMS = 6, 7, 8
# of a patient's uniforms: infection | K sensitivities | the three of what follows a treatment
INFECTION, SENSITIVITIES = UNIFORMS, UNIFORMS + 1
OUTCOME, ADVERSE_EVENT, RECOVERY = 0, 1, 2  # counted from SENSITIVITIES + K
PADDING = -1.0  # what is seen of a hidden attribute
# columns of `drugs`
LEAK, FLATNESS, RESIDUAL, ADVERSE_PROBABILITY, ADVERSE_VALUE, CROSS = 0, 1, 2, 3, 4, 5
# the last axis of `groups`
LAW = (
    *("mean", "sigma", "low", "high", "bias", "noise", "observed_low", "observed_high", "shown"),
    *("constant", "constant_seen", "varies", "noisy"),
)
MEAN, SIGMA, LOW, HIGH, BIAS, NOISE, OBSERVED_LOW, OBSERVED_HIGH, SHOWN = 0, 1, 2, 3, 4, 5, 6, 7, 8
CONSTANT, CONSTANT_SEEN, VARIES, NOISY = 9, 10, 11, 12
# the last row of a group
PROPORTION_ROW = DRAWS_ROW = NUM_ATTRIBUTES
PROPORTION, DRAWS = 0, 1
GROUP_SHAPE = (NUM_ATTRIBUTES + 1, len(LAW))
# entries of `numbers`
BENEFIT_VALUE, FAILURE_VALUE, BENEFIT_PROBABILITY, FAILURE_PROBABILITY = 0, 1, 2, 3
LAMBDA, EPSILON, VISIBLE_NOISE, VISIBLE_BIAS = 4, 5, 6, 7
NUM_NUMBERS = 8
# bits of a patient's events
BENEFIT, FAILURE, ADVERSE = 1, 2, 4
# parts of an observation
SEEN_PATIENTS, SEEN_LEVELS, SEEN_FRACTIONS, SEEN_CHANGES, SEEN_SINCE, SEEN_ACTIONS = range(6)
SEEN_TIME = 6
NUM_PARTS = 7


class Batch(NamedTuple):
    """What changes as a batch of clinics goes on.

    Environments with one stream and one cohort, (1, ...) each, meet the same patients and the same
    noise: candidates are compared in common episodes.

    Attributes:
        rows: The streams' states, (E, 4).
        state: (E, 5 + W + L, K).
        waiting: The cohort that waits for the next action, (E, P, 8 + K+4).
        treated: The cohort before; a step overwrites it with the next one.
    """

    rows: Rows
    state: Floats
    waiting: Floats
    treated: Floats


class Tables(NamedTuple):
    """What defines a clinic whose components are all the shipped ones, as views of `pack`'s arrays.

    Attributes:
        numbers: (8,).
        initial: Pressures and levels at the start of an episode, (2, K).
        drugs: (K, 5 + K).
        groups: (G, 7, 13).
        update_every: Steps between two refreshes of the visible levels.
        shows_since: 1 where the steps since the last refresh are observed.
        shows_previous: 1 where the previous action is observed.
        horizon: Steps of an episode where the time remaining is observed, else 0.
        starts: Where each part of an observation starts, (7,).
        shown: The visible attributes, (V,).
        windows: (W,).
    """

    numbers: Floats
    initial: Floats
    drugs: Floats
    groups: Floats
    update_every: int
    shows_since: int
    shows_previous: int
    horizon: int
    starts: Ints
    shown: Ints
    windows: Ints


# entries of the packed whole numbers, before starts, shown and windows
_NUM_ANTIBIOTICS, _NUM_GROUPS, _NUM_SHOWN = 0, 1, 2
_UPDATE_EVERY, _SHOWS_SINCE, _SHOWS_PREVIOUS, _HORIZON = 3, 4, 5, 6
_NUM_COUNTS = 7


def pack(tables: Tables) -> tuple[Floats, Ints]:
    """Return all tables in one array of numbers and one of whole numbers, for `tables_of`."""
    floats = (tables.numbers, tables.initial, tables.drugs, tables.groups)
    counts = [len(tables.drugs), len(tables.groups), len(tables.shown)]
    switches = [tables.update_every, tables.shows_since, tables.shows_previous]
    whole = (counts, switches, [tables.horizon], tables.starts, tables.shown, tables.windows)
    return (
        np.concatenate([np.ravel(table) for table in floats]).astype(np.float64),
        np.concatenate([np.asarray(table, dtype=np.int64) for table in whole]),
    )


@compiled
def tables_of(floats: Floats, whole: Ints) -> Tables:
    """Return the tables that `pack` packed, as views."""
    k, num_groups, num_shown = whole[_NUM_ANTIBIOTICS], whole[_NUM_GROUPS], whole[_NUM_SHOWN]
    initial = NUM_NUMBERS
    drugs = initial + 2 * k
    groups = drugs + k * (CROSS + k)
    shown = _NUM_COUNTS + NUM_PARTS
    return Tables(
        floats[:initial],
        floats[initial:drugs].reshape(2, k),
        floats[drugs:groups].reshape(k, CROSS + k),
        floats[groups:].reshape(num_groups, NUM_ATTRIBUTES + 1, NOISY + 1),
        whole[_UPDATE_EVERY],
        whole[_SHOWS_SINCE],
        whole[_SHOWS_PREVIOUS],
        whole[_HORIZON],
        whole[_NUM_COUNTS:shown],
        whole[shown : shown + num_shown],
        whole[shown + num_shown :],
    )


@compiled
def new_batch(
    rows: Rows, num_envs: int, num_patients: int, num_antibiotics: int, windows: Ints
) -> Batch:
    """Return a batch of zeros over streams (E or 1, 4), which it advances in place."""
    longest = windows.max() if windows.shape[0] > 0 else 0
    state = np.zeros((num_envs, WINDOWS + windows.shape[0] + longest, num_antibiotics))
    width = UNIFORMS + num_antibiotics + 4
    waiting = np.zeros((rows.shape[0], num_patients, width))
    return Batch(rows, state, waiting, np.zeros((rows.shape[0], num_patients, width)))


class CohortViews(NamedTuple):
    """Views of the columns of patients (..., 8 + K+4).

    Attributes:
        attributes: (..., 6).
        group: (...).
        action: (...).
        uniforms: All of them, (..., K+4).
        infection: (...).
        sensitivities: (..., K).
        chances: Outcome, adverse event, recovery, (..., 3).
    """

    attributes: Floats
    group: Floats
    action: Floats
    uniforms: Floats
    infection: Floats
    sensitivities: Floats
    chances: Floats


def cohort_views(patients: Floats) -> CohortViews:
    """Return the columns of patients (..., 8 + K+4) under their names."""
    return CohortViews(
        attributes=patients[..., :NUM_ATTRIBUTES],
        group=patients[..., GROUP],
        action=patients[..., ACTION],
        uniforms=patients[..., UNIFORMS:],
        infection=patients[..., INFECTION],
        sensitivities=patients[..., SENSITIVITIES:-3],
        chances=patients[..., -3:],
    )


def law_views(groups: Floats) -> NDArray[np.void]:
    """Return the laws of the six attributes under the names of LAW: (G, 6) from (G, 7, 13)."""
    laws = np.ascontiguousarray(groups).view([(name, np.float64) for name in LAW])
    return laws[:, :NUM_ATTRIBUTES, 0]


def proportions(groups: Floats) -> Floats:
    """Return the cumulative proportion of each group, (G,)."""
    return groups[:, PROPORTION_ROW, PROPORTION]


def read_flat_state(flat: Floats, shape: tuple[int, ...], num_windows: int) -> Floats:
    """Return a batch's state of the shape (E, 5 + W + L, K) from (E, 5K + K*W + K*L).

    That is how release 0.1 stored it: the levels as here, then per antibiotic its windows, then
    per antibiotic its ring. What does not fit is returned as it is.
    """
    num_envs, num_rows, k = shape
    if np.shape(flat) != (num_envs, num_rows * k):
        return flat
    first = WINDOWS + num_windows
    levels, windows, ring = np.split(flat, [WINDOWS * k, first * k], axis=1)
    blocks = (
        levels.reshape(num_envs, WINDOWS, k),
        windows.reshape(num_envs, k, num_windows).transpose(0, 2, 1),
        ring.reshape(num_envs, k, num_rows - first).transpose(0, 2, 1),
    )
    return np.concatenate(blocks, axis=1)
