"""Decisions of different lengths are discounted by the time they take, as the exact values say.

The clinic: one antibiotic, one patient a step, a reward that is its own expectation, so that a step
is certain and the semi-Markov optimum over the pressure lattice is a small dynamic programme.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abx_amr.agents.semi_markov import (
    SemiMarkovRecurrentRolloutBuffer,
    SemiMarkovRolloutBuffer,
    semi_markov_advantages,
)
from abx_amr.hierarchy.library import OptionLibrary
from abx_amr.hierarchy.manager_env import ManagerVecEnv
from abx_amr.simulator.dynamics import LeakyBalloon
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import ObservationSettings, VisibleAmr
from abx_amr.simulator.rewards import Score
from tests.clinics import population
from tests.hierarchy.conftest import alternation, block, library

GAMMA, FLATNESS, LEAK = 0.9, 4.0, 0.5
HIGHEST = 400  # pressures in halves; gamma ** 400 is beyond double precision
OPTIONS = (
    block("A_1", "A", 1),
    block("A_4", "A", 4),
    block("none_2", "no_treatment", 2),
    block("none_7", "no_treatment", 7),
    alternation("A_none_A", "A", "no_treatment", "A"),
)
EPISODE = 23  # no option fits it a whole number of times


class CertainReward:
    """Pays what a treatment is worth at the visible level: 1 - 2 level, or -0.6 for none."""

    needs_delta = False

    def __init__(self) -> None:
        self.antibiotics = ("A",)

    def score(self, cohort: Any) -> Score:
        treated = cohort.actions[:, 0] == 0
        reward = np.where(treated, 1.0 - 2.0 * cohort.visible_amr[:, 0], -0.6)
        nobody = np.zeros(cohort.actions.shape, dtype=bool)
        return Score(
            reward=reward,
            individual=reward,
            community=np.zeros_like(reward),
            benefits=nobody,
            failures=nobody,
            adverse_events=nobody,
        )

    def expected_reward(self, attributes: Any, amr_level: Any, delta: Any = 0.0) -> Any:
        level = np.asarray(amr_level)[..., :1] + 0.0 * np.asarray(attributes)[..., :1]
        return np.concatenate([1.0 - 2.0 * level, np.full_like(level, -0.6)], axis=-1)


def small_model(steps: int) -> ClinicModel:
    one = {"A": 0.0}
    return ClinicModel(
        antibiotics=("A",),
        dynamics=LeakyBalloon(
            antibiotics=("A",),
            leak={"A": LEAK},
            flatness_parameter={"A": FLATNESS},
            permanent_residual_volume=one,
            initial_amr_level=one,
        ),
        cross_resistance={},
        population=population(),
        reward=CertainReward(),
        visible_amr=VisibleAmr(update_every_n_time_steps=1, noise_std=0.0, bias=0.0),
        observation=ObservationSettings(
            include_steps_since_amr_update=False,
            include_previous_action=False,
            temporal_windows=(),
        ),
        num_patients_per_time_step=1,
        max_time_steps=steps,
    )


def level(pressure: np.ndarray) -> np.ndarray:
    return np.tanh(pressure / (2.0 * FLATNESS))


def prescriptions(name: str) -> list[bool]:
    """Return whether each step of an option treats."""
    return {
        "A_1": [True],
        "A_4": [True] * 4,
        "none_2": [False] * 2,
        "none_7": [False] * 7,
        "A_none_A": [True, False, True],
    }[name]


def exact_optimum() -> tuple[np.ndarray, np.ndarray]:
    """Return V* per pressure (in halves) and Q* (pressure, option), without an end of time."""
    pressure = np.arange(HIGHEST + 1) / 2.0
    rewards, following, lengths = [], [], []
    for entry in OPTIONS:
        p, total = pressure.copy(), np.zeros_like(pressure)
        for i, treats in enumerate(prescriptions(entry.name)):
            p = np.minimum(np.maximum(0.0, p + treats - LEAK), HIGHEST / 2.0)
            total += GAMMA**i * (1.0 - 2.0 * level(p) if treats else np.full_like(p, -0.6))
        rewards.append(total)
        following.append(np.rint(2.0 * p).astype(int))
        lengths.append(len(prescriptions(entry.name)))
    value = np.zeros_like(pressure)
    for _ in range(2_000):
        q = np.stack(
            [r + GAMMA**k * value[n] for r, n, k in zip(rewards, following, lengths, strict=True)],
            axis=1,
        )
        value = q.max(axis=1)
    return value, q


def pressures(env: ManagerVecEnv) -> np.ndarray:
    """Return each environment's pressure in halves, from the AMR that the manager sees."""
    seen = env._observation[:, 1].astype(float)
    return np.rint(4.0 * FLATNESS * np.arctanh(seen)).astype(int)


def rollout(
    buffer: Any,
    values: np.ndarray,
    choose: Any,
    *,
    gae_lambda: float,
    decisions: int = 40,
    per_decision: bool = False,
    steps: int = EPISODE,
) -> tuple[np.ndarray, Any]:
    """Fill a buffer with decisions whose state values are given; return the states met, and it."""
    chosen_library: OptionLibrary = library(small_model(steps), *OPTIONS)
    env = ManagerVecEnv(chosen_library, 3, seed=1, option_gamma=GAMMA)
    made = buffer(
        decisions, env.observation_space, env.action_space, gamma=GAMMA, gae_lambda=gae_lambda,
        n_envs=3,
    )  # fmt: skip
    observation = env.reset()
    states, starts = [], np.ones(3, dtype=bool)
    generator = np.random.default_rng(0)
    for _ in range(decisions):
        state = pressures(env)
        states.append(state)
        options = choose(state, generator)
        following, reward, done, infos = env.step(options)
        at_end = np.array([_pressure_of(info, s) for info, s in zip(infos, state, strict=True)])
        durations = np.array([info["duration"] for info in infos])
        made.record(
            durations=np.ones_like(durations) if per_decision else durations,
            ended=done,
            terminal_values=np.where(done, values[at_end], 0.0),
            included=np.ones(3, dtype=bool),
        )
        made.add(
            observation, options.reshape(3, 1), reward, starts,
            torch.as_tensor(values[state]), torch.zeros(3),
        )  # fmt: skip
        observation, starts = following, done
    made.compute_returns_and_advantage(torch.as_tensor(values[pressures(env)]), starts)
    return np.array(states), made


def _pressure_of(info: dict[str, Any], state: int) -> int:
    """Return the pressure at an episode's end, from what the manager would have seen next."""
    if "terminal_observation" not in info:
        return int(state)
    amr_now = float(info["terminal_observation"][5])
    return int(np.rint(4.0 * FLATNESS * np.arctanh(amr_now)))


OPTIMUM, ACTION_VALUES = exact_optimum()


def best(state: np.ndarray, generator: Any) -> np.ndarray:
    return ACTION_VALUES[state].argmax(axis=1)


def anything(state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(len(OPTIONS), size=len(state))


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_return_targets_of_the_optimal_manager_are_the_exact_optimum(gae_lambda: float) -> None:
    states, buffer = rollout(
        SemiMarkovRolloutBuffer, OPTIMUM, best, gae_lambda=gae_lambda, steps=1_000
    )
    assert len(set(buffer.durations.ravel().tolist())) > 1
    assert not buffer.ended.any()
    assert buffer.returns == pytest.approx(OPTIMUM[states], abs=1e-4)


def test_one_step_targets_of_any_option_are_its_exact_action_value() -> None:
    chosen: list[np.ndarray] = []

    def remember(state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        chosen.append(anything(state, generator))
        return chosen[-1]

    states, buffer = rollout(SemiMarkovRolloutBuffer, OPTIMUM, remember, gae_lambda=0.0)
    whole = ~buffer.ended
    assert set(buffer.durations[whole].tolist()) == {1, 2, 3, 4, 7}
    expected = ACTION_VALUES[states, np.array(chosen)]
    assert buffer.returns[whole] == pytest.approx(expected[whole], abs=2e-5)


def test_a_gamma_applied_once_per_decision_is_found_out() -> None:
    states, wrong = rollout(
        SemiMarkovRolloutBuffer, OPTIMUM, best, gae_lambda=0.0, per_decision=True
    )
    whole = ~wrong.ended
    assert np.abs(wrong.returns - OPTIMUM[states])[whole].max() > 0.1


def test_values_learned_from_the_targets_converge_to_the_exact_optimum() -> None:
    """Q-learning over options with the buffer's own targets, exploring, from nothing."""
    learned = np.zeros_like(ACTION_VALUES)
    met = np.zeros(ACTION_VALUES.shape, dtype=bool)
    chosen: list[np.ndarray] = []

    def explore(state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        chosen.append(anything(state, generator))
        return chosen[-1]

    states, buffer = rollout(
        SemiMarkovRolloutBuffer, np.zeros(HIGHEST + 1), explore, gae_lambda=0.0, decisions=1_500
    )
    whole, options = ~buffer.ended, np.array(chosen)
    # With V = 0 the returns are the options' own rewards; the rest is gamma^k times what follows.
    own = buffer.returns
    following = np.concatenate([states[1:], np.zeros((1, 3), dtype=int)])
    whole[-1] = False
    discount = GAMMA ** buffer.durations.astype(float)
    for _ in range(200):
        value = np.where(met, learned, -10.0).max(axis=1)  # below every true value
        target = own + discount * value[following]
        learned[states[whole], options[whole]] = target[whole]
        met[states[whole], options[whole]] = True
    often = met.all(axis=1)
    assert often[:5].all()
    assert learned[:5].max(axis=1) == pytest.approx(OPTIMUM[:5], abs=1e-3)


def test_the_cut_last_option_bootstraps_over_the_time_it_really_took() -> None:
    _, buffer = rollout(SemiMarkovRolloutBuffer, OPTIMUM, best, gae_lambda=0.0)
    cut = buffer.ended & (buffer.durations > 0)
    assert cut.sum() >= 3
    steps = np.cumsum(buffer.durations, axis=0)
    assert set((steps[buffer.ended] % EPISODE).tolist()) == {0}
    expected = buffer.rewards + GAMMA**buffer.durations * buffer.terminal_values
    assert buffer.returns[cut] == pytest.approx(expected[cut], abs=1e-5)
    assert (np.abs(buffer.terminal_values[cut]) > 0.1).all()


def test_the_chain_of_advantages_is_cut_at_the_episodes_end() -> None:
    rewards, values = np.array([[1.0], [5.0]]), np.zeros((2, 1))
    joined = semi_markov_advantages(
        rewards, values, values, durations=[[2], [3]], ended=[[False], [False]],
        gamma=0.5, gae_lambda=1.0,
    )  # fmt: skip
    cut = semi_markov_advantages(
        rewards, values, values, durations=[[2], [3]], ended=[[True], [False]],
        gamma=0.5, gae_lambda=1.0,
    )  # fmt: skip
    assert joined.ravel().tolist() == [1.0 + 0.25 * 5.0, 5.0]
    assert cut.ravel().tolist() == [1.0, 5.0]


@given(
    steps=st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-5, 5), st.booleans()), min_size=1, max_size=12
    ),
    gamma=st.floats(0.5, 1.0),
    gae_lambda=st.floats(0.0, 1.0),
)
def test_decisions_of_one_step_are_sb3s_own_advantages(
    steps: list[tuple[float, float, bool]], gamma: float, gae_lambda: float
) -> None:
    from gymnasium import spaces
    from stable_baselines3.common.buffers import RolloutBuffer

    space = spaces.Box(0, 1, (1,))
    theirs = RolloutBuffer(
        len(steps), space, spaces.Discrete(2), gamma=gamma, gae_lambda=gae_lambda
    )
    start = True
    for reward, value, ended in steps:
        bootstrapped = reward + gamma * 0.5 * ended  # as collect_rollouts does, V(terminal) = 0.5
        theirs.add(
            np.zeros((1, 1)), np.zeros((1, 1)), np.array([bootstrapped]), np.array([start]),
            torch.tensor([value]), torch.zeros(1),
        )  # fmt: skip
        start = ended
    theirs.compute_returns_and_advantage(torch.tensor([0.25]), np.array([start]))
    rewards, values, ends = (np.array(column)[:, None] for column in zip(*steps, strict=True))
    following = np.where(ends, 0.5, np.append(values[1:], 0.25)[:, None])
    ours = semi_markov_advantages(
        rewards, values, following, durations=np.ones_like(rewards), ended=ends,
        gamma=gamma, gae_lambda=gae_lambda,
    )  # fmt: skip
    assert ours == pytest.approx(theirs.advantages, abs=1e-4)


def test_the_recurrent_buffer_computes_the_same_targets() -> None:
    def recurrent(size: int, *spaces: Any, n_envs: int, **discounts: float) -> Any:
        shape = (size, 1, n_envs, 4)
        buffer = SemiMarkovRecurrentRolloutBuffer(size, *spaces, shape, n_envs=n_envs, **discounts)
        add = buffer.add
        state = tuple(torch.zeros((1, n_envs, 4)) for _ in range(2))
        buffer.add = lambda *given: add(*given, lstm_states=_States(state, state))
        return buffer

    states, flat = rollout(SemiMarkovRolloutBuffer, OPTIMUM, best, gae_lambda=0.9)
    _, with_memory = rollout(recurrent, OPTIMUM, best, gae_lambda=0.9)
    assert len(states) == len(flat.returns)
    assert np.array_equal(flat.returns, with_memory.returns)


class _States:
    def __init__(self, pi: Any, vf: Any) -> None:
        self.pi, self.vf = pi, vf
