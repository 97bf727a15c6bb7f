"""The manager's environments: what they show, how they drift apart, what they report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from abx_amr.envs.staggered_clinics import StaggeredClinics
from abx_amr.envs.vec_env import TRAINING_STREAM, ClinicVecEnv
from abx_amr.evaluation.episodes import evaluate
from abx_amr.hierarchy.library import OptionLibrary
from abx_amr.hierarchy.manager_env import ManagerVecEnv
from abx_amr.hierarchy.option_executor import manager_layout
from abx_amr.hierarchy.policy import HierarchicalPolicy
from abx_amr.simulator.model import ClinicModel
from tests.clinics import CROSS_RESISTANCE, clinic_model, mixture, population
from tests.hierarchy.conftest import alternation, block, library, parts
from tests.hierarchy.test_options import Always

NOISY = ("prob_infected", "benefit_value_multiplier")


def crowded(**changes: Any) -> ClinicModel:
    """Return a clinic whose observations vary in every entry."""
    shown = population(visible=NOISY, sigma=0.1, noise_std=0.1, prob_infected=0.6)
    hides = population(visible=("prob_infected",), sigma=0.1, prob_infected=0.4)
    return clinic_model(
        patients=3,
        **{
            "steps": 11,
            "cross_resistance": CROSS_RESISTANCE,
            "people": mixture(shown=shown, hides=hides),
            "visible_amr": {"update_every_n_time_steps": 3, "noise_std": 0.1},
            **changes,
        },
    )


def mixed_library(model: ClinicModel) -> OptionLibrary:
    return library(
        model,
        block("A_2", "A", 2),
        block("none_5", "no_treatment", 5),
        alternation("BAB", "B", "A", "B"),
    )


def manager_env(model: ClinicModel, n_envs: int = 4, **settings: Any) -> ManagerVecEnv:
    return ManagerVecEnv(mixed_library(model), n_envs, seed=3, **{"option_gamma": 1.0, **settings})


# --- clinics at different steps ------------------------------------------------------------------


def test_staggered_clinics_play_the_episodes_of_the_batch_in_lockstep_to_the_bit() -> None:
    model = crowded()
    together = ClinicVecEnv(model, 4, seed=3)
    apart = StaggeredClinics(model, 4, seed=3, stream=TRAINING_STREAM)
    everyone, generator = np.arange(4), np.random.default_rng(0)
    actions = generator.integers(3, size=(22, 4, 3))
    first = together.reset()
    assert np.array_equal(first, apart.reset(everyone))
    expected = [together.step(step)[:2] for step in actions[:11]]
    for e in (2, 0, 3, 1):  # one after the other, the whole episode
        for t in range(11):
            seen, reward, over = apart.step(np.array([e]), actions[t, e : e + 1])
            assert over[0] == (t == 10)
            assert np.float32(reward[0]) == expected[t][1][e]
            if t < 10:
                assert np.array_equal(seen[0], expected[t][0][e])
    assert np.array_equal(apart.reset(everyone), expected[10][0])  # the second episode as well


def test_staggered_clinics_go_on_from_their_state_to_the_bit() -> None:
    model = crowded()
    first, second = (StaggeredClinics(model, 3, seed=s, stream=("x",)) for s in (1, 2))
    for clinics in (first, second):
        clinics.reset(np.arange(3))
    first.step(np.array([1]), np.zeros((1, 3), dtype=np.int64))
    second.restore(first.state())
    assert second.time.tolist() == [0, 1, 0]
    for e in range(3):
        ours, theirs = (
            c.step(np.array([e]), np.ones((1, 3), dtype=np.int64)) for c in (first, second)
        )
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


# --- one step is one decision --------------------------------------------------------------------


def test_each_environment_carries_its_own_option_to_the_end() -> None:
    env = manager_env(crowded())
    env.reset()
    _, _, done, infos = env.step(np.array([0, 1, 2, 0]))
    assert [info["duration"] for info in infos] == [2, 5, 3, 2]
    assert env.clinics.time.tolist() == [2, 5, 3, 2]
    assert not done.any()
    _, _, done, infos = env.step(np.array([1, 1, 1, 1]))
    assert [info["duration"] for info in infos] == [5, 5, 5, 5]
    _, _, done, infos = env.step(np.array([1, 1, 1, 2]))
    assert [info["duration"] for info in infos] == [4, 1, 3, 3]
    assert [info["option_clipped"] for info in infos] == [True, True, True, False]
    assert done.tolist() == [True, True, True, False]
    assert env.clinics.time.tolist() == [0, 0, 0, 10]  # started again, but for the last


def test_an_options_rewards_are_discounted_inside_it_and_reported_undiscounted() -> None:
    def rewards(g: float) -> tuple[Any, Any]:
        env = manager_env(crowded(), option_gamma=g)
        env.reset()
        _, reward, _, infos = env.step(np.array([0, 1, 2, 0]))
        return reward, [info["primitive_return"] for info in infos]

    model = crowded()
    flat = ClinicVecEnv(model, 4, seed=3)
    flat.reset()
    b, none = 1, 2
    script = np.array([[0, none, b, 0], [0, none, 0, 0], [0, none, b, 0]])
    steps = np.array([flat.step(np.repeat(s[:, None], 3, axis=1))[1] for s in script])
    discounted, undiscounted = rewards(0.5)
    assert discounted[2] == pytest.approx((steps[:, 2] * [1.0, 0.5, 0.25]).sum(), abs=1e-6)
    assert discounted[0] == pytest.approx((steps[:2, 0] * [1.0, 0.5]).sum(), abs=1e-6)
    assert undiscounted[2] == pytest.approx(steps[:, 2].sum(), abs=1e-6)
    assert rewards(1.0)[1] == undiscounted


def test_the_end_of_an_episode_hides_the_time_limit_and_reports_the_undiscounted_return() -> None:
    env = manager_env(crowded(), option_gamma=0.1)
    env.reset()
    total = np.zeros(4)
    for _ in range(3):
        _, _, done, infos = env.step(np.full(4, 1))
        total += [info["primitive_return"] for info in infos]
    assert done.all()
    for e, info in enumerate(infos):
        assert "TimeLimit.truncated" not in info
        assert info["episode"]["r"] == pytest.approx(total[e])
        assert info["episode"]["l"] == 11
        assert env.observation_space.contains(info["terminal_observation"])


def test_the_same_seed_gives_the_same_bits_and_state_goes_on_to_the_bit() -> None:
    def play(env: ManagerVecEnv, start: int, stop: int) -> list[Any]:
        generator = np.random.default_rng(7)
        choices = generator.integers(3, size=(stop, 4))
        return [env.step(choice)[:2] for choice in choices[start:]]

    whole, again, late = (manager_env(crowded()) for _ in range(3))
    for env in (whole, again):
        env.reset()
    assert _same(play(whole, 0, 6), play(again, 0, 6))
    late.reset()
    late.step(np.zeros(4, dtype=np.int64))  # somewhere else
    late.restore(whole.state())
    assert _same(play(whole, 6, 12), play(late, 6, 12))


def _same(ours: list[Any], theirs: list[Any]) -> bool:
    pairs = [p for x, y in zip(ours, theirs, strict=True) for p in zip(x, y, strict=True)]
    return all(np.array_equal(a, b) for a, b in pairs)


# --- what the manager sees -----------------------------------------------------------------------


def named(env: ManagerVecEnv, observation: Any) -> list[dict[str, float]]:
    names = env.executor.layout.names
    return [dict(zip(names, row.tolist(), strict=True)) for row in observation]


def test_the_observation_by_hand() -> None:
    model = crowded()
    env, flat = manager_env(model, 2), ClinicVecEnv(model, 2, seed=3)
    start = named(env, env.reset())[0]
    before = model.layout.decode(flat.reset())
    assert all(start[f"last_option.{a}.{s}"] == 0.0 for a in NOISY for s in ("mean", "min"))
    assert start["previous_option[A_2]"] == start["consecutive_selections"] == 0.0
    assert start["steps_since_prescribed[A]"] == start["steps_since_prescribed[B]"] == 1.0
    assert start["visible_amr_at_start[A]"] == start["visible_amr[A]"] == before.visible_amr[0, 0]

    cohorts = [before]
    for _ in range(2):
        cohorts.append(model.layout.decode(flat.step(np.zeros((2, 3), dtype=np.int64))[0]))
    seen = named(env, env.step(np.array([0, 0]))[0])[0]
    for attribute in NOISY:
        treated = np.concatenate([c.attributes[attribute][0] for c in cohorts[:2]])
        shown = treated[treated != -1.0]
        assert len(shown) > 0
        for name, law in (("mean", np.mean), ("std", np.std), ("max", np.max), ("min", np.min)):
            assert seen[f"last_option.{attribute}.{name}"] == pytest.approx(law(shown), abs=1e-6)
        waiting = cohorts[2].attributes[attribute][0]
        waiting = waiting[waiting != -1.0]
        expected = waiting.mean() if len(waiting) else -1.0
        assert seen[f"cohort.{attribute}.mean"] == pytest.approx(expected, abs=1e-6)
    assert seen["visible_amr_at_start[A]"] == cohorts[0].visible_amr[0, 0]
    assert seen["visible_amr[A]"] == cohorts[2].visible_amr[0, 0]
    assert seen["previous_option[A_2]"] == 1.0
    assert seen["consecutive_selections"] == pytest.approx(1 / 11)
    assert seen["steps_since_prescribed[A]"] == 0.0  # in the step just made
    assert seen["steps_since_prescribed[B]"] == 1.0  # never

    twice = named(env, env.step(np.array([0, 2]))[0])
    assert twice[0]["consecutive_selections"] == pytest.approx(2 / 12)
    assert twice[1]["consecutive_selections"] == pytest.approx(1 / 11)
    assert twice[1]["steps_since_prescribed[A]"] == pytest.approx(1 / 11)  # B A B: one step ago
    left = named(env, env.step(np.array([1, 1]))[0])[0]
    assert left["steps_since_prescribed[A]"] == pytest.approx(5 / 15)
    assert left["consecutive_selections"] == pytest.approx(1 / 11)


def test_an_attribute_that_nobody_shows_gives_minus_one() -> None:
    hides = population(visible=("prob_infected",))
    shows = population(visible=NOISY)
    people = mixture(hides=hides, shows=shows)
    people = type(people)(
        populations={"hides": (1.0, hides), "shows": (0.0, shows)},
    )
    env = manager_env(crowded(people=people), 1)
    start = named(env, env.reset())[0]
    assert start["last_option.benefit_value_multiplier.mean"] == 0.0
    assert start["cohort.benefit_value_multiplier.mean"] == -1.0
    seen = named(env, env.step(np.array([0]))[0])[0]
    for statistic in ("mean", "std", "max", "min"):
        assert seen[f"last_option.benefit_value_multiplier.{statistic}"] == -1.0
    assert seen["last_option.prob_infected.std"] == 0.0  # of equal values, to the bit


def test_the_full_vector_shows_every_waiting_patient() -> None:
    model = crowded()
    env = manager_env(model, 2, front_edge_use_full_vector=True)
    flat = ClinicVecEnv(model, 2, seed=3)
    assert np.array_equal(env.reset()[:, -6:], flat.reset()[:, :6])
    assert env.executor.layout.names[-6:] == model.layout.names[:6]


@pytest.mark.parametrize("every", [False, True])
def test_every_value_lies_in_the_declared_box(every: bool) -> None:
    env = manager_env(crowded(), front_edge_use_full_vector=every)
    generator = np.random.default_rng(0)
    observations = [env.reset()]
    observations += [env.step(generator.integers(3, size=4))[0] for _ in range(40)]
    assert all(env.observation_space.contains(row) for rows in observations for row in rows)
    assert env.observation_space.shape == (
        manager_layout(env.library, shows_every_patient=every).size,
    )


def test_a_manager_that_never_prescribes_sees_no_clock() -> None:
    model = clinic_model(steps=100)
    env = ManagerVecEnv(
        library(model, block("wait", "no_treatment", 5), block("A", "A", 1)),
        1, seed=0, option_gamma=1.0,
    )  # fmt: skip
    env.reset()
    rows = [env.step(np.zeros(1, dtype=np.int64))[0][0] for _ in range(15)]
    names = np.array(env.executor.layout.names)
    changes = names[np.ptp(np.array(rows), axis=0) > 0]
    assert changes.tolist() == ["consecutive_selections"]  # of the option, as specified


@pytest.mark.parametrize("hidden", ["attributes", "levels"])
def test_clinics_that_differ_only_in_what_is_hidden_look_the_same_to_the_manager(
    hidden: str,
) -> None:
    """Faults 11: true resistance and hidden attributes once reached the manager."""
    stale = {"update_every_n_time_steps": 1_000}
    ours = crowded(people=_people(1.0), visible_amr=stale)
    theirs = {
        "attributes": lambda: crowded(people=_people(3.0), visible_amr=stale),
        "levels": lambda: crowded(
            people=_people(1.0),
            visible_amr=stale,
            drugs={"A": (0.01, 2.0, -2.0, 0.1), "B": (0.01, 1.0, -3.0, 0.15)},
        ),
    }[hidden]()
    first, second = (manager_env(model, option_gamma=0.9) for model in (ours, theirs))
    assert np.array_equal(first.reset(), second.reset())
    generator = np.random.default_rng(0)
    differs = False
    for _ in range(8):
        options = generator.integers(3, size=4)
        (a, reward_a, *_), (b, reward_b, *_) = first.step(options), second.step(options)
        assert np.array_equal(a, b)
        differs |= not np.array_equal(reward_a, reward_b)
    assert differs  # the clinics are not the same


def _people(benefit_value: float) -> Any:
    return population(visible=("prob_infected",), sigma=0.1, benefit_value_multiplier=benefit_value)


# --- training and evaluation carry options out alike ---------------------------------------------


class Scripted:
    """Chooses by what it sees, so that a difference in seeing becomes one in choosing."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def predict(self, observation: Any, state: Any = None, **_: Any) -> Any:
        self.shown.append(np.array(observation))
        return (np.abs(observation).sum(axis=1) * 1e4).astype(np.int64) % 3, None


def test_evaluation_shows_and_plays_what_training_does() -> None:
    model = crowded()
    policy = HierarchicalPolicy(manager=Scripted(), library=mixed_library(model))
    evaluated = evaluate(policy, model, episodes=4, seed=5, per_step=True)
    env = ManagerVecEnv(
        mixed_library(model), 4, seed=5, option_gamma=1.0, stream=("evaluation", "clinic")
    )
    shown, manager = env.reset(), Scripted()
    returns, durations = np.zeros(4), [[] for _ in range(4)]
    running = np.ones(4, dtype=bool)
    while running.any():
        options, _ = manager.predict(shown)
        shown, reward, done, infos = env.step(options)
        for e in np.flatnonzero(running):
            returns[e] += reward[e]
            durations[e].append(infos[e]["duration"])
        running &= ~done
    assert evaluated.returns == pytest.approx(returns, abs=1e-5)
    assert evaluated.decisions["duration"].tolist() == [d for one in durations for d in one]


def test_each_option_is_credited_with_its_own_reward() -> None:
    model = crowded()
    policy = HierarchicalPolicy(manager=Scripted(), library=mixed_library(model))
    found = evaluate(policy, model, episodes=3, seed=5, per_step=True, max_batch=2)
    frame, rewards = found.decisions_frame(), found.per_step["reward"]
    for _, decision in frame.iterrows():
        steps = slice(decision["start"], decision["start"] + decision["duration"])
        expected = rewards[steps, decision["episode"]].sum()
        assert decision["reward"] == pytest.approx(expected)
    assert frame.groupby("episode")["reward"].sum().to_numpy() == pytest.approx(found.returns)
    assert frame.groupby("episode")["decision"].max().tolist() == [
        n - 1 for n in frame.groupby("episode").size()
    ]


def test_one_observation_gives_one_cohorts_prescriptions() -> None:
    model = crowded()
    policy = HierarchicalPolicy(manager=Always(0), library=mixed_library(model))
    observation = ClinicVecEnv(model, 1, seed=0).reset()
    actions, state = policy.predict(observation[0])
    assert actions.tolist() == [0, 0, 0]
    actions, _ = policy.predict(observation[0], state)
    assert actions.shape == (3,)


def test_an_endless_option_counts_as_the_steps_it_took() -> None:
    forever = "{type: block, antibiotic: A, duration: inf}"
    spec, model, _ = parts(f"+option_library.options.forever={forever}")
    chosen = spec.role.library(model)  # type: ignore[attr-defined]
    assert chosen[12].duration == math.inf
    env = ManagerVecEnv(chosen, 2, seed=0, option_gamma=1.0)
    env.reset()
    _, _, done, infos = env.step(np.array([12, 0]))
    assert (infos[0]["duration"], infos[0]["option_clipped"], done.tolist()) == (
        20, False, [True, False],
    )  # fmt: skip
