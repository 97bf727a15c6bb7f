"""The laws of the clinic, compiled: each is written once and used by components and fused step.

Shapes: E environments, P patients, K antibiotics, G groups of patients, W windows; `row` is the
SFC64 state of one environment's stream, shape (4,). All compiled code stands in this one file,
because a compiled function's disk cache is renewed when its own file changes, not when a file it
calls into does.

The batch lives in few float64 arrays, because every array argument of a compiled call costs time:

    state (E, 5K + K*W + K*longest)   pressure | level | level before the step | visible | change
                                      | per antibiotic and window the steps with a prescription
                                      | per antibiotic a ring of the last steps, 1 = prescribed
    patients (E, P, 8 + K+4)          six attributes | group | action | K+4 uniforms: infection,
                                      K sensitivities, outcome, adverse event, recovery
    drugs (K, 5 + K)                  leak, flatness, residual | adverse probability, value
                                      | share of a dose that reaches each antibiotic
    groups (G, 7, 13)                 per attribute mean, sigma, low, high, bias, noise, observed
                                      low and high, 1 = shown; four that `complete_groups` fills;
                                      row 6: cumulative proportion, normals needed per patient
    numbers (8,)                      benefit, failure, their probabilities, lambda, epsilon,
                                      noise and bias of the visible AMR
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.uint64]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Return `function` compiled on its first call, kept on disk, free of the interpreter lock."""
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(_Function, dispatcher)


def compiled_polynomial(function: _Function) -> _Function:
    """Return `function` compiled with products and sums fused into one rounding (FMA)."""
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(
        function
    )
    return cast(_Function, dispatcher)


# columns of the tables above
LEAK, FLATNESS, RESIDUAL, ADVERSE_PROBABILITY, ADVERSE_VALUE, CROSS = 0, 1, 2, 3, 4, 5
MEAN, SIGMA, LOW, HIGH, BIAS, NOISE, OBSERVED_LOW, OBSERVED_HIGH, SHOWN = 0, 1, 2, 3, 4, 5, 6, 7, 8
CONSTANT, CONSTANT_SEEN, VARIES, NOISY = 9, 10, 11, 12
PROPORTION_ROW = DRAWS_ROW = 6
GROUP_SHAPE = (7, 13)
NUM_ATTRIBUTES = 6
GROUP, ACTION, UNIFORMS = 6, 7, 8
BENEFIT_VALUE, FAILURE_VALUE, BENEFIT_PROBABILITY, FAILURE_PROBABILITY = 0, 1, 2, 3
LAMBDA, EPSILON, VISIBLE_NOISE, VISIBLE_BIAS = 4, 5, 6, 7
PADDING = -1.0

# ------------------------------------------------------------------------------------------ draws

_3 = np.uint64(3)
_11 = np.uint64(11)
_12 = np.uint64(12)
_24 = np.uint64(24)
_40 = np.uint64(40)
_1 = np.uint64(1)
_UNIT_53 = 2.0**-53
_UNIT_52 = 2.0**-52
EXTREME = math.exp(-25.0)


@compiled
def fill_uniform(row: Rows, out: Floats) -> None:
    """Fill `out` (n,) with uniforms in [0, 1): the bits of numpy's `Generator(SFC64).random`."""
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for i in range(out.shape[0]):
        bits = a + b + counter
        counter += _1
        a = b ^ (b >> _11)
        b = c + (c << _3)
        c = ((c << _24) | (c >> _40)) + bits
        out[i] = np.int64(bits >> _11) * _UNIT_53
    row[0], row[1], row[2], row[3] = a, b, c, counter


@compiled
def fill_normal(row: Rows, out: Floats, spare: Floats) -> None:
    """Fill `out` (n,) with standard normals, one word of the stream each, by the inverse CDF.

    `spare` (at least 3n) is overwritten.
    """
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for i in range(out.shape[0]):
        bits = a + b + counter
        counter += _1
        a = b ^ (b >> _11)
        b = c + (c << _3)
        c = ((c << _24) | (c >> _40)) + bits
        spare[i] = (np.int64(bits >> _12) + 0.5) * _UNIT_52  # never 0 and never 1
    row[0], row[1], row[2], row[3] = a, b, c, counter
    normal_quantiles(spare, out, spare[out.shape[0] :])


@compiled_polynomial
def normal_quantiles(probability: Floats, out: Floats, tails: Floats) -> None:
    """Write the standard normal quantile of each probability in (0, 1) to `out` (n,).

    AS 241 (Wichura 1988), algorithm PPND16, relative error about 1e-16. Its three ranges are
    three passes without branches, so that they run on the processor's vector units; the first n
    of `tails` (at least 2n) hold the positions of the outer ranges, the rest their values.
    """
    for i in range(out.shape[0]):
        q = probability[i] - 0.5
        r = 0.180625 - q * q
        over = 2509.0809287301226727 * r + 33430.575583588128105
        over = over * r + 67265.770927008700853
        over = over * r + 45921.953931549871457
        over = over * r + 13731.693765509461125
        over = over * r + 1971.5909503065514427
        over = over * r + 133.14166789178437745
        over = over * r + 3.387132872796366608
        under = 5226.495278852854561 * r + 28729.085735721942674
        under = under * r + 39307.89580009271061
        under = under * r + 21213.794301586595867
        under = under * r + 5394.1960214247511077
        under = under * r + 687.1870074920579083
        under = under * r + 42.313330701600911252
        under = under * r + 1.0
        out[i] = q * over / under
    count, extreme = 0, 0
    for i in range(out.shape[0]):
        tails[count] = i
        count += abs(probability[i] - 0.5) > 0.425
    roots = tails[out.shape[0] :]
    for t in range(count):
        p = probability[int(tails[t])]
        roots[t] = -math.log(min(p, 1.0 - p))
    for t in range(count):
        r = math.sqrt(roots[t])
        extreme += roots[t] > 25.0
        r -= 1.6
        over = 7.7454501427834140764e-4 * r + 0.0227238449892691845833
        over = over * r + 0.24178072517745061177
        over = over * r + 1.27045825245236838258
        over = over * r + 3.64784832476320460504
        over = over * r + 5.7694972214606914055
        over = over * r + 4.6303378461565452959
        over = over * r + 1.42343711074968357734
        under = 1.05075007164441684324e-9 * r + 5.475938084995344946e-4
        under = under * r + 0.0151986665636164571966
        under = under * r + 0.14810397642748007459
        under = under * r + 0.68976733498510000455
        under = under * r + 1.6763848301838038494
        under = under * r + 2.05319162663775882187
        under = under * r + 1.0
        roots[t] = over / under
    for t in range(count):
        i = int(tails[t])
        out[i] = math.copysign(roots[t], probability[i] - 0.5)
    if extreme > 0:
        for t in range(count):
            i = int(tails[t])
            p = probability[i]
            if min(p, 1.0 - p) < EXTREME:
                out[i] = _extreme_quantile(p)


@compiled
def _extreme_quantile(probability: float) -> float:
    """Return the standard normal quantile of a probability within e^-25 of 0 or 1."""
    r = math.sqrt(-math.log(min(probability, 1.0 - probability)))
    r -= 5.0
    over = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
    over = over * r + 0.0012426609473880784386
    over = over * r + 0.026532189526576123093
    over = over * r + 0.29656057182850489123
    over = over * r + 1.7848265399172913358
    over = over * r + 5.4637849111641143699
    over = over * r + 6.6579046435011037772
    under = 2.04426310338993978564e-15 * r + 1.4215117583164458887e-7
    under = under * r + 1.8463183175100546818e-5
    under = under * r + 7.868691311456132591e-4
    under = under * r + 0.0148753612908506148525
    under = under * r + 0.13692988092273580531
    under = under * r + 0.59983220655588793769
    under = under * r + 1.0
    return math.copysign(over / under, probability - 0.5)


@compiled
def fill_uniform_rows(rows: Rows, out: Floats) -> None:
    """Fill `out` (E, n) with uniforms in [0, 1), row e from the stream of environment e."""
    for e in range(rows.shape[0]):
        fill_uniform(rows[e], out[e])


@compiled
def fill_normal_rows(rows: Rows, out: Floats) -> None:
    """Fill `out` (E, n) with standard normals, row e from the stream of environment e."""
    spare = np.empty(3 * out.shape[1])
    for e in range(rows.shape[0]):
        fill_normal(rows[e], out[e], spare)


# ---------------------------------------------------------------------------------- leaky balloon


@compiled
def balloon_level(pressure: float, flatness: float, residual: float) -> float:
    """Return the AMR level in [residual, 1] of a balloon under `pressure` >= 0."""
    return residual + (1.0 - residual) * math.tanh(pressure / (2.0 * flatness))


@compiled
def balloon_pressure(level: float, flatness: float, residual: float) -> float:
    """Return the pressure >= 0 that gives `level`; 0 for a level at or below the residual."""
    share = (level - residual) / (1.0 - residual) / 2.0 + 0.5
    share = min(max(share, 1e-10), 1.0 - 1e-10)
    return max(0.0, -flatness * math.log((1.0 - share) / share))


@compiled
def balloon_step(pressure: float, dose: float, leak: float) -> float:
    """Return the pressure after one step: the leak is subtracted, once."""
    return max(0.0, pressure + dose - leak)


@compiled
def balloon_delta(
    visible_level: float,
    dose: float,
    leak: float,
    flatness: float,
    residual: float,
) -> float:
    """Return the marginal effect of the last dose on a balloon set to the visible level."""
    pressure = balloon_pressure(visible_level, flatness, residual)
    after = balloon_level(balloon_step(pressure, dose, leak), flatness, residual)
    without = balloon_level(balloon_step(pressure, dose - 1.0, leak), flatness, residual)
    return after - without


@compiled
def balloon_levels(pressure: Floats, balloons: Floats, out: Floats) -> None:
    """Write the levels of pressures (N, K) to `out`; balloons (K, 3) leak, flatness, residual."""
    for n in range(pressure.shape[0]):
        for j in range(pressure.shape[1]):
            out[n, j] = balloon_level(pressure[n, j], balloons[j, FLATNESS], balloons[j, RESIDUAL])


@compiled
def balloon_pressures(level: Floats, balloons: Floats, out: Floats) -> None:
    """Write the pressures of levels (N, K) to `out`; balloons (K, 3)."""
    for n in range(level.shape[0]):
        for j in range(level.shape[1]):
            out[n, j] = balloon_pressure(level[n, j], balloons[j, FLATNESS], balloons[j, RESIDUAL])


@compiled
def balloon_steps(pressure: Floats, doses: Floats, balloons: Floats, out: Floats) -> None:
    """Write the pressures (N, K) after one step under doses (N, K) to `out`; balloons (K, 3)."""
    for n in range(pressure.shape[0]):
        for j in range(pressure.shape[1]):
            out[n, j] = balloon_step(pressure[n, j], doses[n, j], balloons[j, LEAK])


@compiled
def balloon_deltas(visible: Floats, doses: Floats, balloons: Floats, out: Floats) -> None:
    """Write the marginal effects of the last dose (N, K) to `out`; balloons (K, 3)."""
    for n in range(visible.shape[0]):
        for j in range(visible.shape[1]):
            out[n, j] = balloon_delta(
                visible[n, j],
                doses[n, j],
                balloons[j, LEAK],
                balloons[j, FLATNESS],
                balloons[j, RESIDUAL],
            )


# --------------------------------------------------------------------------------------- patients


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
def sample_patients(
    row: Rows,
    groups: Floats,
    patients: Floats,
    observed: Floats,
    spare: Floats,
) -> None:
    """Draw the group and attributes of patients (P, >= 7) and what is observed (P, 6).

    Draws: one uniform per patient when there are several groups; then attribute by attribute,
    group by group, patient by patient a normal if it varies and one if it is seen with noise.
    `spare` (at least 48 P) is overwritten.
    """
    num_patients, num_groups = patients.shape[0], groups.shape[0]
    if num_groups > 1:
        fill_uniform(row, spare[:num_patients])
    needed = 0
    for p in range(num_patients):
        group = 0
        if num_groups > 1:
            for g in range(num_groups - 1):
                group += spare[p] >= groups[g, PROPORTION_ROW, 0]
        patients[p, GROUP] = group
        needed += int(groups[group, DRAWS_ROW, 1])
        for a in range(NUM_ATTRIBUTES):
            patients[p, a] = groups[group, a, CONSTANT]
            observed[p, a] = groups[group, a, CONSTANT_SEEN]
    if needed == 0:
        return
    normals = spare[:needed]
    fill_normal(row, normals, spare[needed:])
    n = 0
    for a in range(NUM_ATTRIBUTES):
        for g in range(num_groups):
            if groups[g, a, VARIES] + groups[g, a, NOISY] > 0.0:
                n = _vary_attribute(patients, observed, a, g, groups, normals, n)


@compiled
def _vary_attribute(
    patients: Floats, observed: Floats, a: int, g: int, groups: Floats, normals: Floats, n: int
) -> int:
    """Draw attribute `a` of the patients of group `g`; return how many normals are used up."""
    alone = groups.shape[0] == 1
    varies, noisy, shown = (
        groups[g, a, VARIES] > 0.0,
        groups[g, a, NOISY] > 0.0,
        groups[g, a, SHOWN],
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
            if shown > 0.0:
                observed[p, a] = min(max(seen, seen_low), seen_high)
    return n


@compiled
def sample_patient_rows(rows: Rows, groups: Floats, patients: Floats, observed: Floats) -> None:
    """Draw the cohorts of all environments: patients (E, P, >= 7), observed (E, P, 6)."""
    spare = np.empty(48 * patients.shape[1])
    for e in range(rows.shape[0]):
        sample_patients(rows[e], groups, patients[e], observed[e], spare)


@compiled
def draw_luck(row: Rows, patients: Floats) -> None:
    """Draw the K+4 uniforms of each patient (P, 8 + K+4), whatever will be prescribed."""
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for p in range(patients.shape[0]):
        for i in range(UNIFORMS, patients.shape[1]):
            bits = a + b + counter
            counter += _1
            a = b ^ (b >> _11)
            b = c + (c << _3)
            c = ((c << _24) | (c >> _40)) + bits
            patients[p, i] = np.int64(bits >> _11) * _UNIT_53
    row[0], row[1], row[2], row[3] = a, b, c, counter


@compiled
def draw_luck_rows(rows: Rows, patients: Floats) -> None:
    """Draw the uniforms of all cohorts, patients (E, P, 8 + K+4)."""
    for e in range(rows.shape[0]):
        draw_luck(rows[e], patients[e])


# ---------------------------------------------------------------------------------------- rewards

BENEFIT, FAILURE, ADVERSE = 1, 2, 4


@compiled
def patient_outcome(
    infected: bool,
    treated: bool,
    sensitive: bool,
    patients: Floats,
    e: int,
    p: int,
    outcome: float,
    adverse: float,
    recovery: float,
    numbers: Floats,
    harm_chance: float,
    harm: float,
) -> tuple[float, int]:
    """Return (value without the epsilon term, events) of one patient; events sum BENEFIT, ...

    The first six of `patients[e, p]` are the true attributes; `outcome`, `adverse`, `recovery`
    are the patient's uniforms, `harm_chance` and `harm` the antibiotic's adverse effect.
    """
    # every branch would be a coin toss for the processor, so there is none
    helped = (treated & sensitive) | ((not treated) & (recovery < patients[e, p, 5]))
    works = (not treated) | (outcome < numbers[BENEFIT_PROBABILITY] * patients[e, p, 3])
    fails = outcome < numbers[FAILURE_PROBABILITY] * patients[e, p, 4]
    benefit = infected & helped & works
    failure = infected & (not helped) & fails
    harmed = treated & (adverse < harm_chance)
    value = benefit * (numbers[BENEFIT_VALUE] * patients[e, p, 1])
    value += failure * (numbers[FAILURE_VALUE] * patients[e, p, 2])
    value += harmed * harm
    return value, benefit * BENEFIT + failure * FAILURE + harmed * ADVERSE


@compiled
def cohort_rewards(
    actions: Ints,
    attributes: Floats,
    infected: Bools,
    sensitive: Bools,
    luck: Floats,
    visible: Floats,
    delta: Floats,
    numbers: Floats,
    harms: Floats,
    individual: Floats,
    community: Floats,
    reward: Floats,
    events: Ints,
) -> None:
    """Write the rewards (E,) and the events (E, P) of treated cohorts.

    Actions (E, P), attributes (E, P, 6), infected (E, P), sensitive (E, P, K), luck (E, P, 3):
    outcome, adverse event, recovery; visible and delta (E, K); harms (K, 2) chance and value.
    """
    num_antibiotics = harms.shape[0]
    for e in range(actions.shape[0]):
        total = 0.0
        for p in range(actions.shape[1]):
            j = actions[e, p]
            treated = j < num_antibiotics
            drug = j if treated else 0
            value, happened = patient_outcome(
                infected[e, p],
                treated,
                sensitive[e, p, drug],
                attributes,
                e,
                p,
                luck[e, p, 0],
                luck[e, p, 1],
                luck[e, p, 2],
                numbers,
                harms[drug, 0],
                harms[drug, 1],
            )
            if treated and numbers[EPSILON] > 0.0:
                value -= numbers[EPSILON] * delta[e, drug]
            total += value
            events[e, p] = happened
        individual[e] = total / actions.shape[1]
        community[e] = community_reward(visible[e])
        reward[e] = whole_reward(individual[e], community[e], numbers[LAMBDA])


@compiled
def community_reward(visible: Floats) -> float:
    """Return minus the mean of the visible levels (K,)."""
    total = 0.0
    for j in range(visible.shape[0]):
        total += visible[j]
    return float(-total / visible.shape[0])


@compiled
def whole_reward(individual: float, community: float, weight: float) -> float:
    """Return lambda_weight * community + (1 - lambda_weight) * individual."""
    return weight * community + (1.0 - weight) * individual


# ----------------------------------------------------------------------------- clinic, observation


@compiled
def effective_doses(actions: Ints, cross: Floats, doses: Floats) -> None:
    """Write d_j = sum_i count_i * C[i, j] to doses (K,) for actions (P,) and cross (K, K)."""
    num_antibiotics = doses.shape[0]
    doses[:] = 0.0
    for i in range(num_antibiotics):
        count = 0
        for p in range(actions.shape[0]):
            count += actions[p] == i
        for j in range(num_antibiotics):
            doses[j] += count * cross[i, j]


@compiled
def effective_dose_rows(actions: Ints, cross: Floats, doses: Floats) -> None:
    """Write the effective doses (E, K) of actions (E, P)."""
    for e in range(actions.shape[0]):
        effective_doses(actions[e], cross, doses[e])


@compiled
def refresh_visible(
    row: Rows,
    level: Floats,
    numbers: Floats,
    visible: Floats,
    spare: Floats,
) -> None:
    """Write clip(level + noise + bias, 0, 1) to visible (K,); no draw when there is no noise.

    `spare` (at least 3K) is overwritten.
    """
    if numbers[VISIBLE_NOISE] > 0.0:
        fill_normal(row, visible, spare)
        for j in range(visible.shape[0]):
            seen = level[j] + numbers[VISIBLE_NOISE] * visible[j] + numbers[VISIBLE_BIAS]
            visible[j] = min(max(seen, 0.0), 1.0)
    else:
        for j in range(visible.shape[0]):
            visible[j] = min(max(level[j] + numbers[VISIBLE_BIAS], 0.0), 1.0)


@compiled
def see_levels(
    row: Rows,
    state: Floats,
    num_antibiotics: int,
    refresh: bool,
    numbers: Floats,
    spare: Floats,
) -> None:
    """Refresh the visible levels of one environment when due and note their change."""
    k = num_antibiotics
    level, visible, change = state[k : 2 * k], state[3 * k : 4 * k], state[4 * k : 5 * k]
    if refresh:
        change[:] = visible
        refresh_visible(row, level, numbers, visible, spare)
        for j in range(k):
            change[j] = visible[j] - change[j]
    else:
        change[:] = 0.0


@compiled
def see_level_rows(
    rows: Rows,
    state: Floats,
    num_antibiotics: int,
    refresh: bool,
    numbers: Floats,
) -> None:
    """Refresh the visible levels of all environments when due and note their change."""
    spare = np.empty(3 * num_antibiotics)
    for e in range(rows.shape[0]):
        see_levels(rows[e], state[e], num_antibiotics, refresh, numbers, spare)


@compiled
def remember_prescriptions(
    state: Floats,
    actions: Ints,
    num_antibiotics: int,
    windows: Ints,
    time: int,
) -> None:
    """Count step `time` (1 for the first) into the windows (W,) of one environment."""
    k, num_windows = num_antibiotics, windows.shape[0]
    longest = windows.max()
    for j in range(k):
        now = 0.0
        for p in range(actions.shape[0]):
            if actions[p] == j:
                now = 1.0
        counts = 5 * k + j * num_windows
        ring = 5 * k + k * num_windows + j * longest
        for w in range(num_windows):
            gone = state[ring + (time - 1 - windows[w]) % longest] if time > windows[w] else 0.0
            state[counts + w] += now - gone
        state[ring + (time - 1) % longest] = now


@compiled
def remember_prescription_rows(
    state: Floats,
    actions: Ints,
    num_antibiotics: int,
    windows: Ints,
    time: int,
) -> None:
    """Count step `time` into the windows of all environments."""
    for e in range(actions.shape[0]):
        remember_prescriptions(state[e], actions[e], num_antibiotics, windows, time)


@compiled
def write_observation(
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
    out: Floats32,
) -> None:
    """Write one environment's observation (D,).

    `shown` (V,) are the visible attributes; `since` is the count of steps since the last refresh,
    negative when it is not observed; `previous` says whether the previous action is observed;
    `horizon` is the number of steps of an episode, 0 when the time remaining is not observed.
    """
    k = num_antibiotics
    i = 0
    for p in range(observed.shape[0]):
        for v in range(shown.shape[0]):
            out[i] = observed[p, shown[v]]
            i += 1
    for j in range(k):
        out[i] = state[3 * k + j]
        i += 1
    if windows.shape[0] > 0:
        for j in range(k):
            for w in range(windows.shape[0]):
                out[i] = state[5 * k + j * windows.shape[0] + w] / windows[w]
                i += 1
        for j in range(k):
            out[i] = state[4 * k + j]
            i += 1
    if since >= 0:
        out[i] = since
        i += 1
    if previous:
        out[i:] = 0.0
        if time > 0:
            for p in range(actions.shape[0]):
                out[i + p * (k + 1) + actions[p]] = 1.0
    if horizon > 0:
        out[-1] = (horizon - time) / horizon


@compiled
def write_observation_rows(
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
    out: Floats32,
) -> None:
    """Write the observations of all environments, out (E, D)."""
    for e in range(state.shape[0]):
        write_observation(
            state[e],
            observed[e],
            actions[e],
            num_antibiotics,
            shown,
            windows,
            since,
            previous,
            horizon,
            time,
            out[e],
        )


@compiled
def first_invalid_action(actions: Ints, num_antibiotics: int) -> int:
    """Return the flat position of the first action outside 0..K of actions (E, P), or -1."""
    for e in range(actions.shape[0]):
        for p in range(actions.shape[1]):
            if actions[e, p] < 0 or actions[e, p] > num_antibiotics:
                return int(e * actions.shape[1] + p)
    return -1


@compiled
def reset_clinic(
    rows: Rows,
    state: Floats,
    waiting: Floats,
    initial: Floats,
    groups: Floats,
    numbers: Floats,
    shown: Ints,
    windows: Ints,
    since: int,
    previous: bool,
    horizon: int,
    observation: Floats32,
) -> None:
    """Start an episode in every environment from the pressures and levels `initial` (2, K)."""
    num_antibiotics = initial.shape[1]
    observed = np.empty((waiting.shape[1], NUM_ATTRIBUTES))
    spare = np.empty(max(48 * waiting.shape[1], 3 * num_antibiotics))
    nothing = np.empty(0, np.int64)
    state[:] = 0.0
    for e in range(rows.shape[0]):
        for j in range(num_antibiotics):
            state[e, j] = initial[0, j]
            state[e, num_antibiotics + j] = initial[1, j]
        see_levels(rows[e], state[e], num_antibiotics, True, numbers, spare)
        state[e, 4 * num_antibiotics : 5 * num_antibiotics] = 0.0
        sample_patients(rows[e], groups, waiting[e], observed, spare)
        draw_luck(rows[e], waiting[e])
        write_observation(
            state[e],
            observed,
            nothing,
            num_antibiotics,
            shown,
            windows,
            since,
            previous,
            horizon,
            0,
            observation[e],
        )


@compiled
def step_clinic(
    rows: Rows,
    state: Floats,
    treated: Floats,
    waiting: Floats,
    actions: Ints,
    drugs: Floats,
    groups: Floats,
    numbers: Floats,
    shown: Ints,
    windows: Ints,
    time: int,
    refresh: bool,
    since: int,
    previous: bool,
    horizon: int,
    observation: Floats32,
    reward: Floats,
) -> int:
    """Make one step in every environment; return -1, or the position of an invalid action.

    `treated` is the cohort that the actions (E, P) are for, `waiting` is overwritten with the
    next one; `time` is 1 at the first step. Nothing changes when an action is invalid.
    """
    num_envs, num_patients = actions.shape
    num_antibiotics = drugs.shape[0]
    invalid = first_invalid_action(actions, num_antibiotics)
    if invalid >= 0:
        return invalid
    observed = np.empty((num_patients, NUM_ATTRIBUTES))
    spare = np.empty(max(48 * num_patients, 3 * num_antibiotics))
    doses = np.empty(num_antibiotics)
    delta = np.zeros(num_antibiotics)
    chance = UNIFORMS + 1 + num_antibiotics
    for e in range(num_envs):
        now = state[e]
        effective_doses(actions[e], drugs[:, CROSS:], doses)
        for j in range(num_antibiotics):
            now[2 * num_antibiotics + j] = now[num_antibiotics + j]
            now[j] = balloon_step(now[j], doses[j], drugs[j, LEAK])
            now[num_antibiotics + j] = balloon_level(now[j], drugs[j, FLATNESS], drugs[j, RESIDUAL])
        see_levels(rows[e], now, num_antibiotics, refresh, numbers, spare)
        if numbers[EPSILON] > 0.0:
            for j in range(num_antibiotics):
                delta[j] = balloon_delta(
                    now[3 * num_antibiotics + j],
                    doses[j],
                    drugs[j, LEAK],
                    drugs[j, FLATNESS],
                    drugs[j, RESIDUAL],
                )
        total = 0.0
        for p in range(num_patients):
            j = actions[e, p]
            treated[e, p, ACTION] = j
            is_treated = j < num_antibiotics
            drug = j if is_treated else 0
            value, _ = patient_outcome(
                treated[e, p, UNIFORMS] < treated[e, p, 0],
                is_treated,
                treated[e, p, UNIFORMS + 1 + drug] < 1.0 - now[2 * num_antibiotics + drug],
                treated,
                e,
                p,
                treated[e, p, chance],
                treated[e, p, chance + 1],
                treated[e, p, chance + 2],
                numbers,
                drugs[drug, ADVERSE_PROBABILITY],
                drugs[drug, ADVERSE_VALUE],
            )
            if is_treated and numbers[EPSILON] > 0.0:
                value -= numbers[EPSILON] * delta[drug]
            total += value
        community = community_reward(now[3 * num_antibiotics : 4 * num_antibiotics])
        reward[e] = whole_reward(total / num_patients, community, numbers[LAMBDA])
        if windows.shape[0] > 0:
            remember_prescriptions(now, actions[e], num_antibiotics, windows, time)
        sample_patients(rows[e], groups, waiting[e], observed, spare)
        draw_luck(rows[e], waiting[e])
        write_observation(
            now,
            observed,
            actions[e],
            num_antibiotics,
            shown,
            windows,
            since,
            previous,
            horizon,
            time,
            observation[e],
        )
    return -1
