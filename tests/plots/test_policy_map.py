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


def banded(values, *labels):
    return policy_map.Bands(np.array(values), labels)


def test_a_cell_holds_the_mean_and_a_rare_one_nothing():
    both = banded([0, 0, 0, 0, 1], "low", "high")
    means = policy_map.mean_by_cell(both, both, np.array([1.0, 1.0, 0.0, 0.0, 1.0]))
    assert means[0, 0] == 0.5
    assert np.isfinite(means).sum() == 1


def test_levels_that_are_held_fill_the_bands_however_low_they_are():
    levels = np.concatenate([np.linspace(0.0, 0.02, 4000), np.linspace(0.02, 0.9, 400)])
    found = policy_map.bands(levels)
    assert len(found.labels) == 8
    assert np.bincount(found.number).min() > 0.8 * len(levels) / 8
    assert float(found.labels[5]) < 0.02


def test_few_levels_are_a_band_each_under_names_that_differ():
    found = policy_map.bands(np.array([0.1011, 0.1011, 0.0, 0.1012]))
    assert found.labels == ("0", "0.1011", "0.1012")
    assert found.number.tolist() == [1, 1, 0, 2]
    assert policy_map.bands(np.zeros(5)).labels == ("0",)


THIRD = (
    "+antibiotics.drugs.C={leak: 0.15, flatness_parameter: 30.0, permanent_residual_volume: 0.0,"
    " initial_amr_level: 0.0, adverse_effect_penalty: -1.0, adverse_effect_probability: 0.2}"
)


@pytest.mark.parametrize(
    ("names", "overrides"),
    [("A", ("antibiotics=single",)), ("AB", ()), ("ABC", (THIRD,))],
)
def test_a_rule_has_a_column_of_panels_for_each_antibiotic(names, overrides):
    steps = played(AmrThreshold, *overrides).trajectories_frame()
    figure = policy_map.draw(steps, title="t")
    columns = len(names)
    assert len(figure.axes) == 2 * columns + 1  # and the scale
    assert [axis.get_title() for axis in figure.axes[:columns]] == [
        f"given {name}" for name in names
    ]
    above = figure.axes[0].get_ylabel()
    expected = ["% of patients who are given it", "visible AMR of the other (%)"]
    assert above == [*expected, "visible AMR of the best other (%)"][columns - 1]


def test_risk_is_drawn_where_it_is_seen_and_differs():
    mixed = played(RiskStratified, "patient_generator=mixed_risk")
    tables = mixed.patients_frame(), mixed.trajectories_frame()
    assert policy_by_risk.is_worth_drawing(*tables)
    figure = policy_by_risk.draw(*tables, title="t")
    percent = figure.axes[0].collections[0].get_array()
    risk = [float(label.get_text()) for label in figure.axes[0].get_xticklabels()]
    for column, middle in zip(percent.T, risk, strict=True):
        if middle < 0.55:  # a rule that treats above 0.6
            assert np.ma.max(column) == 0.0
        elif middle > 0.65:
            assert np.ma.max(column) > 0.0
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
