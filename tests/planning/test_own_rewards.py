"""Rewards of one's own that declare their expected values: planned like the shipped one."""

from dataclasses import replace

import numpy as np
import pytest

from abx_amr.evaluation.episodes import evaluate
from abx_amr.planning.certificate import certify
from abx_amr.planning.optimum import optimum
from abx_amr.planning.policy import Optimal
from abx_amr.planning.problem import NotComputable
from abx_amr.planning.views import SampledView, sampled_view, view
from abx_amr.simulator.patients import ATTRIBUTES
from abx_amr.simulator.rewards import ClinicalReward
from tests.clinics import PAPER_DRUGS, clinic_model, mixture, population

VARIED = mixture(
    low=population(prob_infected=0.3, sigma=0.05, noise_std=0.05),
    high=population(prob_infected=0.8, sigma=0.05, noise_std=0.05),
)
CLINICAL = {
    "antibiotics": ("A", "B"),
    "clinical_benefit_reward": 10.0,
    "clinical_benefit_probability": 1.0,
    "clinical_failure_penalty": -10.0,
    "clinical_failure_probability": 1.0,
    "adverse_effect_penalty": {name: drug[2] for name, drug in PAPER_DRUGS.items()},
    "adverse_effect_probability": {name: drug[3] for name, drug in PAPER_DRUGS.items()},
    "lambda_weight": 0.1,
    "epsilon": 0.0,
}
INFECTED = ATTRIBUTES.index("prob_infected")


class Same(ClinicalReward):
    """The shipped reward under another name."""

    is_linear = True


class Overtreatment(ClinicalReward):
    """A fine, by antibiotic, for whoever is treated and not infected."""

    is_linear = True

    def __init__(self, *, fines, **clinical):
        super().__init__(**clinical)
        self.fines = np.array([*fines, 0.0])

    def score(self, cohort):
        score = super().score(cohort)
        fine = (self.fines[cohort.actions] * ~cohort.infected).mean(axis=1)
        weight = 1.0 - self.lambda_weight
        return replace(
            score, reward=score.reward - weight * fine, individual=score.individual - fine
        )

    def expected_reward(self, attributes, amr_level, delta=0.0):
        expected = super().expected_reward(attributes, amr_level, delta)
        return expected - self.fines * (1.0 - np.asarray(attributes)[..., INFECTED, None])


def clinic(reward, **parts):
    asked = {"people": VARIED, "patients": 3, "steps": 40} | parts
    return replace(clinic_model(PAPER_DRUGS, **asked), reward=reward)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_a_reward_that_equals_the_shipped_one_has_its_bounds(epsilon):
    shipped, own = (kind(**CLINICAL | {"epsilon": epsilon}) for kind in (ClinicalReward, Same))
    expected, found = (certify(sampled_view(clinic(r)).clinic) for r in (shipped, own))
    assert found.upper == pytest.approx(expected.upper, abs=1e-9)
    assert found.lower == pytest.approx(expected.lower, abs=1e-9)
    assert found.never == pytest.approx(expected.never, abs=1e-9)


@pytest.mark.parametrize(
    "parts", [{}, {"people": population(prob_infected=0.5)}], ids=["who differ", "all alike"]
)
def test_the_bounds_of_a_reward_of_ones_own_enclose_what_its_policy_is_worth(parts):
    model = clinic(Overtreatment(fines=[0.6, 0.1], **CLINICAL), **parts)
    posed = view(model)
    assert isinstance(posed, SampledView)
    found = optimum(posed)
    played = evaluate(Optimal(model), model, episodes=2000, seed=7, max_batch=500)
    error = played.returns.std(ddof=1) / np.sqrt(2000)
    assert found.lower - 3 * error < played.mean_return < found.upper + 3 * error
    assert error < 0.1
    shipped = optimum(view(clinic(ClinicalReward(**CLINICAL), **parts)))
    assert found.upper < shipped.lower


def test_another_fine_is_another_clinic_and_the_same_one_is_found_again():
    names = [
        view(clinic(Overtreatment(fines=fines, **CLINICAL))).fingerprint
        for fines in ([0.6, 0.1], [0.6, 0.2], [0.6, 0.1])
    ]
    assert names[0] == names[2] != names[1]


def test_four_antibiotics_are_bounded_each_by_what_it_is_worth_itself():
    drugs = {**PAPER_DRUGS, "C": (0.25, 40.0, -0.6, 0.3), "D": (0.1, 20.0, -3.0, 0.3)}
    shipped = clinic_model(drugs, people=VARIED, patients=2, steps=12)
    harms = {
        "antibiotics": tuple(drugs),
        "adverse_effect_penalty": {name: drug[2] for name, drug in drugs.items()},
        "adverse_effect_probability": {name: drug[3] for name, drug in drugs.items()},
        "lambda_weight": 0.0,
    }
    expected = optimum(view(shipped), tolerance=0.05)
    found = optimum(view(replace(shipped, reward=Same(**CLINICAL | harms))), tolerance=0.05)
    assert found.upper == pytest.approx(expected.upper, abs=1e-3)
    assert found.lower == pytest.approx(expected.lower, abs=1e-6)


def test_a_score_of_its_own_needs_a_declaration_of_its_own():
    class Silent(Overtreatment):
        def score(self, cohort):
            return super().score(cohort)

    with pytest.raises(NotComputable, match="not computed for the reward Silent"):
        view(clinic(Silent(fines=[0.6, 0.1], **CLINICAL)))


def test_a_reward_that_is_not_linear_is_refused_though_it_says_so():
    class Squared(Overtreatment):
        is_linear = True

        def expected_reward(self, attributes, amr_level, delta=0.0):
            expected = super().expected_reward(attributes, amr_level, delta)
            return expected - np.asarray(attributes)[..., INFECTED, None] ** 2

    class Steep(Overtreatment):
        is_linear = True

        def expected_reward(self, attributes, amr_level, delta=0.0):
            return super().expected_reward(attributes, np.asarray(amr_level) ** 2, delta)

    class Rising(Overtreatment):
        is_linear = True

        def expected_reward(self, attributes, amr_level, delta=0.0):
            return super().expected_reward(attributes, 1.0 - np.asarray(amr_level), delta)

    with pytest.raises(NotComputable, match="expected_reward of Rising must fall"):
        view(clinic(Rising(fines=[0.6, 0.1], **CLINICAL)))
    for kind in (Squared, Steep):
        with pytest.raises(NotComputable, match=f"expected_reward of {kind.__name__} is not"):
            view(clinic(kind(fines=[0.6, 0.1], **CLINICAL)))
