"""A user's mistake is one line that names the key, the value and what would be right."""

import re

import pytest

from abx_amr.errors import InputError
from abx_amr.simulator import (
    ATTRIBUTES,
    ClinicalReward,
    ClinicModel,
    LeakyBalloon,
    ObservationSettings,
    PatientMixture,
    PatientPopulation,
    VisibleAmr,
)
from tests.clinics import attribute, clinic_model, population

BALLOON = {
    "antibiotics": ["A", "B"],
    "leak": {"A": 0.2, "B": 0.1},
    "flatness_parameter": {"A": 50.0, "B": 25.0},
    "permanent_residual_volume": {"A": 0.1, "B": 0.0},
    "initial_amr_level": {"A": 0.1, "B": 0.0},
}
REWARD = {
    "antibiotics": ["A", "B"],
    "clinical_benefit_reward": 10.0,
    "clinical_benefit_probability": 1.0,
    "clinical_failure_penalty": -10.0,
    "clinical_failure_probability": 1.0,
    "adverse_effect_penalty": {"A": -2.0, "B": -3.0},
    "adverse_effect_probability": {"A": 0.1, "B": 0.15},
    "lambda_weight": 0.0,
    "epsilon": 0.0,
}
PEOPLE = {name: attribute(name, 0.5) for name in ATTRIBUTES}
PEOPLE["visible_patient_attributes"] = ["prob_infected"]
MODEL = {field: getattr(clinic_model(), field) for field in ClinicModel.__dataclass_fields__}


def law(**distribution):
    return {
        "distribution": distribution,
        "observation": attribute("prob_infected", 0.5)["observation"],
    }


def seen(**changed):
    whole = attribute("prob_infected", 0.5)
    return {**whole, "observation": {**whole["observation"], **changed}}


MISTAKES = [
    (LeakyBalloon, BALLOON, {"leak": {"A": 0.2, "C": 0.1}},
     "leak must name each of ['A', 'B'] once: missing ['B'], unknown ['C']"),
    (LeakyBalloon, BALLOON, {"leak": {"A": 1.5, "B": 0.1}},
     "leak of antibiotic A must be a number in (0, 1), got 1.5"),
    (LeakyBalloon, BALLOON, {"leak": {"A": 0.2, "B": "0.1"}},
     "leak of antibiotic B must be a number in (0, 1), got '0.1'"),
    (LeakyBalloon, BALLOON, {"leak": {"A": 0.2, "B": float("nan")}},
     "leak of antibiotic B must be a number in (0, 1), got nan"),
    (LeakyBalloon, BALLOON, {"flatness_parameter": {"A": 0, "B": 1}},
     "flatness_parameter of antibiotic A must be a number above 0, got 0"),
    (LeakyBalloon, BALLOON, {"permanent_residual_volume": {"A": 1.0, "B": 0}},
     "permanent_residual_volume of antibiotic A must be a number in [0, 1), got 1.0"),
    (LeakyBalloon, BALLOON, {"initial_amr_level": {"A": 0.05, "B": 0}},
     "initial_amr_level of antibiotic A must be a number in [0.1, 1], got 0.05"),
    (LeakyBalloon, BALLOON, {"antibiotics": ["A", "A"]},
     "antibiotics must name each once, got ['A', 'A'] (repeated: ['A'])"),
    (LeakyBalloon, BALLOON, {"antibiotics": ["A", "no_treatment"]},
     "antibiotics must not be named 'no_treatment': it means giving none"),
    (ClinicalReward, REWARD, {"clinical_benefit_reward": 0.0},
     "clinical_benefit_reward must be a number above 0, got 0.0"),
    (ClinicalReward, REWARD, {"clinical_failure_penalty": 1.0},
     "clinical_failure_penalty must be a number below 0, got 1.0"),
    (ClinicalReward, REWARD, {"epsilon": 0.2}, "epsilon must be a number in [0, 0.1], got 0.2"),
    (ClinicalReward, REWARD, {"lambda_weight": -1},
     "lambda_weight must be a number in [0, 1], got -1"),
    (ClinicalReward, REWARD, {"adverse_effect_probability": {"A": 0.1, "B": 2}},
     "adverse_effect_probability of antibiotic B must be a number in [0, 1], got 2"),
    (PatientPopulation, PEOPLE, {"visible_patient_attributes": ["prob_infectd"]},
     "visible_patient_attributes must name patient attributes, got 'prob_infectd';"
     " did you mean 'prob_infected'?"),
    (PatientPopulation, PEOPLE, {"visible_patient_attributes": []},
     "visible_patient_attributes must name at least one, got an empty list"),
    (PatientPopulation, PEOPLE, {"prob_infected": law(type="gausian", mu=1, sigma=1)},
     "prob_infected.distribution.type must be constant or gaussian, got 'gausian';"
     " did you mean 'gaussian'?"),
    (PatientPopulation, PEOPLE, {"prob_infected": law(type="gaussian", mu=1, sgma=1)},
     "prob_infected.distribution has no key 'sgma'; did you mean 'sigma'?"),
    (PatientPopulation, PEOPLE, {"prob_infected": law(type="gaussian", mu=1, sigma=-1)},
     "prob_infected.distribution.sigma must be a number of at least 0, got -1"),
    (PatientPopulation, PEOPLE, {"prob_infected": law(type="gaussian", mu=1.7, sigma=0.1)},
     "prob_infected.distribution.mu must be a number in [0, 1], got 1.7"),
    (PatientPopulation, PEOPLE,
     {"benefit_value_multiplier": law(type="gaussian", mu=-0.1, sigma=0.1)},
     "benefit_value_multiplier.distribution.mu must be a number of at least 0, got -0.1"),
    (PatientPopulation, PEOPLE, {"prob_infected": seen(bias_multiplier=0)},
     "prob_infected.observation.bias_multiplier must be a number above 0, got 0"),
    (PatientPopulation, PEOPLE, {"prob_infected": seen(clip=[1, 0])},
     "prob_infected.observation.clip must be [low, high] with low <= high, got [1, 0]"),
    (VisibleAmr, {"update_every_n_time_steps": 1, "noise_std": 0.0, "bias": 0.0}, {"bias": 2},
     "visible_amr.bias must be a number in [-1, 1], got 2"),
    (VisibleAmr, {"update_every_n_time_steps": 0, "noise_std": 0.0, "bias": 0.0}, {},
     "visible_amr.update_every_n_time_steps must be a whole number of at least 1, got 0"),
    (ObservationSettings,
     {"include_steps_since_amr_update": False, "include_previous_action": False},
     {"temporal_windows": [10, 10]}, "temporal_windows must name each once, got [10, 10]"),
    (ClinicModel, MODEL, {"cross_resistance": {"A": {"A": 1.0}}},
     "cross_resistance.A.A must not be given: an antibiotic's own dose counts in full"),
    (ClinicModel, MODEL, {"cross_resistance": {"A": {"B": 1.1}}},
     "cross_resistance.A.B must be a number in [0, 1], got 1.1"),
    (ClinicModel, MODEL, {"cross_resistance": {"A": {"C": 0.1}}},
     "cross_resistance.A must name antibiotics of ['A', 'B'], got 'C'"),
    (ClinicModel, MODEL, {"antibiotics": ("A", "C")},
     "antibiotics of dynamics must be ['A', 'C'], got ['A', 'B']"),
    (ClinicModel, MODEL, {"num_patients_per_time_step": 0},
     "num_patients_per_time_step must be a whole number of at least 1, got 0"),
    (PatientMixture, {"populations": {"a": (0.5, population()), "b": (0.6, population())}}, {},
     "proportions must sum to 1, got 1.1 (a 0.5, b 0.6)"),
    (PatientMixture, {"populations": {"a": (-0.5, population()), "b": (1.5, population())}}, {},
     "populations.a.proportion must be a number of at least 0, got -0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "right", "wrong", "line"), MISTAKES)
def test_a_mistake_is_named_with_its_value_and_the_cure(build, right, wrong, line):
    with pytest.raises(InputError, match="^" + re.escape(line)) as caught:
        build(**(right | wrong))
    assert "\n" not in str(caught.value)


def test_a_negative_dose_is_refused():
    with pytest.raises(InputError, match=r"doses must be >= 0, got -1.0"):
        LeakyBalloon(**BALLOON).step([[0.0, 0.0]], [[0.0, -1.0]])
