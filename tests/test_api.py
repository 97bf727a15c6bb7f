"""The door for notebooks: overrides in, objects out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import abx_amr
from abx_amr.configuration.composing import resolved
from abx_amr.errors import InputError
from abx_amr.runs.folder import RunFolder

KEYS = (
    "true_amr", "visible_amr", "prescriptions", "effective_doses", "delta_visible_amr", "benefits",
    "failures", "adverse_events", "individual", "community", "reward",
)  # fmt: skip


def test_compose_gives_the_configuration_of_the_overrides() -> None:
    config = abx_amr.compose("experiment=paper_two", "training.seed=7")
    assert config.training.seed == 7
    assert config.environment.num_patients_per_time_step == 1
    with pytest.raises(InputError, match="did you mean 'paper_two'"):
        abx_amr.compose("experiment=paper_tow")


def test_make_env_is_a_gymnasium_environment_with_the_step_in_info() -> None:
    env = abx_amr.make_env("antibiotics=single", seed=3)
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    info = env.step(np.zeros(5, dtype=np.int64))[4]
    assert set(KEYS) <= set(info)
    assert np.shape(info["prescriptions"]) == (1,)
    assert info["prescriptions"][0] == 5


def test_last_step_of_the_vec_env_has_one_row_for_each_environment() -> None:
    env = abx_amr.make_vec_env(3, seed=3)
    env.reset()
    env.step(np.zeros((3, 5), dtype=np.int64))
    assert set(KEYS) <= set(env.last_step)
    assert np.shape(env.last_step["prescriptions"]) == (3, 2)
    assert np.shape(env.last_step["benefits"]) == (3,)


def test_unseeded_environments_differ_and_seeded_ones_do_not() -> None:
    def first(seed: int | None) -> np.ndarray:
        env = abx_amr.make_vec_env(2, "patient_generator=heterogeneous", seed=seed)
        return np.asarray(env.reset())

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
    assert not np.array_equal(first(None), first(None))


def test_the_expected_reward_is_the_closed_form() -> None:
    config = abx_amr.compose()
    levels = np.array([[0.0, 0.0], [0.5, 0.2]])
    found = abx_amr.expected_reward(config, amr_level=levels, prob_infected=0.8)
    # pI (1-a) RB + pI a RF + pAE AE, with RB = 1, RF = -1 and penalties over 10
    by_hand = [
        [0.8 - 0.02, 0.8 - 0.045, -0.8],
        [0.8 * 0.5 - 0.8 * 0.5 - 0.02, 0.8 * 0.8 - 0.8 * 0.2 - 0.045, -0.8],
    ]
    assert found == pytest.approx(np.array(by_hand))


def test_the_expected_reward_broadcasts_patients_over_levels() -> None:
    config = abx_amr.compose("antibiotics=single")
    risks = np.linspace(0, 1, 5)
    found = abx_amr.expected_reward(config, amr_level=np.zeros((5, 1)), prob_infected=risks)
    assert found.shape == (5, 2)
    assert (np.diff(found[:, 0]) > 0).all()
    with pytest.raises(InputError, match="did you mean 'prob_infected'"):
        abx_amr.expected_reward(config, amr_level=[0.0], prob_infectd=0.5)
    with pytest.raises(InputError, match="needs prob_infected"):
        abx_amr.expected_reward(config, amr_level=[0.0])


def test_a_policy_is_loaded_by_the_name_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("results", "mine")
    folder.write_config(resolved(abx_amr.compose("agent_algorithm=never")))
    actions, _ = abx_amr.load_policy("mine").predict(np.zeros((1, 7), dtype=np.float32))
    assert actions.tolist() == [[2] * 5]
    with pytest.raises(InputError, match="did you mean 'mine'"):
        abx_amr.load_policy("mime")


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import abx_amr, sys; print([m for m in ('torch', 'numba', 'hydra') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
