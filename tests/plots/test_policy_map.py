"""The figures of what a prescriber does, and of how a search went."""

import numpy as np
import pandas as pd
import pytest

from abx_amr.agents.rules import AmrThreshold, RiskStratified
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.evaluation.episodes import evaluate
from abx_amr.plots import policy_by_risk, policy_map, search_progress


def played(make, *overrides):
    model = build_clinic(compose("train", ["environment.max_time_steps=120", *overrides]).plain)
    return evaluate(make(model), model, episodes=4, seed=0, trajectories=True)


def test_levels_are_those_that_stood_when_it_was_prescribed():
    steps = played(lambda m: AmrThreshold(m, threshold=0.05)).trajectories_frame()
    known = policy_map.before_each_step(steps)
    assert len(known) == len(steps) - 4
    lowest = known[["seen_A", "seen_B"]].min(axis=1)
    given = known["prescriptions_A"] + known["prescriptions_B"]
    assert (given[lowest < 0.0499] == 5).all()
    assert (given[lowest > 0.0501] == 0).all()
    assert set(given) == {0, 5}


def test_a_cell_holds_the_mean_and_a_rare_one_nothing():
    x = np.array([0.1] * 4 + [0.9])
    means, _, _ = policy_map.mean_by_cell(
        x, x, np.array([1.0, 1.0, 0.0, 0.0, 1.0]), ((0.0, 1.0), (0.0, 1.0))
    )
    assert np.nansum(means) == 0.5
    assert np.isfinite(means).sum() == 1


@pytest.mark.parametrize("antibiotics", ["single", "two"])
def test_a_rule_has_a_column_of_panels_for_each_antibiotic(antibiotics):
    steps = played(AmrThreshold, f"antibiotics={antibiotics}").trajectories_frame()
    figure = policy_map.draw(steps, title="t")
    columns = 1 if antibiotics == "single" else 2
    assert len(figure.axes) == 2 * columns + 1  # and the scale
    assert [axis.get_title() for axis in figure.axes[:columns]] == [
        f"given {name}" for name in "AB"[:columns]
    ]


def test_risk_is_drawn_where_it_is_seen_and_differs():
    mixed = played(RiskStratified, "patient_generator=mixed_risk")
    tables = mixed.patients_frame(), mixed.trajectories_frame()
    assert policy_by_risk.is_worth_drawing(*tables)
    figure = policy_by_risk.draw(*tables, title="t")
    mesh = figure.axes[0].collections[0]
    shares = np.ma.masked_invalid(mesh.get_array()).mean(axis=0)
    risk = np.linspace(0.0, 1.0, 24, endpoint=False) + 1 / 48
    assert shares[risk < 0.55].max() == 0.0  # a rule that treats above 0.6
    assert shares[risk > 0.65].max() > 0.0
    alike = played(RiskStratified)
    assert not policy_by_risk.is_worth_drawing(alike.patients_frame(), alike.trajectories_frame())


def test_a_search_is_drawn_over_generations_and_steps():
    generations = pd.DataFrame(
        {
            "transitions": [100.0, 200.0, 300.0],
            "population_mean": [-3.0, -2.0, -1.0],
            "population_best": [-2.0, -1.0, 0.0],
            "step_size": [0.5, 0.6, 0.4],
        }
    )
    evaluations = pd.DataFrame(
        {"transitions": [300, 300], "episode": [0, 1], "episode_return": [-1.0, 0.0]}
    )
    figure = search_progress.draw(generations, evaluations, title="t")
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert lines["mean policy, evaluated"].tolist() == [-0.5]
    assert lines["population, best"].tolist() == [-2.0, -1.0, 0.0]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.5, 0.6, 0.4]
