"""The exact optimum: golden values, brute force, Monte Carlo, and what can never hurt."""

from itertools import product

import numpy as np
import pytest

from abx_amr.evaluation.episodes import evaluate
from abx_amr.planning.lattice import counts
from abx_amr.planning.optimum import optimal_path, optimum
from abx_amr.planning.play import replay
from abx_amr.planning.policy import Optimal
from abx_amr.planning.problem import NotComputable, clipped_mean, pose
from abx_amr.planning.programme import Programme
from abx_amr.planning.views import view
from abx_amr.simulator.patients import PatientPopulation
from tests.clinics import (
    ATTRIBUTE_DEFAULTS,
    CROSS_RESISTANCE,
    DEFAULT_DRUGS,
    PAPER_DRUGS,
    attribute,
    clinic_model,
    crowded_model,
    default_clinics,
    mixture,
    only,
    paper_model,
    population,
)

CLINICS = default_clinics()
SINGLE = only("A", DEFAULT_DRUGS)

# clinic, stated optimum, half of its last printed digit (or half of the stated range)
OPTIMA = [
    ("single", -169.92, 0.005),
    ("two", -71.2, 0.05),
    ("two_cross_resistant", -113.0, 0.05),
    ("paper_single", -180.0, 0.5),
    # stated as -52 to -54 and -85 to -86: the exact values are -51.83 and -84.45
    ("paper_two", -51.826, 0.0005),
    ("paper_two_cross_resistant", -84.453, 0.0005),
]


@pytest.mark.parametrize(("clinic", "stated", "digit"), OPTIMA)
def test_the_optimum_is_what_the_specification_says(clinic, stated, digit):
    found = optimum(pose(CLINICS[clinic]))
    assert found.is_exact
    assert found.caveats == ()
    assert found.value == pytest.approx(stated, abs=digit)


def random_clinic(number):
    draws = np.random.Generator(np.random.PCG64(number))
    names = "AB"[: 1 + number % 2]
    patients = int(draws.integers(1, 4))
    most = {(1, 1): 8, (1, 2): 7, (1, 3): 6, (2, 1): 6, (2, 2): 4, (2, 3): 3}
    drugs = {
        name: (
            round(float(draws.uniform(0.05, 0.95)), 2),
            round(float(draws.uniform(0.5, 6.0)), 2),
            -round(float(draws.uniform(0.5, 6.0)), 1),
            round(float(draws.uniform(0.0, 0.5)), 2),
        )
        for name in names
    }
    cross = {}
    if len(names) == 2:
        cross = {"A": {"B": round(float(draws.uniform(0, 1)), 2)}, "B": {"A": 0.25}}
    rewards = {"lambda_weight": round(float(draws.uniform(0, 0.9)), 2) * (number % 3 == 0)}
    late = {"update_every_n_time_steps": int(draws.integers(1, 4))} if number % 4 == 1 else {}
    if not late:
        rewards["epsilon"] = 0.1 * (number % 5 == 0)
    return clinic_model(
        drugs,
        cross_resistance=cross,
        patients=patients,
        steps=most[len(names), patients],
        people=population(
            prob_infected=round(float(draws.uniform(0.2, 1.0)), 2),
            recovery_without_treatment_prob=0.1,
        ),
        rewards=rewards,
        visible_amr=late,
    )


@pytest.mark.parametrize("number", range(20))
def test_no_sequence_of_treatments_beats_the_optimum_and_one_reaches_it(number):
    model = random_clinic(number)
    problem = pose(model).problem
    choices = counts(problem.num_patients, len(problem.antibiotics))
    best = max(
        replay(problem, given).expected_return
        for given in product(choices.tolist(), repeat=problem.num_steps)
    )
    assert Programme(problem).solve().value == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("number", [0, 1, 5, 6, 9])
def test_the_exact_return_of_treatments_is_what_the_simulator_gives_on_average(number):
    """The laws of section 5 and 6, lambda, epsilon and late reports included."""
    model = random_clinic(number)
    found = optimum(pose(model))
    played = evaluate(Optimal(model), model, episodes=4000, seed=1, max_batch=4000)
    error = played.returns.std(ddof=1) / np.sqrt(4000)
    assert played.mean_return == pytest.approx(found.lower, abs=3 * error + 1e-12)


def two_groups(**parts):
    people = mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.9))
    return clinic_model(parts.pop("drugs", SINGLE), people=people, **parts)


@pytest.mark.parametrize(
    "model",
    [
        two_groups(patients=3, steps=200),
        two_groups(drugs=PAPER_DRUGS, patients=2, steps=60, cross_resistance=CROSS_RESISTANCE),
        clinic_model(SINGLE, patients=5, steps=200),
        paper_model(steps=200),
    ],
    ids=["mixture of 3", "mixture, two drugs", "five patients", "paper_two"],
)
def test_playing_the_optimal_policy_gives_the_optimum(model):
    found = optimum(pose(model))
    assert found.is_exact
    played = evaluate(Optimal(model), model, episodes=1000, seed=7, max_batch=500)
    error = played.returns.std(ddof=1) / np.sqrt(1000)
    assert played.mean_return == pytest.approx(found.value, abs=3 * error)


def tree_value(problem, step, pressure):
    """Return the optimum by hand: every cohort, every treatment of every patient, no lattice."""
    if step == problem.num_steps:
        return 0.0
    k, p = len(problem.antibiotics), problem.num_patients
    level = problem.level(pressure)
    total = 0.0
    for cohort in product(range(len(problem.share)), repeat=p):
        best = -np.inf
        for actions in product(range(k + 1), repeat=p):
            now, dose = 0.0, np.zeros(k)
            for g, j in zip(cohort, actions, strict=True):
                now += problem.untreated[g] / p
                if j < k:
                    dose += problem.cross[j]
                    now += (problem.gain[g] + problem.harm[j] - problem.slope[g] * level[j]) / p
            after = np.maximum(0, pressure + dose - problem.leak)
            best = max(best, now + tree_value(problem, step + 1, after))
        total += best * np.prod(problem.share[list(cohort)])
    return total


@pytest.mark.parametrize(
    ("drugs", "patients", "steps"), [(SINGLE, 3, 2), (SINGLE, 2, 3), (DEFAULT_DRUGS, 2, 2)]
)
def test_a_mixture_is_worth_what_every_cohort_and_treatment_say(drugs, patients, steps):
    steep = {name: (drug[0], 1.5, *drug[2:]) for name, drug in drugs.items()}
    model = two_groups(drugs=steep, patients=patients, steps=steps)
    problem = pose(model).problem
    expected = tree_value(problem, 0, problem.initial)
    assert optimum(pose(model)).value == pytest.approx(expected, abs=1e-9)


# --- what can never hurt -------------------------------------------------------------------------


def value(model):
    return optimum(pose(model)).value


def test_more_leak_never_hurts():
    values = [
        value(clinic_model({"A": (leak, 20.0, -2.0, 0.1)}, steps=60))
        for leak in (0.1, 0.2, 0.3, 0.5)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_a_further_antibiotic_never_hurts():
    assert value(clinic_model(SINGLE, steps=60)) < value(clinic_model(steps=60))


def test_cross_resistance_never_helps():
    assert value(clinic_model(steps=60, cross_resistance=CROSS_RESISTANCE)) < value(
        clinic_model(steps=60)
    )


def test_seeing_who_is_at_risk_never_hurts():
    model = two_groups(patients=2, steps=60)
    hidden = optimum(pose(model, hide_patients=True)).value
    assert hidden < optimum(pose(model)).value


def test_patients_who_look_alike_are_one_type():
    people = mixture(
        low=population(visible=["benefit_value_multiplier"], prob_infected=0.3),
        high=population(visible=["benefit_value_multiplier"], prob_infected=0.9),
    )
    problem = pose(clinic_model(SINGLE, people=people)).problem
    assert problem.is_homogeneous
    # infected * (benefit - failure) of the two, on average
    assert problem.slope[0] == pytest.approx((0.3 + 0.9) / 2 * 2)


# --- bounds --------------------------------------------------------------------------------------


def test_three_antibiotics_have_bounds():
    drugs = {**PAPER_DRUGS, "C": (0.25, 40.0, -0.6, 0.3)}
    found = optimum(view(paper_model(drugs, steps=100)))
    assert found.lower <= found.upper
    assert found.upper - found.lower < 2.0
    assert found.lower > value(paper_model(steps=100))


def test_risk_that_varies_from_patient_to_patient_has_bounds():
    laws = {
        name: attribute(name, 0.0 if name.startswith("recovery") else 1.0)
        for name in ATTRIBUTE_DEFAULTS
    }
    laws["prob_infected"] = attribute("prob_infected", 0.6, sigma=0.2)
    people = PatientPopulation(visible_patient_attributes=["prob_infected"], **laws)
    model = clinic_model(SINGLE, people=people, steps=100)
    found = optimum(view(model))
    assert found.caveats == ()
    assert found.lower < found.upper < found.lower + 0.5
    played = evaluate(Optimal(model), model, episodes=2000, seed=7, max_batch=500)
    error = played.returns.std(ddof=1) / np.sqrt(2000)
    assert found.lower - 3 * error < played.mean_return < found.upper + 3 * error


def test_groups_whose_risks_overlap_have_bounds():
    def group(mu, failure):
        laws = {
            name: attribute(name, 0.0 if name.startswith("recovery") else 1.0)
            for name in ATTRIBUTE_DEFAULTS
        }
        laws["prob_infected"] = attribute("prob_infected", mu, sigma=0.2)
        laws["failure_value_multiplier"] = attribute("failure_value_multiplier", failure)
        return PatientPopulation(visible_patient_attributes=["prob_infected"], **laws)

    people = mixture(low=group(0.3, 1.0), high=group(0.8, 3.0))
    found = optimum(view(clinic_model(SINGLE, people=people, patients=2, steps=60)))
    assert found.caveats == ()
    assert found.lower < found.upper < found.lower + 1.0


def test_a_clinic_that_starts_resistant_is_exact():
    model = clinic_model(SINGLE, steps=60)
    model.dynamics.initial_levels.flags.writeable = True
    model.dynamics.initial_levels[:] = 0.05
    found = optimum(pose(model))
    assert found.is_exact
    assert found.value == pytest.approx(replay(pose(model).problem, found.given).expected_return)


def test_patients_who_are_not_of_a_few_types_are_not_listed():
    with pytest.raises(NotComputable, match=r"not of a few types: prob_infected.* vary"):
        pose(crowded_model())
    people = mixture(
        low=population(prob_infected=0.3, noise_std=0.1), high=population(prob_infected=0.9)
    )
    with pytest.raises(NotComputable, match="there is noise"):
        pose(clinic_model(people=people))
    assert pose(clinic_model(people=people), hide_patients=True).is_homogeneous


def test_a_late_or_noisy_report_makes_the_optimum_an_upper_bound():
    found = optimum(pose(paper_model(only("A", PAPER_DRUGS), visible_amr={"noise_std": 0.2})))
    assert found.name == "upper bound (fully observed optimum)"
    assert found.caveats == ("AMR is reported late or inexactly",)


def test_the_mean_of_a_clipped_normal_is_what_draws_give():
    draws = np.random.Generator(np.random.PCG64(0)).normal(0.9, 0.3, 400_000)
    expected = np.clip(draws, 0, 1).mean()
    assert float(clipped_mean(0.9, 0.3, 0.0, 1.0)) == pytest.approx(expected, abs=2e-3)


def test_the_optimal_episode_spends_the_antibiotic_down_at_its_end():
    path = optimal_path(Programme(pose(CLINICS["single"]).problem).solve())
    treated = path.given[:, 0]
    assert treated[:300].mean() < treated[-100:].mean()
    assert path.pressure[-1, 0] > path.pressure[250, 0]
