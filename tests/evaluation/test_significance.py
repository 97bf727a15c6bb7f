"""Tests of paired samples, and their correction."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abx_amr.evaluation.significance import holm, many_paired_tests, paired_tests


def test_paired_tests_are_scipy_s_on_ordinary_samples():
    one, other = np.array([3.0, 4.5, 5.0, 7.0, 1.0]), np.array([1.0, 4.0, 5.5, 3.0, 0.9])
    found = paired_tests(one, other)
    assert found.n == 5
    assert found.t_p == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert found.t_statistic == pytest.approx(stats.ttest_rel(one, other).statistic)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(one, other).pvalue)


@pytest.mark.parametrize(
    ("one", "other", "t_p", "wilcoxon_p"),
    [
        ([1.0], [0.0], math.nan, math.nan),
        ([1.0, 2.0], [1.0, 2.0], 1.0, 1.0),
        ([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], math.nan, 0.25),
        ([0.4, 0.5, 0.8], [0.1, 0.2, 0.5], math.nan, 0.25),  # the same but for rounding
    ],
)
def test_paired_tests_of_samples_that_say_little_warn_of_nothing(one, other, t_p, wilcoxon_p):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = paired_tests(one, other)
    assert found.t_p == pytest.approx(t_p, nan_ok=True)
    assert found.wilcoxon_p == pytest.approx(wilcoxon_p, nan_ok=True)


def test_many_samples_are_tested_to_the_bit_as_one_by_one():
    draw = np.random.default_rng(0)
    samples = []
    for size in (5, 8, 13, 14, 50, 51, 80) * 6:
        one, digits = draw.normal(-80, 9, size), int(draw.integers(0, 3))
        other = one + draw.normal(1, 3, size)
        samples.append((one.round(digits), other.round(digits)))  # ties, zeros, or neither
        samples.append((one, other))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of samples that say little
        for (one, other), found in zip(samples, many_paired_tests(samples), strict=True):
            tested = stats.ttest_1samp(one - other, 0.0)
            assert (found.n, found.t_statistic, found.t_p) == (one.size, *tested)
            assert found.wilcoxon_p == stats.wilcoxon(one - other).pvalue


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_lowers_nothing_and_bounds_the_smallest_by_bonferroni(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1.0 for p, c in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()
    assert min(corrected) == pytest.approx(min(1.0, len(p_values) * min(p_values)))
