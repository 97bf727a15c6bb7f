"""The clinics of the specification as plain objects, for tests."""

from abx_amr.simulator.dynamics import LeakyBalloon
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import ObservationSettings, VisibleAmr
from abx_amr.simulator.patients import PatientMixture, PatientPopulation
from abx_amr.simulator.rewards import ClinicalReward

ATTRIBUTE_DEFAULTS = {
    "prob_infected": 0.8,
    "benefit_value_multiplier": 1.0,
    "failure_value_multiplier": 1.0,
    "benefit_probability_multiplier": 1.0,
    "failure_probability_multiplier": 1.0,
    "recovery_without_treatment_prob": 0.0,
}
PROBABILITIES = ("prob_infected", "recovery_without_treatment_prob")
DEFAULT_DRUGS = {  # leak, flatness, adverse effect penalty, its probability
    "A": (0.2, 50.0, -2.0, 0.1),
    "B": (0.1, 25.0, -3.0, 0.15),
}
PAPER_DRUGS = {"A": (0.2, 40.0, -0.8, 0.25), "B": (0.3, 40.0, -0.5, 0.4)}
CROSS_RESISTANCE = {"A": {"B": 0.3}, "B": {"A": 0.1}}


def attribute(name, value, *, sigma=0.0, noise_std=0.0):
    law = {"type": "constant", "value": value}
    if sigma:
        law = {"type": "gaussian", "mu": value, "sigma": sigma}
    clip = [0.0, 1.0 if name in PROBABILITIES else None]
    seen = {"bias_multiplier": 1.0, "noise_std": noise_std, "clip": clip}
    return {"distribution": law, "observation": seen}


def population(*, visible=("prob_infected",), sigma=0.0, noise_std=0.0, **values):
    laws = {
        name: attribute(name, values.get(name, default), sigma=sigma, noise_std=noise_std)
        for name, default in ATTRIBUTE_DEFAULTS.items()
    }
    return PatientPopulation(visible_patient_attributes=list(visible), **laws)


def mixture(**members):
    share = 1.0 / len(members)
    return PatientMixture(populations={name: (share, member) for name, member in members.items()})


def clinic_model(
    drugs=DEFAULT_DRUGS,
    *,
    cross_resistance=None,
    patients=1,
    steps=500,
    people=None,
    rewards=None,
    visible_amr=None,
    observation=None,
):
    names = tuple(drugs)
    report = {"update_every_n_time_steps": 1, "noise_std": 0.0, "bias": 0.0} | (visible_amr or {})
    shown = {
        "include_steps_since_amr_update": False,
        "include_previous_action": False,
        "temporal_windows": (),
    } | (observation or {})
    rewards = {
        "clinical_benefit_reward": 10.0,
        "clinical_benefit_probability": 1.0,
        "clinical_failure_penalty": -10.0,
        "clinical_failure_probability": 1.0,
        "lambda_weight": 0.0,
        "epsilon": 0.0,
    } | (rewards or {})
    return ClinicModel(
        antibiotics=names,
        dynamics=LeakyBalloon(
            antibiotics=names,
            leak={name: drug[0] for name, drug in drugs.items()},
            flatness_parameter={name: drug[1] for name, drug in drugs.items()},
            permanent_residual_volume=dict.fromkeys(names, 0.0),
            initial_amr_level=dict.fromkeys(names, 0.0),
        ),
        cross_resistance=cross_resistance or {},
        population=people or population(),
        reward=ClinicalReward(
            antibiotics=names,
            adverse_effect_penalty={name: drug[2] for name, drug in drugs.items()},
            adverse_effect_probability={name: drug[3] for name, drug in drugs.items()},
            **rewards,
        ),
        visible_amr=VisibleAmr(**report),
        observation=ObservationSettings(**shown),
        num_patients_per_time_step=patients,
        max_time_steps=steps,
    )


def paper_model(drugs=PAPER_DRUGS, **parts):
    return clinic_model(
        drugs,
        people=population(prob_infected=0.7, recovery_without_treatment_prob=0.05),
        rewards={
            "clinical_benefit_reward": 1.0,
            "clinical_benefit_probability": 0.6375,
            "clinical_failure_penalty": -1.0,
            "clinical_failure_probability": 0.9,
        },
        **parts,
    )


def only(name, drugs):
    return {name: drugs[name]}


def default_clinics():
    """The clinics of the golden values: name -> model."""
    return {
        "single": clinic_model(only("A", DEFAULT_DRUGS)),
        "two": clinic_model(),
        "two_cross_resistant": clinic_model(cross_resistance=CROSS_RESISTANCE),
        "paper_single": paper_model(only("A", PAPER_DRUGS)),
        "paper_two": paper_model(),
        "paper_two_cross_resistant": paper_model(cross_resistance=CROSS_RESISTANCE),
    }


def crowded_model(**parts):
    """Ten varied, noisily observed patients under a late and noisy AMR report."""
    every = tuple(ATTRIBUTE_DEFAULTS)
    return clinic_model(
        PAPER_DRUGS,
        patients=10,
        people=population(
            visible=every,
            sigma=0.1,
            noise_std=0.1,
            prob_infected=0.7,
            recovery_without_treatment_prob=0.05,
        ),
        visible_amr={"update_every_n_time_steps": 90, "noise_std": 0.2},
        **parts,
    )
