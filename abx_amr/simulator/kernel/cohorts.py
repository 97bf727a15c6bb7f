"""Who comes: groups, attributes and what is seen of them, and each patient's uniforms.

Shapes: E environments, P patients, G groups.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import (
    BIAS,
    CONSTANT,
    CONSTANT_SEEN,
    DRAWS_ROW,
    GROUP,
    HIGH,
    LOW,
    MEAN,
    NOISE,
    NOISY,
    NUM_ATTRIBUTES,
    OBSERVED_HIGH,
    OBSERVED_LOW,
    PADDING,
    PROPORTION_ROW,
    SHOWN,
    SIGMA,
    UNIFORMS,
    VARIES,
)
from abx_amr.simulator.kernel.quantiles import normal_quantiles
from abx_amr.simulator.kernel.random_numbers import (
    fill_chances,
    fill_uniform,
    fill_uniform_columns,
)

Floats = NDArray[np.float64]
Rows = NDArray[np.uint64]

_TOGETHER = 2048  # normals


@compiled
def complete_groups(groups: Floats) -> None:
    """Fill in what follows from the laws: constant values, constant observations, draws needed."""
    for g in range(groups.shape[0]):
        groups[g, DRAWS_ROW, 1] = 0.0
        for a in range(NUM_ATTRIBUTES):
            law = groups[g, a]
            law[VARIES] = law[SIGMA] > 0.0
            law[NOISY] = law[SHOWN] > 0.0 and law[NOISE] > 0.0
            value = min(max(law[MEAN], law[LOW]), law[HIGH])
            law[CONSTANT] = value
            law[CONSTANT_SEEN] = PADDING
            if law[SHOWN] > 0.0:
                law[CONSTANT_SEEN] = min(
                    max(value * law[BIAS], law[OBSERVED_LOW]), law[OBSERVED_HIGH]
                )
            groups[g, DRAWS_ROW, 1] += law[VARIES] + law[NOISY]


@compiled
def _begin_patients(
    row: Rows, groups: Floats, patients: Floats, observed: Floats, chances: Floats
) -> int:
    """Draw the groups of patients (P, >= 7), and what their attributes (P, 6) are made of.

    Draws: one uniform per patient when there are several groups; then one for each normal, see
    `_vary_patients`. What never varies is written at once.

    Returns:
        How many normals the patients need: so many of `chances` are their probabilities.
    """
    num_patients, num_groups = patients.shape[0], groups.shape[0]
    if num_groups > 1:
        fill_uniform(row, chances[:num_patients])
    needed = 0
    for p in range(num_patients):
        group = 0
        if num_groups > 1:
            for g in range(num_groups - 1):
                group += chances[p] >= groups[g, PROPORTION_ROW, 0]
        patients[p, GROUP] = group
        needed += int(groups[group, DRAWS_ROW, 1])
        for a in range(NUM_ATTRIBUTES):
            patients[p, a] = groups[group, a, CONSTANT]
            observed[p, a] = groups[group, a, CONSTANT_SEEN]
    if needed > 0:
        fill_chances(row, chances[:needed])
    return needed


@compiled
def _vary_patients(
    patients: Floats, observed: Floats, groups: Floats, normals: Floats, n: int
) -> int:
    """Draw the attributes that vary from the normals from the n-th on; return the next one.

    Attribute by attribute, group by group, patient by patient a normal if it varies and one if it
    is seen with noise.
    """
    num_groups = groups.shape[0]
    for a in range(NUM_ATTRIBUTES):
        for g in range(num_groups):
            if num_groups > 1 or groups[g, a, VARIES] * groups[g, a, NOISY] == 0.0:
                if groups[g, a, VARIES] + groups[g, a, NOISY] > 0.0:
                    n = _vary_attribute(patients, observed, a, g, groups, normals, n)
                continue
            # as there, without a call for each attribute or a question at each patient
            mean, sigma = groups[g, a, MEAN], groups[g, a, SIGMA]
            low, high = groups[g, a, LOW], groups[g, a, HIGH]
            bias, noise = groups[g, a, BIAS], groups[g, a, NOISE]
            seen_low, seen_high = groups[g, a, OBSERVED_LOW], groups[g, a, OBSERVED_HIGH]
            for p in range(patients.shape[0]):
                value = min(max(mean + sigma * normals[n], low), high)
                seen = value * bias + noise * normals[n + 1]
                n += 2
                patients[p, a] = value
                observed[p, a] = min(max(seen, seen_low), seen_high)
    return n


@compiled
def _vary_attribute(
    patients: Floats, observed: Floats, a: int, g: int, groups: Floats, normals: Floats, n: int
) -> int:
    """Draw attribute `a` of the patients of group `g`; return the next normal."""
    alone = groups.shape[0] == 1
    varies, noisy, shown = (
        groups[g, a, VARIES] > 0.0,
        groups[g, a, NOISY] > 0.0,
        groups[g, a, SHOWN] > 0.0,
    )
    mean, sigma, low, high = (
        groups[g, a, MEAN],
        groups[g, a, SIGMA],
        groups[g, a, LOW],
        groups[g, a, HIGH],
    )
    bias, noise, seen_low, seen_high = (
        groups[g, a, BIAS],
        groups[g, a, NOISE],
        groups[g, a, OBSERVED_LOW],
        groups[g, a, OBSERVED_HIGH],
    )
    for p in range(patients.shape[0]):
        if alone or patients[p, GROUP] == g:
            value = mean
            if varies:
                value += sigma * normals[n]
                n += 1
            value = min(max(value, low), high)
            seen = value * bias
            if noisy:
                seen += noise * normals[n]
                n += 1
            patients[p, a] = value
            if shown:
                observed[p, a] = min(max(seen, seen_low), seen_high)
    return n


@compiled
def sample_patient_rows(rows: Rows, groups: Floats, patients: Floats, observed: Floats) -> None:
    """Draw the cohorts of all environments: patients (E, P, >= 7), observed (E, P, 6)."""
    _sample(rows, groups, patients, observed, False)


@compiled
def draw_uniform_rows(rows: Rows, patients: Floats) -> None:
    """Draw the K+4 uniforms of each patient (E, P, 8 + K+4), whatever will be prescribed."""
    for e in range(rows.shape[0]):
        fill_uniform_columns(rows[e], patients[e], UNIFORMS)


@compiled
def sample_cohorts(rows: Rows, groups: Floats, patients: Floats, observed: Floats) -> None:
    """Draw the cohorts of all environments with their uniforms: patients (E, P, 8 + K+4)."""
    _sample(rows, groups, patients, observed, True)


@compiled
def _sample(
    rows: Rows, groups: Floats, patients: Floats, observed: Floats, with_uniforms: bool
) -> None:
    """Draw the cohorts, the normals of several environments at a time.

    Vector units like them long, the processor's cache not too long.
    """
    num_envs, most = rows.shape[0], 2 * NUM_ATTRIBUTES * patients.shape[1]
    together = min(max(1, _TOGETHER // most), num_envs)
    chances, normals = np.empty(together * most), np.empty(together * most)
    tails = np.empty(2 * together * most)
    for first in range(0, num_envs, together):
        last = min(first + together, num_envs)
        needed = 0
        for e in range(first, last):
            needed += _begin_patients(rows[e], groups, patients[e], observed[e], chances[needed:])
            if with_uniforms:
                fill_uniform_columns(rows[e], patients[e], UNIFORMS)
        if needed > 0:
            normal_quantiles(chances[:needed], normals[:needed], tails)
            n = 0
            for e in range(first, last):
                n = _vary_patients(patients[e], observed[e], groups, normals, n)
