"""What sees how much of the episode is left is told its end, not cut off; what does not, is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO

from abx_amr.agents.learners.seed_batched.simulation import OneClinic
from abx_amr.agents.rules import Greedy
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.envs import ClinicEnv, ClinicVecEnv
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.simulator.model import ClinicModel
from abx_amr.studies.fingerprint import fingerprint

STEPS = 10
SEEN = "environment.include_time_remaining=true"


def clinic(*overrides: str) -> ClinicModel:
    return build_clinic(compose("train", [f"environment.max_time_steps={STEPS}", *overrides]).plain)


@pytest.mark.parametrize(
    "others",
    [
        (),
        ("environment.include_previous_action=true", "environment.temporal_windows=[3]"),
        ("environment.include_steps_since_amr_update=true",),
    ],
)
def test_the_share_that_is_left_is_the_last_entry_within_its_bounds(others: Any) -> None:
    model = clinic(SEEN, *others)
    env = ClinicVecEnv(model, 2, seed=1)
    assert model.layout.names[-1] == "time_remaining"
    seen = [env.reset()]
    for _ in range(STEPS - 1):
        seen.append(env.step(np.zeros((2, 5), np.int64))[0])
    *_, infos = env.step(np.zeros((2, 5), np.int64))
    seen.append(np.stack([info["terminal_observation"] for info in infos]))
    shares = np.stack(seen)[:, :, -1]
    expected = np.linspace(1.0, 0.0, STEPS + 1, dtype=np.float32)
    np.testing.assert_allclose(shares, np.tile(expected[:, None], 2), atol=1e-7)
    assert all(env.observation_space.contains(row) for rows in seen for row in rows)
    decoded = model.layout.decode(seen[3])
    assert decoded.time_remaining is not None
    assert decoded.time_remaining == pytest.approx([0.7, 0.7])


def test_what_else_is_seen_and_drawn_is_the_same() -> None:
    plain, timed = (ClinicVecEnv(clinic(*o), 3, seed=4) for o in ((), (SEEN,)))
    np.testing.assert_array_equal(plain.reset(), timed.reset()[:, :-1])
    actions = np.ones((3, 5), np.int64)
    for _ in range(4):
        one, other = plain.step(actions), timed.step(actions)
        np.testing.assert_array_equal(one[0], other[0][:, :-1])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(("overrides", "terminates"), [((), False), ((SEEN,), True)])
def test_the_end_terminates_where_time_is_seen_and_truncates_where_not(
    overrides: Any, terminates: bool
) -> None:
    model = clinic(*overrides)
    env = ClinicEnv(model, seed=0)
    env.reset()
    ends = [env.step(np.zeros(5, np.int64))[2:4] for _ in range(STEPS)]
    assert ends == [(False, False)] * (STEPS - 1) + [(terminates, not terminates)]

    batch = ClinicVecEnv(model, 2, seed=0)
    batch.reset()
    for _ in range(STEPS):
        *_, done, infos = batch.step(np.zeros((2, 5), np.int64))
    assert done.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [not terminates] * 2

    batch = ClinicVecEnv(model, 2, seed=0)
    batch.reset()
    together = OneClinic([batch])
    for _ in range(STEPS):
        step = together.step(np.zeros((2, 5), np.int64))
    assert step.dones.all()
    assert len(step.cut) == len(step.terminal_observations) == (0 if terminates else 2)


@pytest.mark.parametrize(("overrides", "terminates"), [((), False), ((SEEN,), True)])
def test_the_library_bootstraps_a_cut_and_not_a_true_end(overrides: Any, terminates: bool) -> None:
    env = ClinicVecEnv(clinic(*overrides), 2, seed=3)
    agent = PPO("MlpPolicy", env, n_steps=STEPS, batch_size=4, gamma=0.9, seed=0, device="cpu")
    earned: list[np.ndarray] = []
    step = env.step

    def recorded(actions: Any) -> Any:
        found = step(actions)
        earned.append(found[1].copy())
        return found

    env.step = recorded  # type: ignore[method-assign]
    agent.learn(2 * STEPS)
    added = agent.rollout_buffer.rewards - np.stack(earned)
    assert not added[:-1].any()
    assert (added[-1] == 0).all() == terminates


def test_a_rule_does_not_care() -> None:
    returns = []
    for overrides in ((), (SEEN,)):
        model = clinic(*overrides)
        returns.append(evaluate(Greedy(model), model, episodes=3, seed=1).returns)
    np.testing.assert_array_equal(*returns)


def test_it_must_be_true_or_false() -> None:
    model = clinic()
    with pytest.raises(InputError, match="include_time_remaining must be true or false"):
        replace(model.observation, include_time_remaining="yes")


def test_a_study_of_an_earlier_release_is_the_same_where_time_is_not_seen() -> None:
    now = compose("train", []).plain
    before = {**now, "environment": dict(now["environment"])}
    del before["environment"]["include_time_remaining"]
    timed = {**now, "environment": {**now["environment"], "include_time_remaining": True}}
    old = fingerprint(before, space={})
    assert fingerprint(now, space={}).digest == old.digest
    assert [path for path, _, _ in old.difference(fingerprint(timed, space={}))] == [
        "environment.include_time_remaining"
    ]
    assert build_clinic(before).layout.names == build_clinic(now).layout.names
