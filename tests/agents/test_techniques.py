"""Techniques of training: the same in both trainers, for any seeds beside, and after resuming."""

from dataclasses import replace

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.entropy import note_entropy
from abx_amr.agents.learners.on_policy.building import clinic_env
from abx_amr.agents.learners.on_policy.rollouts import rollouts
from abx_amr.agents.learners.on_policy.saving import captured
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.compiled.adam import clipped_step
from abx_amr.agents.learners.seed_batched.networks import read_parameters
from abx_amr.agents.learners.seed_batched.simulation import OneClinic, SideBySide, simulation
from abx_amr.agents.techniques import Techniques
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.errors import InputError
from abx_amr.rng import stream_states
from abx_amr.simulator import Clinic
from tests.clinics import clinic_model

A = "agent_algorithm"
SMALL = (
    f"{A}=ppo_tutorial",
    "experiment=paper_two",
    "environment.max_time_steps=20",
    "training.n_envs=4",
    f"{A}.n_steps=32",
    f"{A}.batch_size=16",
    f"{A}.n_epochs=2",
    f"{A}.policy_kwargs.net_arch=[8]",
)
ALL = (
    f"{A}.normalize_reward=true",
    f"{A}.exploring_starts=0.7",
    f"{A}.final_gamma=0.999",
    f"{A}.ent_coef=0.1",
    f"{A}.final_ent_coef=0.0",
    f"{A}.final_learning_rate=0.0",
)


def parts(*overrides):
    config = compose("train", [*SMALL, *overrides]).plain
    return build_learner(config), build_clinic(config), build_training(config)


def agents(*overrides, seeds=(1, 2, 3)):
    learner, model, settings = parts(*overrides)
    made = [learner.build(model, replace(settings, seed=seed)) for seed in seeds]
    for one in made:
        one.log_to(None)
    return learner, settings, made


def learned(*overrides, seeds=(1, 2, 3), transitions=400):
    """Train seeds together; return their weights (S, Q) and agents."""
    learner, settings, made = agents(*overrides, seeds=seeds)
    trainer = learner.trainer(made, settings)
    for _ in trainer.rollouts(transitions):
        pass
    trainer.publish()
    return np.stack([read_parameters(one.algorithm) for one in made]), made


# --- rewards -------------------------------------------------------------------------------------


def test_rewards_are_normalised_for_all_seeds_at_once_as_by_the_librarys_own_to_the_bit():
    _, _, made = agents(f"{A}.normalize_reward=true")
    _, _, theirs = agents(f"{A}.normalize_reward=true")
    for one in (*made, *theirs):
        one.algorithm._setup_learn(100, None)
    together = simulation([one.algorithm for one in made])
    alone = SideBySide([one.algorithm for one in theirs])
    assert isinstance(together, OneClinic)
    generator = np.random.default_rng(1)
    for _ in range(45):  # past two ends of an episode
        actions = generator.integers(0, 3, size=(12, 1))
        ours, own = together.step(actions), alone.step(actions)
        np.testing.assert_array_equal(ours.rewards, own.rewards)
        np.testing.assert_array_equal(together.observations, alone.observations)
    together.give_back()
    for one, other in zip(made, theirs, strict=True):
        mine, its = (a.algorithm.get_vec_normalize_env() for a in (one, other))
        assert (mine.ret_rms.mean, mine.ret_rms.var) == (its.ret_rms.mean, its.ret_rms.var)
        assert mine.ret_rms.count == pytest.approx(its.ret_rms.count)
        np.testing.assert_array_equal(mine.returns, its.returns)


def test_a_normalised_update_is_the_librarys_within_rounding():
    ours, made = learned(f"{A}.normalize_reward=true", "training.seed_batched=true", seeds=(1,))
    normaliser = made[0].algorithm.get_vec_normalize_env()
    assert isinstance(normaliser, VecNormalize)
    assert not normaliser.norm_obs
    # The same agent whose rewards the library's wrapper normalises, in a run that asks for it.
    theirs, _ = learned(
        "training.vec_normalize.enabled=true", "training.vec_normalize.norm_obs=false", seeds=(1,)
    )
    np.testing.assert_array_equal(ours, theirs)
    plain, _ = learned(seeds=(1,))
    assert not np.allclose(ours, plain)


@pytest.mark.parametrize("seeds", [(2,), (3, 2), (1, 2, 3, 4, 5)])
def test_a_seed_learns_the_same_bits_whichever_seeds_learn_beside_it(seeds):
    expected, _ = learned(*ALL, seeds=(1, 2))
    found, _ = learned(*ALL, seeds=seeds)
    np.testing.assert_array_equal(found[seeds.index(2)], expected[1])


# --- schedules -----------------------------------------------------------------------------------


def test_schedules_are_where_the_share_of_training_says():
    technique = Techniques(final_gamma=0.9999, final_ent_coef=0.0)
    (agent,) = agents(f"{A}.gamma=0.99", f"{A}.ent_coef=0.1", seeds=(1,))[2]
    algorithm = agent.algorithm
    technique.apply(algorithm, 1.0)
    assert (algorithm.gamma, algorithm.ent_coef) == (pytest.approx(0.99), 0.1)
    technique.apply(algorithm, 0.5)
    assert algorithm.gamma == algorithm.rollout_buffer.gamma == pytest.approx(0.999)
    assert algorithm.ent_coef == pytest.approx(0.05)
    technique.apply(algorithm, 0.0)
    assert (algorithm.gamma, algorithm.ent_coef) == (pytest.approx(0.9999), 0.0)


@pytest.mark.parametrize("batched", ["true", "false"])
def test_both_trainers_end_at_the_final_values(batched):
    _, (agent,) = learned(*ALL, f"training.seed_batched={batched}", seeds=(1,), transitions=320)
    begun = 1.0 - 32 / 320  # of the last rollout
    assert agent.algorithm.ent_coef == pytest.approx(0.1 * (1.0 - begun))
    assert 1.0 - agent.algorithm.gamma == pytest.approx(0.01 * 0.1**begun, rel=1e-6)


def test_the_librarys_own_loop_takes_the_techniques_too():
    _, _, (agent,) = agents(*ALL, "training.seed_batched=false", seeds=(1,))
    assert list(rollouts(agent.algorithm, 64))[-1] == 64
    assert agent.algorithm.gamma > 0.99


def test_it_is_noted_since_when_choices_are_hardly_random_and_kept_in_a_checkpoint():
    _, _, (agent,) = agents(seeds=(1,))
    algorithm = agent.algorithm
    algorithm._setup_learn(100, None)
    algorithm.num_timesteps = 32
    note_entropy(algorithm, 0.0)
    algorithm.num_timesteps = 64
    note_entropy(algorithm, 0.001)
    assert agent.entropy_fell_at == 32
    assert captured(algorithm, {}).facts["attributes"]["entropy_fell_at"] == 32
    note_entropy(algorithm, 0.5)
    assert agent.entropy_fell_at is None


@pytest.mark.parametrize("kind", ["recurrent_ppo", "hrl_ppo"])
def test_recurrent_agents_and_managers_take_the_techniques(kind):
    chosen = [one for one in SMALL if not one.startswith(f"{A}=")]
    config = compose("train", [f"{A}={kind}", *chosen, *ALL]).plain
    learner, model, settings = build_learner(config), build_clinic(config), build_training(config)
    agent = learner.build(model, settings)
    agent.log_to(None)
    for _ in learner.trainer([agent], settings).rollouts(400):
        pass
    env = clinic_env(agent.algorithm)
    assert env.exploring_starts is not None
    assert agent.algorithm.get_vec_normalize_env() is not None
    assert agent.algorithm.gamma > 0.99
    assert agent.algorithm.ent_coef < 0.1


# --- exploring starts ----------------------------------------------------------------------------


def test_exploring_starts_are_in_training_alone():
    learner, settings, made = agents(f"{A}.exploring_starts=1.0", seeds=(1,))
    env = clinic_env(made[0].algorithm)
    env.reset()
    assert (env.clinic.true_amr > 0.0).mean() > 0.8
    model = env.model
    clinic = Clinic(model, stream_states(0, "evaluation", count=4))
    clinic.reset()
    assert not clinic.true_amr.any()
    plain = learner.trainer(made, settings).returns(made, model, settings)
    _, _, without = agents(seeds=(1,))
    assert np.array_equal(
        plain, learner.trainer(without, settings).returns(without, model, settings)
    )


def test_exploring_starts_do_not_change_who_comes():
    _, _, (exploring,) = agents(f"{A}.exploring_starts=1.0", seeds=(1,))
    _, _, (plain,) = agents(seeds=(1,))
    cohorts = []
    for one in (exploring, plain):
        env = clinic_env(one.algorithm)
        env.reset()
        cohorts.append(env.clinic.cohort)
    np.testing.assert_array_equal(cohorts[0].uniforms, cohorts[1].uniforms)


def test_the_share_of_starts_and_the_lengths_of_courses_are_as_asked():
    starts = ExploringStarts(2000, share=0.7, most_doses=60, seed=1)
    doses = starts.draw(np.arange(2000), 2)
    assert doses.shape == (2000, 2)
    assert doses.max() <= 60
    assert (doses > 0).mean() == pytest.approx(0.7 * (1.0 - np.sqrt(0.5 / 60)), abs=0.03)
    assert doses.mean() == pytest.approx(0.7 * 60 / 3, abs=0.6)


@pytest.mark.parametrize("fused", [True, False])
def test_a_course_leaves_the_level_that_its_doses_give(fused):
    model = clinic_model(steps=5, patients=1)
    clinic = Clinic(model, stream_states(0, "x", count=3), fused=fused)
    clinic.reset()
    k = len(model.antibiotics)
    doses = np.zeros((3, k), np.int64)
    doses[1, 0] = 2
    seen = clinic.expose(doses)
    state = model.dynamics.initial_state(3)
    given = np.zeros((3, k))
    given[1, 0] = 1.0
    expected = model.dynamics.step(model.dynamics.step(state, given), given)
    np.testing.assert_allclose(clinic.true_amr[1], model.dynamics.level(expected)[1])
    np.testing.assert_array_equal(clinic.true_amr[[0, 2]], model.dynamics.level(state)[[0, 2]])
    np.testing.assert_allclose(model.layout.decode(seen).visible_amr, clinic.visible_amr, rtol=1e-6)


def test_a_course_is_refused_once_the_episode_has_begun():
    model = clinic_model(steps=5, patients=1)
    clinic = Clinic(model, stream_states(0, "x", count=1))
    clinic.reset()
    clinic.step(np.zeros((1, 1), np.int64))
    with pytest.raises(InputError, match="expose must follow reset"):
        clinic.expose(np.ones((1, len(model.antibiotics)), np.int64))


# --- gradients -----------------------------------------------------------------------------------


def test_gradients_are_cut_each_by_itself_when_asked():
    settings = np.zeros(compiled.NUM_SETTINGS)
    settings[[compiled.LEARNING_RATE, compiled.MAX_NORM]] = 0.1, 1.0
    settings[[compiled.BETA1, compiled.BETA2, compiled.EPSILON]] = 0.0, 0.0, 1.0
    gradient = np.array([3.0, 4.0, 0.3, 0.4], np.float32)

    def stepped(policy_parameters):
        settings[compiled.POLICY_PARAMETERS] = policy_parameters
        theta, mean, square = (np.zeros(4, np.float32) for _ in range(3))
        given = gradient.copy()
        assert clipped_step(theta, given, mean, square, np.zeros(1, np.int64), 0.0, settings)
        return mean

    np.testing.assert_allclose(stepped(2), [0.6, 0.8, 0.3, 0.4], rtol=1e-5)
    np.testing.assert_allclose(stepped(0), gradient / np.linalg.norm(gradient), rtol=1e-5)


def test_separate_clipping_is_refused_where_the_library_trains():
    learner, model, settings = parts(
        f"{A}.clip_gradients_separately=true", "training.seed_batched=false"
    )
    with pytest.raises(InputError, match="clip_gradients_separately=true is for agents of"):
        learner.build(model, settings)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("exploring_starts=1.5", "agent_algorithm.exploring_starts must be a number in"),
        ("exploring_doses=0", "agent_algorithm.exploring_doses must be a whole number"),
        ("final_gamma=1.0", "agent_algorithm.final_gamma must be null or a number in"),
        ("final_ent_coef=-1", "agent_algorithm.final_ent_coef must be null or a number"),
        ("normalize_reward=1", "agent_algorithm.normalize_reward must be true or false"),
    ],
)
def test_a_value_out_of_its_range_is_refused_in_one_line(override, message):
    with pytest.raises(InputError, match=message):
        parts(f"{A}.{override}")


def test_a_final_learning_rate_beside_a_schedule_is_refused():
    with pytest.raises(InputError, match="set it to null where learning_rate is a schedule"):
        parts(f"{A}=ppo_linear", f"{A}.final_learning_rate=0.0")
