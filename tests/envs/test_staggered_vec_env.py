"""Environments at different steps of their first episode: full episodes after it, to the bit."""

import numpy as np
import pytest

from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.composing import compose
from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.envs.staggered_vec_env import StaggeredVecEnv
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.errors import InputError
from tests.agents.test_techniques import A, learned
from tests.clinics import clinic_model

STEPS, ENVS = 12, 4
MODEL = clinic_model(steps=STEPS, patients=2)
ASKED = f"{A}.staggered_starts=true"


def played(env, steps, *, of=1):
    """Step an environment at random; return what it answered: (observations, rewards, ends)."""
    generator = np.random.default_rng(of)
    answers = []
    for _ in range(steps):
        seen, reward, done, infos = env.step(generator.integers(0, 3, (ENVS, 2)))
        ends = [(e, info["episode"]["l"]) for e, info in enumerate(infos) if info]
        assert [e for e, _ in ends] == np.flatnonzero(done).tolist()
        answers.append((seen, reward, ends))
    return answers


def test_the_first_episodes_end_one_after_the_other_and_the_next_are_whole():
    env = StaggeredVecEnv(MODEL, ENVS, seed=1)
    env.reset()
    ends = [(t, *end) for t, (_, _, found) in enumerate(played(env, 24), start=1) for end in found]
    first = [(12, 0, 12), (9, 1, 9), (6, 2, 6), (3, 3, 3)]
    second = [(24, 0, 12), (21, 1, 12), (18, 2, 12), (15, 3, 12)]
    assert sorted(ends) == sorted([*first, *second])


def test_the_same_patients_come_as_to_clinics_in_step():
    staggered, together = (kind(MODEL, ENVS, seed=1) for kind in (StaggeredVecEnv, ClinicVecEnv))
    np.testing.assert_array_equal(staggered.reset(), together.reset())
    ours, theirs = played(staggered, 3), played(together, 3)
    for (seen, reward, _), (others, rewards, _) in zip(ours[:2], theirs[:2], strict=True):
        np.testing.assert_array_equal(seen, others)
        np.testing.assert_array_equal(reward, rewards)
    np.testing.assert_array_equal(ours[2][0][:3], theirs[2][0][:3])  # the last one has begun anew


def test_the_share_that_is_left_is_that_of_the_step():
    model = clinic_model(steps=STEPS, patients=2, observation={"include_time_remaining": True})
    env = StaggeredVecEnv(model, ENVS, seed=1)
    np.testing.assert_allclose(env.reset()[:, -1], [1.0, 0.75, 0.5, 0.25])
    ((seen, _, _),) = played(env, 1)
    np.testing.assert_allclose(seen[:, -1], np.array([11, 8, 5, 2]) / 12, rtol=1e-6)


def test_it_goes_on_to_the_bit_from_its_state():
    def made():
        starts = ExploringStarts(ENVS, share=0.7, most_doses=5, seed=1)
        return StaggeredVecEnv(MODEL, ENVS, seed=1, exploring_starts=starts)

    env, other = made(), made()
    env.reset()
    played(env, 5)
    state = env.state()
    expected = played(env, 20, of=2)
    other.restore(state)
    for (seen, reward, ends), (seen_, reward_, ends_) in zip(
        played(other, 20, of=2), expected, strict=True
    ):
        np.testing.assert_array_equal(seen, seen_)
        np.testing.assert_array_equal(reward, reward_)
        assert ends == ends_


def test_another_seed_brings_other_patients_from_the_next_reset_on():
    env = StaggeredVecEnv(clinic_model(steps=STEPS, patients=2), ENVS, seed=1)
    env.reset()
    first = env.clinics.state()["rows"]
    env.seed(2)
    env.reset()
    renamed = env.clinics.state()["rows"]
    env.seed(1)
    env.reset()
    np.testing.assert_array_equal(env.clinics.state()["rows"], first)
    assert not np.array_equal(first, renamed)


@pytest.mark.parametrize("batched", ["true", "false"])
def test_agents_learn_from_it_and_otherwise_than_in_step(batched):
    trainer = f"training.seed_batched={batched}"
    seeds = (1, 2) if batched == "true" else (1,)
    found, _ = learned(ASKED, f"{A}.normalize_reward=true", trainer, seeds=seeds)
    alone, _ = learned(ASKED, f"{A}.normalize_reward=true", trainer, seeds=(1,))
    plain, _ = learned(f"{A}.normalize_reward=true", trainer, seeds=(1,))
    np.testing.assert_array_equal(found[0], alone[0])
    assert not np.array_equal(alone[0], plain[0])


def test_it_is_refused_to_managers():
    config = compose("train", [f"{A}=hrl_ppo", f"++{ASKED}"]).plain
    with pytest.raises(InputError, match="staggered_starts=true is for agents that prescribe"):
        build_learner(config)
