"""Bounds of any clinic: against brute force, the exact lattice, a decision tree, the simulator."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from abx_amr.evaluation.episodes import evaluate
from abx_amr.planning.cache import PlanCache
from abx_amr.planning.certificate import certify, cohorts_of, expected_seconds, first_grid
from abx_amr.planning.discounted import sampled_stationary
from abx_amr.planning.lattice import counts
from abx_amr.planning.nodes import build_nodes
from abx_amr.planning.optimum import optimum
from abx_amr.planning.play import replay
from abx_amr.planning.policy import Optimal
from abx_amr.planning.problem import pose
from abx_amr.planning.programme import Programme
from abx_amr.planning.rollouts import best_treatments, rollouts
from abx_amr.planning.sampled import Grid, SampledClinic, solve
from abx_amr.planning.stationary import stationary
from abx_amr.planning.views import SampledView, sampled_view, view, weighed
from tests.clinics import (
    CROSS_RESISTANCE,
    DEFAULT_DRUGS,
    PAPER_DRUGS,
    clinic_model,
    crowded_model,
    mixture,
    only,
    paper_model,
    population,
)
from tests.planning.test_optimum import random_clinic, tree_value, two_groups

SINGLE = only("A", DEFAULT_DRUGS)
VARIED = mixture(
    low=population(prob_infected=0.3, sigma=0.05, noise_std=0.05),
    high=population(prob_infected=0.8, sigma=0.05, noise_std=0.05),
)


def certified(model, **asked):
    return certify(sampled_view(model).clinic, **asked)


@pytest.mark.parametrize("number", range(20))
def test_no_sequence_of_treatments_beats_the_upper_bound_and_one_reaches_the_lower(number):
    model = random_clinic(number)
    problem = pose(model).problem
    choices = counts(problem.num_patients, len(problem.antibiotics))
    best = max(
        replay(problem, given).expected_return
        for given in product(choices.tolist(), repeat=problem.num_steps)
    )
    found = certified(model)
    assert found.lower - 1e-6 <= best <= found.upper + 1e-6
    assert found.width < 0.05
    # the policy's own treatments, by the exact laws
    given = np.rint(found.played.given).astype(int)
    assert found.lower == pytest.approx(replay(problem, given).expected_return, abs=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        clinic_model(SINGLE, steps=200),
        paper_model(steps=200),
        paper_model(steps=100, cross_resistance=CROSS_RESISTANCE),
        clinic_model(steps=60, patients=2, rewards={"lambda_weight": 0.4}),
        two_groups(patients=3, steps=100),
        two_groups(drugs=PAPER_DRUGS, patients=2, steps=60, cross_resistance=CROSS_RESISTANCE),
    ],
    ids=["one drug", "two drugs", "crossed", "community", "mixture", "mixture, two drugs"],
)
def test_the_exact_optimum_lies_between_the_bounds(model):
    exact = optimum(pose(model))
    assert exact.is_exact
    found = certified(model, tolerance=0.01)
    assert found.lower - 1e-6 <= exact.value <= found.upper + 1e-6
    assert found.width <= 0.01


@pytest.mark.parametrize(
    ("drugs", "patients", "steps"), [(SINGLE, 3, 2), (SINGLE, 2, 3), (DEFAULT_DRUGS, 2, 2)]
)
def test_a_decision_tree_of_a_mixture_lies_between_the_bounds(drugs, patients, steps):
    steep = {name: (drug[0], 1.5, *drug[2:]) for name, drug in drugs.items()}
    model = two_groups(drugs=steep, patients=patients, steps=steps)
    problem = pose(model).problem
    expected = tree_value(problem, 0, problem.initial)
    found = certified(model)
    assert found.lower - 1e-9 <= expected <= found.upper + 1e-9
    assert found.upper - found.lower < 0.05 * abs(expected)


def test_playing_the_policy_in_the_simulator_gives_what_its_own_episodes_give():
    """Noise, a mixture, a late noisy report, the community and a price on the last dose."""
    model = clinic_model(
        people=VARIED,
        patients=3,
        steps=60,
        rewards={"lambda_weight": 0.2, "epsilon": 0.1},
        visible_amr={"update_every_n_time_steps": 7, "noise_std": 0.1},
    )
    posed = view(model)
    assert isinstance(posed, SampledView)
    found = optimum(posed)
    played = evaluate(Optimal(model), model, episodes=1500, seed=7, max_batch=500)
    error = played.returns.std(ddof=1) / np.sqrt(1500)
    assert found.lower - 3 * error < played.mean_return < found.upper + 3 * error


def test_the_assignment_is_the_best_of_all_that_can_be_listed():
    model = clinic_model(people=VARIED, patients=3, steps=5)
    clinic = sampled_view(model).clinic
    values = solve(Grid(clinic, 24), cohorts=2, seed=0)
    rng = np.random.Generator(np.random.PCG64(3))
    pressure = rng.uniform(0, 8, (20, 2))
    gain, slope = rng.uniform(0, 2, (2, 20, 3, 1))
    actions = best_treatments(values, 2, pressure, gain, slope)
    worth, lost = clinic.treatments(gain, slope)
    level = clinic.problem.level(pressure)
    axes = [nodes.positions for nodes in values.grid.nodes]

    def ahead(e, given):
        after = np.maximum(0, pressure[e] + given @ clinic.problem.cross - clinic.problem.leak)
        corners = []
        for axis, at in zip(axes, after, strict=True):
            n = min(int(np.searchsorted(axis, at, side="right")) - 1, len(axis) - 2)
            w = (at - axis[n]) / (axis[n + 1] - axis[n])
            corners.append(((n, 1 - w), (n + 1, w)))
        return sum(
            wi * wj * float(values.ahead[2][0, i, j]) for (i, wi), (j, wj) in product(*corners)
        )

    def score(e, row):
        given = np.array([sum(j == a for j in row) for a in range(2)])
        now = sum(worth[e, p, j] - lost[e, p, j] * level[e, j] for p, j in enumerate(row) if j < 2)
        return now + ahead(e, given)

    for e in range(20):
        best = max(score(e, row) for row in product(range(3), repeat=3))
        assert score(e, actions[e].tolist()) == pytest.approx(best, abs=1e-6)


def test_seeing_more_and_having_more_never_hurts():
    def bounds(model, **asked):
        found = certify(sampled_view(model, **asked).clinic, tolerance=0.01)
        return found.lower, found.upper

    alone = bounds(clinic_model(SINGLE, people=VARIED, patients=2, steps=60))
    both = bounds(clinic_model(people=VARIED, patients=2, steps=60))
    blind = bounds(clinic_model(people=VARIED, patients=2, steps=60), hide_patients=True)
    assert alone[1] < both[0]
    assert blind[1] < both[0]


def test_finer_grids_bring_the_bounds_together():
    clinic = sampled_view(paper_model(steps=100)).clinic
    coarse, fine = (solve(Grid(clinic, n), cohorts=1, seed=0) for n in (24, 96))
    exact = optimum(pose(paper_model(steps=100))).value
    assert exact <= fine.upper <= coarse.upper
    assert exact - 2.0 < rollouts(fine, episodes=1, seed=0).mean <= exact


def test_what_takes_too_long_is_said_with_the_bounds_that_are_there():
    told = []
    found = certified(crowded_model(steps=20), tolerance=1e-6, limit_seconds=1.0, say=told.append)
    assert "closer bounds would take" in found.shortfall
    assert found.lower < found.upper
    assert "MiB" in told[0]


def test_every_round_is_handed_on_so_that_an_interrupt_loses_nothing(tmp_path):
    model = clinic_model(SINGLE, people=VARIED, patients=2, steps=20)
    cache, posed = PlanCache(tmp_path), view(model)

    def stop(found):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.optimum(posed, tolerance=1e-9, on_round=stop)
    known = cache.known(posed)
    assert known is not None
    assert known.confidence == 0.95
    assert cache.optimum(posed, tolerance=0.5) == known  # close enough: not computed again


def test_three_antibiotics_for_patients_who_differ_have_bounds():
    drugs = {**PAPER_DRUGS, "C": (0.25, 40.0, -0.6, 0.3)}
    found = certified(clinic_model(drugs, people=VARIED, patients=2, steps=20), tolerance=0.05)
    assert found.width <= 0.05
    assert found.values.grid.nodes[2].positions[-1] > 0


def test_twenty_patients_are_allocated():
    clinic = sampled_view(clinic_model(people=VARIED, patients=20, steps=3)).clinic
    values = solve(Grid(clinic, 12), cohorts=1, seed=0)
    played = rollouts(values, episodes=30, seed=0)
    assert values.upper + 0.05 > played.mean > clinic.untreated_return + 0.5


def test_a_discounted_policy_is_what_the_lattice_says():
    model = clinic_model({"A": (0.3, 5.0, -2.0, 0.1)}, steps=100)
    exact = stationary(Programme(pose(model).problem), 0.95)
    found = sampled_stationary(sampled_view(model).clinic, 0.95)
    assert found.episode_return == pytest.approx(exact.episode_return, abs=1.0)
    assert found.equilibrium_amr == pytest.approx(exact.equilibrium_amr, abs=0.02)


def test_a_clinic_goes_on_the_lattice_where_that_is_exact_and_nowhere_else():
    assert not isinstance(view(paper_model()), SampledView)
    assert isinstance(view(crowded_model()), SampledView)
    three = paper_model({**PAPER_DRUGS, "C": (0.25, 40.0, -0.6, 0.3)})
    assert isinstance(view(three), SampledView)


def test_another_weight_of_the_community_is_another_clinic():
    posed = view(crowded_model())
    other = weighed(posed, 0.5)
    assert other.problem.lambda_weight == 0.5
    assert other.clinic.problem is other.problem
    assert other.fingerprint != posed.fingerprint


def test_nodes_meet_the_lattice_near_zero_and_end_where_nothing_changes():
    problem = pose(paper_model()).problem
    nodes = build_nodes(problem, counts(1, 2), 0, number=48, useful_level=0.9)
    assert np.diff(nodes.positions)[:3] == pytest.approx(0.2)  # of doses 1 and a leak of 0.2
    assert nodes.interpolates[0] == 0.0
    assert nodes.interpolates[-1] == 1.0
    useful = 2 * 40 * np.arctanh(0.9)
    assert nodes.positions[-1] > useful + 0.2 * 500 - 1


def test_time_is_estimated_before_it_is_spent():
    small, large = (
        sampled_view(clinic_model(people=VARIED, patients=p, steps=50)).clinic for p in (2, 10)
    )
    assert expected_seconds(first_grid(small)) < expected_seconds(first_grid(large))
    assert cohorts_of(small) > cohorts_of(large)
    alike = SampledClinic(problem=small.problem, beliefs=small.beliefs.hidden())
    assert cohorts_of(alike) == 1


def test_rewards_of_the_community_alone_are_never_treating():
    model = clinic_model(SINGLE, people=VARIED, patients=2, steps=20)
    posed = weighed(sampled_view(model), 1.0)
    found = certify(posed.clinic)
    assert found.lower == pytest.approx(0.0, abs=1e-9)
    assert found.played.individual == pytest.approx(20 * posed.problem.untreated[0])
    assert replace(posed, caveats=()).problem.lambda_weight == 1.0


def test_four_antibiotics_have_a_bound_that_says_how_wide_it_is():
    drugs = {**PAPER_DRUGS, "C": (0.25, 40.0, -0.6, 0.3), "D": (0.1, 20.0, -3.0, 0.3)}
    model = clinic_model(drugs, people=VARIED, patients=2, steps=12)
    found = optimum(view(model), tolerance=0.05)
    assert found.lower < found.upper
    assert "% of the range apart" in found.programme
    assert "at most 3 antibiotics" in found.shortfall
    three = certified(
        clinic_model(dict(list(drugs.items())[:3]), people=VARIED, patients=2, steps=12)
    )
    assert found.upper > three.lower
