"""What happened in steps of a clinic, told from its state after each and from the patients treated.

Shapes: N steps, of one environment or of several, P patients, K antibiotics, R rows of a state.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.components import ComponentSteps, infections
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.doses import effective_doses
from abx_amr.simulator.kernel.layout import cohort_views
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.rewards import Score
from abx_amr.simulator.tables import clinic_tables

Floats = NDArray[np.float64]
Described = dict[str, NDArray[Any]]

SCORES = ("reward", "individual", "community")
COUNTS = (
    "benefits",
    "failures",
    "adverse_events",
    "recoveries",
    "treated_infected_sensitive",
    "treated_infected_resistant",
    "treated_not_infected",
    "untreated_infected",
    "untreated_not_infected",
)
ANSWERS = ("prescriptions", "true_amr", "visible_amr")
EFFECTS = ("effective_doses", "delta_visible_amr")
PER_ANTIBIOTIC = (*ANSWERS, *EFFECTS)


def outcomes(
    model: ClinicModel, state: Floats, patients: Floats, *, score: Score | None = None
) -> Described:
    """Return what came of treatments: SCORES and COUNTS, (N,) each, and ANSWERS, (N, K).

    Args:
        model: The clinic.
        state: After each step, (N, R, K).
        patients: Those treated in it, (N, P, 8 + K+4).
        score: What the reward made of them, where it is known.
    """
    if score is None:
        score = _score(model, state, patients)
    actions = cohort_views(patients).action
    infected, sensitive = infections(patients, state[:, layout.BEFORE])
    num_steps, k = len(state), len(model.antibiotics)
    prescriptions = np.empty((num_steps, k), dtype=np.int64)
    works = np.zeros(actions.shape, dtype=bool)
    for j in range(k):
        given = actions == j
        prescriptions[:, j] = given.sum(axis=1)
        works |= given & sensitive[:, :, j]
    treated = actions < k
    cured, uncured = infected & works, infected & treated & ~works
    of_treated, of_infected = prescriptions.sum(axis=1), infected.sum(axis=1)
    sensitive_ones, resistant_ones = cured.sum(axis=1), uncured.sum(axis=1)
    infected_untreated = of_infected - sensitive_ones - resistant_ones
    uninfected_treated = of_treated - sensitive_ones - resistant_ones
    return {
        "reward": score.reward.copy(),
        "individual": score.individual,
        "community": score.community,
        "benefits": score.benefits.sum(axis=1),
        "failures": score.failures.sum(axis=1),
        "adverse_events": score.adverse_events.sum(axis=1),
        "recoveries": (score.benefits & ~treated).sum(axis=1),
        "treated_infected_sensitive": sensitive_ones,
        "treated_infected_resistant": resistant_ones,
        "treated_not_infected": uninfected_treated,
        "untreated_infected": infected_untreated,
        "untreated_not_infected": actions.shape[1] - of_treated - infected_untreated,
        "prescriptions": prescriptions,
        "true_amr": state[:, layout.LEVEL].copy(),
        "visible_amr": state[:, layout.VISIBLE].copy(),
    }


def effects(model: ClinicModel, prescriptions: NDArray[np.int64], visible_amr: Floats) -> Described:
    """Return EFFECTS, (..., K): the doses that reached each antibiotic, and what the last one did.

    Args:
        model: The clinic.
        prescriptions: How many patients got each antibiotic, (..., K).
        visible_amr: The visible levels after the step, (..., K).
    """
    shape = prescriptions.shape
    counts = prescriptions.reshape(-1, shape[-1])
    doses = np.zeros(counts.shape)
    for i, reached in enumerate(model.cross_resistance_matrix):
        doses += counts[:, i, None] * reached
    delta = model.dynamics.delta(visible_amr.reshape(-1, shape[-1]), doses)
    return {"effective_doses": doses.reshape(shape), "delta_visible_amr": delta.reshape(shape)}


def _score(model: ClinicModel, state: Floats, patients: Floats) -> Score:
    components = ComponentSteps(model, len(state))
    delta = np.zeros((len(state), len(model.antibiotics)))
    if model.reward.needs_delta:
        doses = np.empty_like(delta)
        drugs = clinic_tables(model)[0].drugs
        effective_doses(cohort_views(patients).action.astype(np.int64), drugs, doses)
        components.find_deltas(state, doses, delta)
    return components.score_of(state, patients, delta)


def described(
    model: ClinicModel, state: Floats, patients: Floats, *, score: Score | None = None
) -> Mapping[str, NDArray[Any]]:
    """Return `outcomes` and `effects` of steps."""
    found = outcomes(model, state, patients, score=score)
    return found | effects(model, found["prescriptions"], found["visible_amr"])
