import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abx_amr.errors import InputError
from abx_amr.evaluation.statistics import (
    bootstrap_interval,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
    summarise,
    summarise_strata,
    t_interval,
)
from abx_amr.rng import stream

returns = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30)


def test_a_summary_by_hand():
    summary = summarise([-400.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0])
    assert summary.n == 8
    assert summary.mean == pytest.approx(621 / 8)
    assert summary.iqm == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert (summary.minimum, summary.maximum) == (-400.0, 1000.0)
    assert summarise([1.0, 2.0, 3.0]).std == pytest.approx(1.0)  # ddof 1, not 0


def test_the_bootstrap_interval_is_that_of_the_normal_approximation_on_a_large_sample():
    sample = np.random.default_rng(5).normal(-120.0, 20.0, 400)
    low, high = bootstrap_interval(sample)
    half = 1.96 * sample.std(ddof=1) / math.sqrt(sample.size)
    assert low == pytest.approx(sample.mean() - half, abs=0.15)
    assert high == pytest.approx(sample.mean() + half, abs=0.15)


@pytest.mark.parametrize("n", [2, 12, 40])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_of_a_mean_are_those_of_scipy(n, confidence):
    sample = np.random.default_rng(n).exponential(30.0, n) - 120.0
    error = stats.sem(sample)
    t = stats.t.interval(confidence, n - 1, loc=sample.mean(), scale=error)
    assert t_interval(sample, confidence=confidence) == pytest.approx(t, rel=1e-12)
    drawn = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = bootstrap_interval(sample, confidence=confidence)
    assert ours == pytest.approx((drawn.low, drawn.high), abs=0.1 * error)


def test_the_interval_of_a_paired_difference_is_that_of_scipy():
    generator = np.random.default_rng(3)
    first, second = generator.normal(1.0, 2.0, 12), generator.exponential(3.0, 12)
    found = paired_difference(first, second, confidence=0.9)
    paired = stats.ttest_rel(first, second).confidence_interval(0.9)
    welch = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    assert found.interval == pytest.approx(tuple(paired), rel=1e-9)
    assert found.unpaired_interval == pytest.approx(tuple(welch), rel=1e-9)


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(generator.normal(size=40), confidence=0.8, resamples=300)
        covered += low <= 0.0 <= high
    assert covered / 200 == pytest.approx(0.8, abs=0.1)


def test_the_same_sample_and_seed_give_the_same_interval():
    sample = np.random.default_rng(0).normal(size=20)
    assert summarise(sample, seed=3) == summarise(sample, seed=3)
    assert summarise(sample, seed=3).mean_interval != summarise(sample, seed=4).mean_interval


def test_a_large_sample_is_resampled_in_batches_with_an_interval_of_its_own():
    sample = np.random.default_rng(0).normal(size=3_000)
    low, high = bootstrap_interval(sample, resamples=2_000)
    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(3_000), rel=0.1)


def test_a_single_value_and_a_constant_sample_are_summarised_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, same = summarise([-3.0]), summarise([-3.0, -3.0, -3.0])
        assert math.isnan(t_interval([-3.0])[0])
    assert one.mean == one.iqm == -3.0
    assert math.isnan(one.std) and all(map(math.isnan, one.mean_interval + one.iqm_interval))
    assert same.std == 0.0
    assert same.mean_interval == same.iqm_interval == (-3.0, -3.0)


@given(sample=returns, shift=st.floats(-1e3, 1e3))
def test_adding_a_constant_moves_every_location_by_it(sample, shift):
    moved = [value + shift for value in sample]
    here, there = summarise(sample, resamples=50), summarise(moved, resamples=50)
    for name in ("mean", "iqm", "minimum", "maximum"):
        assert getattr(there, name) == pytest.approx(getattr(here, name) + shift, abs=1e-6)


@given(sample=st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_intervals_lie_within_the_range_and_around_the_mean(sample):
    summary = summarise(sample, resamples=200)
    low, high = summary.mean_interval
    assert summary.minimum - 1e-9 <= low <= high <= summary.maximum + 1e-9
    assert low - 1e-6 <= summary.mean + summary.std and high + 1e-6 >= summary.mean - summary.std
    t_low, t_high = t_interval(sample)
    assert t_low <= summary.mean + 1e-9 and summary.mean <= t_high + 1e-9


@given(sample=returns)
def test_the_order_of_the_values_does_not_matter_to_the_interquartile_mean(sample):
    assert interquartile_mean(sample[::-1]) == pytest.approx(interquartile_mean(sample), abs=1e-9)


def test_pairing_takes_the_common_luck_out_of_the_difference():
    generator = np.random.default_rng(2)
    luck = generator.normal(0.0, 20.0, 200)
    first = luck + generator.normal(1.0, 1.0, 200)
    second = luck + generator.normal(0.0, 1.0, 200)
    difference = paired_difference(first, second)
    assert difference.mean == pytest.approx(first.mean() - second.mean())
    assert difference.standard_error == pytest.approx(math.sqrt(2 / 200), rel=0.15)
    assert difference.unpaired_standard_error == pytest.approx(math.sqrt(2 * 400 / 200), rel=0.15)
    assert difference.interval[0] > 0.0 > difference.unpaired_interval[0]


@given(sample=st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_nothing_differs_from_itself(sample):
    difference = paired_difference(sample, sample)
    assert difference.mean == 0.0 and difference.standard_error == 0.0
    assert difference.interval == (0.0, 0.0)


def test_the_difference_on_one_episode_has_no_known_error():
    difference = paired_difference([1.0], [3.0])
    assert difference.mean == -2.0
    assert math.isnan(difference.standard_error) and math.isnan(difference.interval[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: summarise([]), "at least one value"),
        (lambda: summarise([1.0, math.nan]), "finite values, got nan"),
        (lambda: summarise([1.0, 2.0], confidence=1.0), "confidence must be a number in"),
        (
            lambda: summarise([1.0, 2.0], resamples=0),
            "resamples must be a whole number of at least 1",
        ),
        (lambda: t_interval([1.0, 2.0], confidence=95), "confidence must be a number in"),
        (lambda: paired_difference([1.0], [1.0, 2.0]), "got 1 and 2 values"),
    ],
)
def test_a_sample_that_cannot_be_summarised_is_an_error_in_one_line(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_the_probability_of_improvement_is_to_the_bit_that_of_counted_wins():
    draw = np.random.default_rng(1)
    for n_one, n_other in ((1, 4), (7, 7), (7, 7), (30, 3), (3000, 3000)):
        one, other = draw.normal(0, 2, n_one).round(1), draw.normal(1, 2, n_other).round(1)
        ordered = np.sort(one)[:, None], np.sort(other)
        wins = (ordered[0] > ordered[1]) + 0.5 * (ordered[0] == ordered[1])
        generator = stream(0, "statistics", "improvement")
        drawn_one, drawn_other = (generator.integers(0, n, (20, n)) for n in (n_one, n_other))
        drawn = [
            wins[np.ix_(i, j)].sum() / wins.size
            for i, j in zip(drawn_one, drawn_other, strict=True)
        ]
        interval = tuple(np.quantile(drawn, [(1.0 - 0.9) / 2, (1.0 + 0.9) / 2]).tolist())
        found = probability_of_improvement(one, other, confidence=0.9, resamples=20)
        assert found == (wins.mean(), interval)


@given(returns, returns)
def test_the_probability_of_improvement_is_that_of_the_mann_whitney_statistic(one, other):
    probability, (low, high) = probability_of_improvement(one, other, resamples=50)
    u = stats.mannwhitneyu(one, other).statistic
    assert probability == pytest.approx(u / (len(one) * len(other)))
    back, _ = probability_of_improvement(other, one, resamples=50)
    assert back == pytest.approx(1.0 - probability)
    if len(one) > 1 or len(other) > 1:
        assert 0.0 <= low <= high <= 1.0


def test_a_certain_improvement_has_a_certain_interval():
    assert probability_of_improvement([5.0, 6.0, 7.0], [1.0, 2.0]) == (1.0, (1.0, 1.0))


def test_one_stratum_is_the_ordinary_summary_to_the_bit():
    sample = [3.0, 1.0, 4.0, 1.0, 5.0]
    assert summarise_strata([sample]) == summarise(sample)


def test_strata_are_each_drawn_as_often_as_they_are():
    # Within a stratum nothing varies: no resample differs from the data.
    found = summarise_strata([[0.0, 0.0, 0.0], [10.0, 10.0], [4.0]])
    assert found.n == 6
    assert found.mean_interval == pytest.approx((4.0, 4.0))
    mixed = summarise([0.0, 0.0, 0.0, 10.0, 10.0, 4.0])
    assert mixed.mean_interval[0] < 2.0


def test_strata_of_one_value_each_have_no_interval():
    assert all(map(math.isnan, summarise_strata([[1.0], [2.0]]).mean_interval))
    with pytest.raises(InputError, match="at least one value"):
        summarise_strata([])
