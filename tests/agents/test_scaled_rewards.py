"""Rewards are divided as SB3's VecNormalize divides them, to the bit."""

import numpy as np
import pytest
from stable_baselines3.common.running_mean_std import RunningMeanStd

from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.compiled.rewards import sum_of

SEEDS, STEPS, GAMMA, EPSILON = 3, 200, 0.996, 1e-8


@pytest.mark.parametrize("num_envs", [1, 2, 7, 8, 13, 24])
@pytest.mark.parametrize("longest", [10.0, 0.5])
def test_rewards_and_moments_are_those_of_numpy(num_envs, longest):
    rng = np.random.default_rng(num_envs)
    theirs = RunningMeanStd(shape=(SEEDS,))
    returns = np.zeros((SEEDS, num_envs))
    ours, mean, variance, count = returns.copy(), np.zeros(SEEDS), np.ones(SEEDS), 1e-4
    for _ in range(STEPS):
        rewards = (3.0 * rng.normal(size=(SEEDS, num_envs))).astype(np.float32)
        returns = returns * GAMMA + rewards
        theirs.update_from_moments(returns.mean(axis=1), returns.var(axis=1), num_envs)
        scaled = rewards / np.sqrt(theirs.var + EPSILON)[:, None]
        expected = np.clip(scaled, -longest, longest).astype(np.float32)
        compiled.scale_rewards(rewards, ours, mean, variance, count, GAMMA, EPSILON, longest, True)
        count += num_envs
        np.testing.assert_array_equal(rewards, expected)
        np.testing.assert_array_equal(ours, returns)
        np.testing.assert_array_equal(mean, theirs.mean)
        np.testing.assert_array_equal(variance, theirs.var)
    assert count == theirs.count


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 127, 128, 129, 300, 1000])
def test_sums_are_taken_in_numpys_order(n):
    values = np.random.default_rng(n).normal(size=(SEEDS, n)) * 1e3
    np.testing.assert_array_equal([sum_of(row) for row in values], values.sum(axis=1))


def test_what_is_not_a_number_stays_so():
    rewards = np.full((1, 1), np.nan, np.float32)
    moments = np.zeros((1, 1)), np.zeros(1), np.ones(1)
    compiled.scale_rewards(rewards, *moments, 1e-4, GAMMA, EPSILON, 10.0, True)
    assert np.isnan(rewards[0, 0])
