"""Value targets of mean 0 and deviation 1: what is learned from, and what stays as it is."""

import numpy as np
import pytest

from abx_amr.agents.learners.on_policy.saving import captured
from abx_amr.agents.learners.seed_batched.arithmetic import arithmetic_of
from abx_amr.agents.learners.seed_batched.networks import Networks, read_parameters
from abx_amr.agents.learners.seed_batched.seed_learner import SeedLearner
from abx_amr.agents.learners.seed_batched.value_targets import ValueScale
from abx_amr.errors import InputError
from tests.agents.test_techniques import A, agents, learned, parts

ASKED = f"{A}.normalize_value_targets=true"


def test_the_first_targets_give_the_scale_and_later_ones_move_it_by_a_tenth():
    _, _, (one,) = agents(ASKED, seeds=(1,))
    networks = Networks.of(one.algorithm)
    scale, theta = ValueScale(one.algorithm, networks), read_parameters(one.algorithm)
    first = np.array([-3.0, -1.0, 1.0, 11.0], np.float32)
    scale.follow(first, theta)
    assert scale.mean == pytest.approx(first.mean())
    assert scale.deviation == pytest.approx(first.std())
    np.testing.assert_allclose(scale.scaled(first).mean(), 0.0, atol=1e-6)
    scale.follow(np.zeros(4, np.float32), theta)
    weight = 0.9 / (0.9 + 1.0)  # 0.1 * 0.9 against 0.1
    assert scale.mean == pytest.approx(weight * first.mean())
    again = ValueScale(one.algorithm, networks)  # as after a checkpoint
    assert (again.mean, again.deviation) == (scale.mean, scale.deviation)


def test_predicted_values_stay_where_the_scale_moves():
    _, _, (one,) = agents(ASKED, seeds=(1,))
    networks, theta = Networks.of(one.algorithm), read_parameters(one.algorithm)
    theta += np.random.default_rng(1).normal(0.0, 0.3, theta.shape).astype(np.float32)
    scale = ValueScale(one.algorithm, networks)
    seen = np.random.default_rng(2).uniform(0.0, 1.0, (9, 3)).astype(np.float32)

    def values():
        found = arithmetic_of(networks).values(
            theta[None], seen, starts=np.zeros(9, np.float32), memory=np.zeros((9, 0), np.float32)
        )
        return scale.mean + scale.deviation * found

    before, policy = values(), theta[: networks.policy_size].copy()
    for mean in (40.0, -7.0):
        scale.follow(np.random.default_rng(3).normal(mean, 5.0, 50).astype(np.float32), theta)
        np.testing.assert_allclose(values(), before, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(theta[: networks.policy_size], policy)


def test_what_is_learned_from_has_mean_0_and_deviation_1_and_advantages_are_in_rewards(monkeypatch):
    seen = []
    begin = SeedLearner.begin_update

    def watched(self, rollout):
        advantages, raw = rollout.advantages.copy(), rollout.returns.copy()
        begin(self, rollout)
        seen.append((rollout, advantages, raw))

    monkeypatch.setattr(SeedLearner, "begin_update", watched)
    _, (one,) = learned(ASKED, seeds=(1,), transitions=32)
    ((rollout, advantages, raw),) = seen
    assert rollout.returns.mean() == pytest.approx(0.0, abs=1e-5)
    assert rollout.returns.std() == pytest.approx(1.0, abs=1e-5)
    assert raw.std() != pytest.approx(1.0, abs=0.05)
    np.testing.assert_array_equal(rollout.advantages, advantages)
    assert "value_moments" in captured(one.algorithm, {}).facts["attributes"]


@pytest.mark.parametrize("seeds", [(2,), (3, 2, 1)])
def test_a_seed_learns_the_same_bits_whichever_seeds_learn_beside_it(seeds):
    expected, _ = learned(ASKED, seeds=(1, 2))
    plain, _ = learned(seeds=(1, 2))
    found, _ = learned(ASKED, seeds=seeds)
    np.testing.assert_array_equal(found[seeds.index(2)], expected[1])
    assert not np.array_equal(plain[1], expected[1])


def test_it_is_refused_where_the_library_trains():
    learner, model, settings = parts(ASKED, "training.seed_batched=false")
    with pytest.raises(InputError, match="normalize_value_targets=true is for agents of"):
        learner.build(model, settings)
