"""What a treated cohort is worth: each patient's outcome, and the reward of the whole.

Shapes: E environments, P patients, K antibiotics.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import (
    ADVERSE,
    ADVERSE_EVENT,
    ADVERSE_PROBABILITY,
    ADVERSE_VALUE,
    BEFORE,
    BENEFIT,
    BENEFIT_CHANCE_MULTIPLIER,
    BENEFIT_MULTIPLIER,
    BENEFIT_PROBABILITY,
    BENEFIT_VALUE,
    EPSILON,
    FAILURE,
    FAILURE_CHANCE_MULTIPLIER,
    FAILURE_MULTIPLIER,
    FAILURE_PROBABILITY,
    FAILURE_VALUE,
    INFECTION,
    LAMBDA,
    OUTCOME,
    PROB_INFECTED,
    RECOVERY,
    RECOVERY_CHANCE,
    SENSITIVITIES,
    VISIBLE,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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
    helped = (treated & sensitive) | ((not treated) & (recovery < patients[e, p, RECOVERY_CHANCE]))
    works = (not treated) | (
        outcome < numbers[BENEFIT_PROBABILITY] * patients[e, p, BENEFIT_CHANCE_MULTIPLIER]
    )
    fails = outcome < numbers[FAILURE_PROBABILITY] * patients[e, p, FAILURE_CHANCE_MULTIPLIER]
    benefit = infected & helped & works
    failure = infected & (not helped) & fails
    harmed = treated & (adverse < harm_chance)
    value = benefit * (numbers[BENEFIT_VALUE] * patients[e, p, BENEFIT_MULTIPLIER])
    value += failure * (numbers[FAILURE_VALUE] * patients[e, p, FAILURE_MULTIPLIER])
    value += harmed * harm
    return value, benefit * BENEFIT + failure * FAILURE + harmed * ADVERSE


@compiled
def cohort_rewards(
    actions: Ints,
    attributes: Floats,
    infected: Bools,
    sensitive: Bools,
    chances: Floats,
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

    Actions (E, P), attributes (E, P, 6), infected (E, P), sensitive (E, P, K), chances (E, P, 3):
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
                chances[e, p, OUTCOME],
                chances[e, p, ADVERSE_EVENT],
                chances[e, p, RECOVERY],
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


@compiled
def reward_cohorts(
    state: Floats,
    patients: Floats,
    actions: Ints,
    drugs: Floats,
    numbers: Floats,
    delta: Floats,
    reward: Floats,
) -> None:
    """Write the rewards (E,) of patients (E or 1, P, 8 + K+4) treated by actions (E, P)."""
    num_envs, num_patients = actions.shape
    num_antibiotics = drugs.shape[0]
    chances = SENSITIVITIES + num_antibiotics
    for e in range(num_envs):
        cohort = min(e, patients.shape[0] - 1)
        total = 0.0
        for p in range(num_patients):
            j = actions[e, p]
            is_treated = j < num_antibiotics
            drug = j if is_treated else 0
            value, _ = patient_outcome(
                patients[cohort, p, INFECTION] < patients[cohort, p, PROB_INFECTED],
                is_treated,
                patients[cohort, p, SENSITIVITIES + drug] < 1.0 - state[e, BEFORE, drug],
                patients,
                cohort,
                p,
                patients[cohort, p, chances + OUTCOME],
                patients[cohort, p, chances + ADVERSE_EVENT],
                patients[cohort, p, chances + RECOVERY],
                numbers,
                drugs[drug, ADVERSE_PROBABILITY],
                drugs[drug, ADVERSE_VALUE],
            )
            if is_treated and numbers[EPSILON] > 0.0:
                value -= numbers[EPSILON] * delta[e, drug]
            total += value
        community = community_reward(state[e, VISIBLE])
        reward[e] = whole_reward(total / num_patients, community, numbers[LAMBDA])
