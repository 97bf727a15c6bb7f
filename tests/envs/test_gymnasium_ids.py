"""The shipped clinics under gymnasium's ids."""

import pickle
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import abx_amr
from abx_amr.errors import InputError
from abx_amr.gymnasium_ids import clinics, id_of
from abx_amr.host.locations import packaged

SHORT = ["environment.max_time_steps=6"]


@pytest.mark.parametrize("clinic", clinics())
def test_every_shipped_clinic_is_made_by_its_id_and_passes_the_check(clinic):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*A Box observation space m.* is.*infinity.*")
        env = gymnasium.make(id_of(clinic), overrides=SHORT)
        check_env(env.unwrapped, skip_render_check=True)
    assert env.spec.id == f"abx_amr/{clinic}-v0"
    expected = abx_amr.make_env(f"experiment={clinic}", *SHORT)
    assert np.array_equal(env.reset(seed=2)[0], expected.reset(seed=2)[0])


def test_an_experiment_without_an_id_chooses_a_prescriber():
    experiments = {file.stem for file in packaged("conf").joinpath("experiment").glob("*.yaml")}
    assert experiments - set(clinics()) == {"hrl_ppo_default"}


@pytest.mark.parametrize("first", ["abx_amr, gymnasium", "gymnasium, abx_amr"])
def test_the_ids_are_there_in_either_order_of_imports(first):
    code = f"import {first}; print(gymnasium.spec('abx_amr/paper_two-v0').version)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (shown.stdout, shown.stderr) == ("0\n", "")


def test_importing_the_package_does_not_import_gymnasium():
    code = "import sys, abx_amr; print({'gymnasium', 'numpy'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.stdout == "set()\n"


def test_a_specification_makes_the_same_clinic_again_from_its_text():
    env = gymnasium.make("abx_amr/paper_two-v0", overrides=SHORT)
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    assert again.unwrapped.model.max_time_steps == 6


def test_a_pickled_environment_goes_on_where_it_was():
    env = gymnasium.make("abx_amr/paper_two-v0", overrides=SHORT)
    env.reset(seed=3)
    env.step(np.array([0]))
    copy = pickle.loads(pickle.dumps(env))
    for _ in range(5):
        one, other = env.step(np.array([1])), copy.step(np.array([1]))
        assert np.array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]


def test_a_batch_is_the_synchronous_one_to_the_bit():
    seeds = [5, 1, 8]
    batch = gymnasium.make_vec("abx_amr/paper_crowded-v0", num_envs=3, overrides=SHORT)
    single = gymnasium.make_vec(
        "abx_amr/paper_crowded-v0",
        num_envs=3,
        overrides=SHORT,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )
    assert isinstance(single, SyncVectorEnv)
    assert batch.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert batch.single_action_space == single.single_action_space
    first, expected = batch.reset(seed=seeds), single.reset(seed=seeds)
    assert np.array_equal(first[0], expected[0])
    assert np.array_equal(first[1]["true_amr"], expected[1]["true_amr"])
    batch.action_space.seed(0)
    for step in range(8):
        actions = batch.action_space.sample()
        shown, expected = batch.step(actions), single.step(actions)
        for one, other in zip(shown[:4], expected[:4], strict=True):
            assert np.array_equal(one, other)
        assert bool(shown[4]) == (step == 5) == shown[3].all()
        if step == 5:
            assert np.array_equal(
                np.stack(shown[4]["final_obs"]), np.stack(expected[4]["final_obs"])
            )
            ended = expected[4]["final_info"]
            assert all(np.array_equal(shown[4]["final_info"][key], ended[key]) for key in ended)
            assert batch.unwrapped.last_step["reward"].tolist() == shown[1].tolist()


def test_one_seed_names_the_batch_that_stable_baselines3_gets():
    batch = gymnasium.make_vec("abx_amr/paper_two-v0", num_envs=3)
    expected = abx_amr.make_vec_env(3, "experiment=paper_two", seed=4).reset()
    assert np.array_equal(batch.reset(seed=4)[0], expected)


def test_a_batch_counts_its_episodes_under_gymnasium_s_wrapper():
    batch = gymnasium.make_vec("abx_amr/paper_two-v0", num_envs=2, overrides=SHORT)
    counted = gymnasium.wrappers.vector.RecordEpisodeStatistics(batch)
    counted.reset(seed=1)
    for _ in range(6):
        info = counted.step(np.zeros((2, 1), dtype=np.int64))[4]
    assert info["episode"]["l"].tolist() == [6, 6]


def test_the_last_step_is_a_termination_where_the_time_is_observed():
    seen = [*SHORT, "environment.include_time_remaining=true"]
    batch = gymnasium.make_vec("abx_amr/paper_two-v0", num_envs=2, overrides=seen)
    batch.reset(seed=1)
    ends = [batch.step(np.zeros((2, 1), dtype=np.int64))[2:4] for _ in range(6)]
    assert [(t.all(), u.all()) for t, u in ends] == [(False, False)] * 5 + [(True, False)]


def test_an_id_that_is_not_there_is_refused_with_the_one_that_was_meant():
    with pytest.raises(gymnasium.error.NameNotFound, match="Did you mean: `paper_two`"):
        gymnasium.make("abx_amr/paper_too-v0")
    with pytest.raises(gymnasium.error.VersionNotFound, match="`v0`"):
        gymnasium.make("abx_amr/paper_two-v1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overrides": "environment.max_time_steps=5"}, "must be a list of strings"),
        ({"overrides": ["experiment=paper_single"]}, "abx_amr/paper_single-v0"),
        ({"overrides": ["environment.max_time_stesp=5"]}, "max_time_steps"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as refused:
        gymnasium.make("abx_amr/paper_two-v0", **arguments)
    assert "\n" not in str(refused.value)


def test_a_part_of_a_batch_is_not_reset():
    batch = gymnasium.make_vec("abx_amr/paper_two-v0", num_envs=2)
    with pytest.raises(InputError, match="end together"):
        batch.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(InputError, match="one for each of 2"):
        batch.reset(seed=[1])
