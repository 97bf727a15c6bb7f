"""What a trial is worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abx_amr.studies.objective import (
    SeedOutcome,
    default_min_successful_seeds,
    robust_score,
    score_outcomes,
)

returns_lists = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)


def score(returns, **changes):
    settings = {"penalty_weight": 0.2, "direction": "maximize", "min_successful_seeds": 2}
    outcomes = [SeedOutcome(1000 + i, value) for i, value in enumerate(returns)]
    return score_outcomes(outcomes, **(settings | changes))


def test_the_score_by_hand():
    # mean 4, population std sqrt(8/3)
    assert robust_score([2.0, 4.0, 6.0], penalty_weight=0.3) == pytest.approx(
        4 - 0.3 * math.sqrt(8 / 3)
    )
    assert robust_score([2.0, 4.0, 6.0], penalty_weight=0.3, direction="minimize") == pytest.approx(
        4 + 0.3 * math.sqrt(8 / 3)
    )


@given(returns=returns_lists)
def test_without_a_penalty_the_score_is_the_mean(returns):
    assert robust_score(returns, penalty_weight=0.0) == pytest.approx(np.mean(returns), abs=1e-6)


@given(returns=returns_lists, weight=st.floats(0, 5))
def test_the_penalty_never_makes_a_trial_better(returns, weight):
    mean = robust_score(returns, penalty_weight=0.0)
    assert robust_score(returns, penalty_weight=weight) <= mean
    assert robust_score(returns, penalty_weight=weight, direction="minimize") >= mean


@given(returns=returns_lists, weight=st.floats(0, 5))
def test_minimising_the_negative_returns_is_maximising_the_returns(returns, weight):
    mirrored = robust_score([-r for r in returns], penalty_weight=weight, direction="minimize")
    assert mirrored == pytest.approx(-robust_score(returns, penalty_weight=weight), abs=1e-6)


def test_a_failed_seed_is_left_out_and_named():
    outcomes = [
        SeedOutcome(1000, 1.0),
        SeedOutcome(1001, None, failure="out of memory"),
        SeedOutcome(1002, 3.0),
    ]
    result = score_outcomes(
        outcomes, penalty_weight=0.5, direction="maximize", min_successful_seeds=2
    )
    assert result.value == 1.5
    assert result.failed_seeds == {1001: "out of memory"}
    assert (result.mean_reward, result.std_reward, result.stability_penalty) == (2.0, 1.0, 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_return_that_is_no_number_is_a_failure_with_a_reason(value):
    result = score([1.0, 1.0, value])
    assert result.value == 1.0
    assert "non-finite" in result.failed_seeds[1002]


@pytest.mark.parametrize("value", [1e200, -1e308])
def test_a_return_whose_spread_is_no_number_is_a_failure_with_a_reason(value):
    result = score([1.0, 1.0, value])
    assert result.value == 1.0
    assert "beyond all measure" in result.failed_seeds[1002]


@pytest.mark.parametrize(("direction", "worst"), [("maximize", -math.inf), ("minimize", math.inf)])
def test_a_lone_survivor_is_worth_the_worst_value(direction, worst):
    result = score([5.0, math.nan, math.nan], direction=direction)
    assert result.value == worst
    assert result.has_failed
    assert result.mean_reward is None


def test_all_failed_is_the_worst_value_even_with_no_minimum():
    assert score([math.nan], min_successful_seeds=0).value == -math.inf


@pytest.mark.parametrize(("n", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (10, 6)])
def test_more_than_half_of_the_seeds_must_succeed(n, needed):
    assert default_min_successful_seeds(n) == needed
