"""The best stationary policy of a discount factor, and the audit made of it."""

import pytest

from abx_amr.planning.play import never
from abx_amr.planning.problem import pose
from abx_amr.planning.programme import Programme
from abx_amr.planning.stationary import audit, stationary
from tests.clinics import clinic_model, default_clinics, mixture, population

CLINICS = default_clinics()


def audit_of(model, **asked):
    problem = pose(model).problem
    programme = Programme(problem)
    return audit(programme, never=never(problem), optimum=programme.solve().value, **asked)


def test_the_stationary_optimum_of_gamma_099_is_what_the_specification_says():
    programme = Programme(pose(CLINICS["paper_two"]).problem)
    assert stationary(programme, 0.99).episode_return == pytest.approx(-143.6, abs=0.05)


def test_the_equilibria_of_the_published_clinic_are_what_the_issue_says():
    found = audit_of(CLINICS["paper_single"], gamma=0.99)
    settles = {row.gamma: row.equilibrium_amr for row in found.rows}
    assert settles[0.9] == pytest.approx(0.74, abs=0.005)
    assert settles[0.99] == pytest.approx(0.59, abs=0.005)
    assert settles[0.998] == pytest.approx(0.005, abs=0.0005)
    assert settles[0.999] == pytest.approx(0.005, abs=0.0005)
    assert found.spend_down == pytest.approx(200.775 - 179.563, abs=0.001)
    assert "gamma 0.99 alone costs" in found.warning
    assert "gamma 0.997 costs less" in found.warning


def test_a_far_sighted_agent_is_not_warned():
    assert audit_of(CLINICS["paper_single"], gamma=0.998).warning is None


def test_patients_of_several_types_are_audited_by_value_iteration():
    groups = mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.9))
    steep = {"A": (0.3, 5.0, -2.0, 0.1)}
    model = clinic_model(steep, people=groups, patients=2, steps=100)
    found = audit_of(model, gammas=(0.9, 0.99))
    short, far = found.rows
    assert short.episode_return < far.episode_return <= found.optimum
    assert short.equilibrium_amr > far.equilibrium_amr


def test_one_type_split_in_two_that_are_alike_settles_as_one():
    """Value iteration with chance and policy iteration without agree."""
    drugs = {"A": (0.3, 5.0, -2.0, 0.1)}
    alike = mixture(
        one=population(prob_infected=0.7),
        other=population(prob_infected=0.7 + 1e-9),
    )
    whole = Programme(pose(clinic_model(drugs, people=population(prob_infected=0.7))).problem)
    split = Programme(pose(clinic_model(drugs, people=alike)).problem)
    assert len(split.problem.share) == 2
    expected = stationary(whole, 0.95)
    found = stationary(split, 0.95)
    assert found.episode_return == pytest.approx(expected.episode_return, abs=1e-4)
    assert found.equilibrium_amr == pytest.approx(expected.equilibrium_amr, abs=1e-3)
