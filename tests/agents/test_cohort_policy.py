"""One network for all patients, and levels on a log scale: in SB3's policy and compiled alike."""

import numpy as np
import pytest
import torch

from abx_amr.agents.learners.on_policy.cohort_policy import read_of_patients
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.arithmetic import arithmetic_of
from abx_amr.agents.learners.seed_batched.networks import (
    Features,
    Networks,
    read_adam,
    read_parameters,
    write_parameters,
)
from abx_amr.agents.learners.seed_batched.seed_learner import SeedLearner
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from tests.agents.test_techniques import A, agents, learned, parts
from tests.clinics import clinic_model

COHORT = (
    "experiment=base",
    "environment.num_patients_per_time_step=3",
    "environment.include_previous_action=true",
    "patient_generator=high_risk",
    "training.n_envs=4",
    f"{A}.patients_share_network=true",
    f"{A}.policy_kwargs.net_arch=[8]",
)
LOGS = f"{A}.sees_log_levels=true"


def observations(one, rows=16):
    """Return random observations within the bounds of an agent's clinic, (rows, D)."""
    space = one.algorithm.observation_space
    high = np.minimum(space.high, 2.0)
    return np.random.default_rng(1).uniform(space.low, high, (rows, *space.shape)).astype("f4")


def test_a_patients_features_are_its_own_and_the_clinics():
    layout = clinic_model(patients=2).layout
    assert layout.names == (
        "patient[0].prob_infected",
        "patient[1].prob_infected",
        "visible_amr[A]",
        "visible_amr[B]",
    )
    assert read_of_patients(layout, more=2) == [[0, 2, 3, 4, 5], [1, 2, 3, 4, 5]]


def test_patients_of_equal_features_are_told_apart_by_their_place_alone():
    _, _, (one,) = agents(*COHORT, seeds=(1,))
    policy = one.algorithm.policy
    with torch.no_grad():
        seen = torch.zeros((5, *one.algorithm.observation_space.shape))
        chances = [part.probs for part in policy.get_distribution(seen).distribution]
        assert len(chances) == 3
        assert not torch.equal(chances[0], chances[1])
        policy.mlp_extractor.policy_net[0].weight[:, 0] = 0.0  # the place is not read
        chances = [part.probs for part in policy.get_distribution(seen).distribution]
    torch.testing.assert_close(chances[0], chances[1], rtol=0.0, atol=0.0)
    torch.testing.assert_close(chances[0], chances[2], rtol=0.0, atol=0.0)


def test_what_is_seen_of_one_patient_changes_the_chances_of_no_other():
    _, _, (one,) = agents(*COHORT, seeds=(1,))
    seen = torch.from_numpy(observations(one))
    other = seen.clone()
    other[:, 0] += 0.5  # patient 0
    with torch.no_grad():
        before, after = (
            [part.probs for part in one.algorithm.policy.get_distribution(rows).distribution]
            for rows in (seen, other)
        )
    assert not torch.equal(before[0], after[0])
    torch.testing.assert_close(before[1], after[1], rtol=0.0, atol=0.0)
    torch.testing.assert_close(before[2], after[2], rtol=0.0, atol=0.0)


def test_levels_are_followed_by_their_logarithms_from_minus_one_to_one():
    _, _, (one,) = agents(LOGS, seeds=(1,))
    seen = observations(one, rows=3)
    names = one.algorithm.env.unwrapped.model.layout.names
    levels = [names.index(f"visible_amr[{drug}]") for drug in ("A", "B")]
    seen[:, levels] = [[0.0, 1.0], [0.5, 0.01], [0.001, 0.1]]
    features = Features(one.algorithm)(seen)
    np.testing.assert_array_equal(features[:, : seen.shape[1]], seen)
    expected = 1.0 + 2.0 * np.log(seen[:, levels] + 1e-3) / np.log(1e3)
    np.testing.assert_allclose(features[:, seen.shape[1] :], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("more", [(), (LOGS,)], ids=["levels", "log levels too"])
def test_the_compiled_policy_acts_and_values_as_the_librarys_does(more):
    _, _, (one,) = agents(*COHORT, *more, seeds=(1,))
    algorithm = one.algorithm
    theta = read_parameters(algorithm)
    theta += np.random.default_rng(2).normal(0.0, 0.5, theta.shape).astype(np.float32)
    write_parameters(algorithm, theta)
    seen = observations(one)
    choice = arithmetic_of(Networks.of(algorithm)).act(
        theta[None],
        Features(algorithm)(seen),
        starts=np.zeros(len(seen), np.float32),
        memory=np.zeros((len(seen), 0), np.float32),
        streams=None,
    )
    actions, _ = algorithm.predict(seen, deterministic=True)
    np.testing.assert_array_equal(choice.actions, actions)
    assert len(np.unique(actions)) > 1
    with torch.no_grad():
        values, log_probs, _ = algorithm.policy.evaluate_actions(
            torch.from_numpy(seen), torch.from_numpy(actions)
        )
    np.testing.assert_allclose(choice.values, values.numpy()[:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(choice.log_probs, log_probs.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("more", [(), (LOGS,)], ids=["levels", "log levels too"])
def test_the_compiled_update_is_the_librarys(more, monkeypatch):
    _, _, (one,) = agents(*COHORT, *more, f"{A}.ent_coef=0.05", seeds=(1,))
    algorithm = one.algorithm
    _, callback = algorithm._setup_learn(10_000, None)
    algorithm.collect_rollouts(algorithm.env, callback, algorithm.rollout_buffer, algorithm.n_steps)
    buffer, learner = algorithm.rollout_buffer, SeedLearner(algorithm, None)
    seen = buffer.swap_and_flatten(buffer.observations)

    class Rollout:
        observations = Features(algorithm)(seen)
        actions = buffer.swap_and_flatten(buffer.actions).astype(np.int64)
        included = np.arange(len(seen), dtype=np.int32)

    for name in ("log_probs", "values", "advantages", "returns"):
        flat = buffer.swap_and_flatten(getattr(buffer, name)).ravel()
        setattr(Rollout, name, flat.astype(np.float32))
    learner.begin_update(Rollout())
    before, orders = learner.theta.copy(), []
    for _ in range(algorithm.n_epochs):
        probe = learner.minibatches.copy()
        order = np.empty(len(seen), np.int32)
        compiled.shuffle(probe, order)
        orders.append(order)
        outcome = arithmetic_of(Networks.of(algorithm)).learn_epoch(learner)
        assert outcome == compiled.GOES_ON
    given = iter(orders)
    monkeypatch.setattr(np.random, "permutation", lambda n: next(given))
    algorithm.train()
    theirs, adam = read_parameters(algorithm), read_adam(algorithm)
    assert np.abs(theirs - before).max() > 1e-4
    np.testing.assert_allclose(learner.theta, theirs, atol=2e-6)
    np.testing.assert_allclose(learner.mean, adam.mean, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("seeds", [(2,), (3, 2, 1)])
def test_a_seed_of_a_cohort_learns_the_same_bits_whichever_learn_beside_it(seeds):
    expected, _ = learned(*COHORT, LOGS, seeds=(1, 2))
    found, _ = learned(*COHORT, LOGS, seeds=seeds)
    np.testing.assert_array_equal(found[seeds.index(2)], expected[1])


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((f"{A}=recurrent_ppo", "patients_share_network"), "is for the plain MlpPolicy"),
        ((f"{A}=hrl_ppo", "sees_log_levels"), "sees_log_levels=true is for agents that prescribe"),
        (
            (
                f"+{A}.policy_kwargs.features_extractor_class="
                "stable_baselines3.common.torch_layers.FlattenExtractor",
                "sees_log_levels",
            ),
            "without a features_extractor_class",
        ),
    ],
)
def test_it_is_refused_to_who_cannot_have_it(overrides, message):
    *chosen, name = overrides
    with pytest.raises(InputError, match=message):
        build_learner(compose("train", [*chosen, f"++{A}.{name}=true"]).plain)


def test_logarithms_of_normalised_levels_are_refused():
    learner, model, settings = parts(LOGS, "training.vec_normalize.enabled=true")
    with pytest.raises(InputError, match=r"training\.vec_normalize\.norm_obs=false"):
        learner.build(model, settings)
