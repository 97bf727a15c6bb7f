"""Managers learn by SB3's own algorithms, on primitive-step budgets, with gamma^k everywhere."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.on_policy.building import build_agent, clinic_env
from abx_amr.agents.learners.on_policy.policies import evaluate_agent, policy_of
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.read_back import find_read_back
from abx_amr.agents.settings import transitions_of
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.hierarchy.manager_env import ManagerVecEnv
from abx_amr.tuning.scoring import train_and_score
from tests.hierarchy.conftest import Parts, manager, parts

ALGORITHMS = ("hrl_ppo", "hrl_rppo")


def weights(agent: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in agent.policy.parameters()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def collect(agent: Any) -> list[dict[str, Any]]:
    """Let the agent collect one rollout and return what its environment reported, by decision."""
    env, reported = clinic_env(agent), []
    step = env.step_wait

    def watched() -> Any:
        observation, reward, done, infos = step()
        reported.append({"reward": reward.copy(), "done": done.copy(), "infos": infos})
        return observation, reward, done, infos

    env.step_wait = watched  # type: ignore[method-assign]
    _, callback = agent._setup_learn(1_000, None)
    assert agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
    return reported


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_budget_counts_primitive_steps_and_the_rollout_that_reaches_it_is_whole(
    algorithm: str,
) -> None:
    agent = manager(f"agent_algorithm={algorithm}")
    seen = list(rollouts(agent, 200))
    assert seen[-1] >= 200 > seen[-2]
    assert all(b > a + agent.n_steps * agent.n_envs for a, b in itertools.pairwise(seen))
    assert agent.num_timesteps == seen[-1]
    assert agent._n_updates == 2 * len(seen)  # every rollout was learned from, n_epochs each


def test_the_count_is_the_sum_of_the_decisions_durations() -> None:
    agent = manager()
    reported = collect(agent)
    made = sum(info["duration"] for one in reported for info in one["infos"])
    assert agent.num_timesteps == made == int(agent.rollout_buffer.durations.sum())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sb3_adds_nothing_at_the_time_limit_and_the_buffer_bootstraps_there(
    algorithm: str,
) -> None:
    agent = manager(f"agent_algorithm={algorithm}", "agent_algorithm.n_steps=48")
    reported = collect(agent)
    buffer = agent.rollout_buffer
    assert np.array_equal(buffer.rewards, np.array([one["reward"] for one in reported]))
    ended = np.array([one["done"] for one in reported])
    assert ended.any()
    assert np.array_equal(buffer.ended, ended)
    t, e = (int(i[0]) for i in np.nonzero(ended))
    if algorithm == "hrl_ppo":
        terminal = reported[t]["infos"][e]["terminal_observation"]
        value = agent.policy.predict_values(torch.as_tensor(terminal[None])).item()
        assert buffer.terminal_values[t, e] == pytest.approx(value, abs=1e-6)
    expected = (
        buffer.rewards[t, e] + agent.gamma ** buffer.durations[t, e] * buffer.terminal_values[t, e]
    )
    assert buffer.returns[t, e] == pytest.approx(expected, abs=1e-5)
    assert (buffer.terminal_values[~ended] == 0.0).all()


def test_the_recurrent_terminal_value_is_seen_with_the_memory_of_its_own_episode() -> None:
    agent = manager("agent_algorithm=hrl_rppo", "agent_algorithm.n_steps=48")
    reported = collect(agent)
    buffer = agent.rollout_buffer
    t, e = (int(i[0]) for i in np.nonzero(buffer.ended))
    terminal = torch.as_tensor(reported[t]["infos"][e]["terminal_observation"][None])
    before = tuple(
        torch.as_tensor(part[t][:, e : e + 1])
        for part in (buffer.hidden_states_vf, buffer.cell_states_vf)
    )
    seen = torch.as_tensor(buffer.observations[t, e][None])
    start = torch.tensor([float(buffer.episode_starts[t, e])])
    with torch.no_grad():
        features = agent.policy.extract_features(seen)
        _, after = agent.policy._process_sequence(features, before, start, agent.policy.lstm_critic)
        value = agent.policy.predict_values(terminal, after, torch.zeros(1)).item()
    assert buffer.terminal_values[t, e] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(algorithm: str) -> None:
    spec, model, settings = parts(
        f"agent_algorithm={algorithm}", "training.total_num_training_episodes=8"
    )
    first, other = (
        train_and_score(spec, model, settings, seeds=[seed, 8], searched={}) for seed in (7, 9)
    )
    again = train_and_score(spec, model, settings, seeds=[7], searched={})
    assert first[7].returns == again[7].returns  # type: ignore[union-attr]
    assert first[7].returns != first[8].returns  # type: ignore[union-attr]
    assert first[8].returns == other[8].returns  # type: ignore[union-attr]
    assert first[7].transitions >= 8 * 20  # type: ignore[union-attr]


def test_evaluating_in_between_changes_nothing_in_training() -> None:
    spec, model, settings = parts()
    undisturbed, disturbed = (build_agent(spec, model, settings) for _ in range(2))
    for agent, evaluates in ((undisturbed, False), (disturbed, True)):
        agent.set_logger(silent_logger())
        agent.set_random_seed(settings.seed)
        for _ in rollouts(agent, 300):
            if evaluates:
                evaluate_agent(agent, model, settings)
    assert same(weights(undisturbed), weights(disturbed))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_evaluation_does_not_depend_on_the_batch(algorithm: str) -> None:
    """Fault 10: a recurrent manager's memory follows its own episode, whoever decides when."""
    agent = manager(f"agent_algorithm={algorithm}")
    list(rollouts(agent, 200))
    model = clinic_env(agent).model
    wide, narrow = (
        evaluate(policy_of(agent), model, episodes=5, seed=1, per_step=True, max_batch=width)
        for width in (5, 2)
    )
    assert np.array_equal(wide.decisions["option"], narrow.decisions["option"])
    assert np.array_equal(wide.returns, narrow.returns)


def test_a_recurrent_manager_is_evaluated_with_its_memory() -> None:
    agent = manager("agent_algorithm=hrl_rppo")
    asked: list[tuple[Any, Any]] = []
    predict = agent.predict

    def watched(observation: Any, state: Any, episode_start: Any, deterministic: bool) -> Any:
        asked.append((state, np.array(episode_start)))
        return predict(observation, state, episode_start, deterministic)

    agent.predict = watched
    evaluate(policy_of(agent), clinic_env(agent).model, episodes=3, seed=1)
    assert asked[0][0] is None
    assert asked[0][1].all()
    for state, start in asked[1:]:
        assert not start.any()
        assert all(part.shape[1] == len(start) and np.abs(part).sum() > 0 for part in state)


# --- decisions that are cut ----------------------------------------------------------------------

MASKED = "hrl.exclude_clipped_decisions_from_training=true"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_masked_decisions_have_no_part_in_the_update(algorithm: str) -> None:
    def learned(change: float, *more: str) -> list[torch.Tensor]:
        agent = manager(f"agent_algorithm={algorithm}", "agent_algorithm.n_steps=48", *more)
        agent.set_random_seed(0)
        reported = collect(agent)
        cut = np.array([[i["option_clipped"] for i in one["infos"]] for one in reported])
        assert 0 < cut.sum() < cut.size / 2
        assert np.array_equal(agent.rollout_buffer.included, ~cut if more else np.ones_like(cut))
        agent.rollout_buffer.advantages[cut] += change
        agent.rollout_buffer.returns[cut] -= change
        agent.train()
        return weights(agent)

    assert same(learned(0.0, MASKED), learned(100.0, MASKED))
    assert not same(learned(0.0), learned(100.0))
    assert not same(learned(0.0), learned(0.0, MASKED))


def test_every_decision_that_counts_is_a_sample_once_an_epoch() -> None:
    agent = manager("agent_algorithm.n_steps=48", MASKED)
    collect(agent)
    buffer = agent.rollout_buffer
    expected = np.sort(buffer.returns[buffer.included])
    for _ in range(2):
        samples = np.concatenate([s.returns.numpy() for s in buffer.get(8)])
        assert np.array_equal(np.sort(samples), expected)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_rollout_of_nothing_but_cut_decisions_says_so(algorithm: str) -> None:
    only = "option_library.options={too_long: {type: block, antibiotic: A, duration: 50}}"
    agent = manager(f"agent_algorithm={algorithm}", f"~{only.split('=')[0]}", f"+{only}", MASKED)
    with pytest.raises(InputError, match="exclude_clipped_decisions_from_training leaves nothing"):
        list(rollouts(agent, 100))


# --- discounts reach the manager -----------------------------------------------------------------


def env_of(*overrides: str) -> ManagerVecEnv:
    env = clinic_env(manager(*overrides))
    assert isinstance(env, ManagerVecEnv)
    return env


def test_the_option_gamma_is_the_agents_gamma_unless_it_has_its_own() -> None:
    assert env_of("agent_algorithm.gamma=0.97").option_gamma == 0.97
    assert env_of("agent_algorithm.one_minus_gamma=0.25").option_gamma == 0.75
    assert env_of("agent_algorithm.gamma=0.97", "hrl.option_gamma=0.9").option_gamma == 0.9


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_searched_option_gamma_is_read_back_from_the_managers_environment(
    algorithm: str,
) -> None:
    def build(values: Any) -> Any:
        given = [f"{path}={value}" for path, value in values.items()]
        return OnPolicyAgent(manager(f"agent_algorithm={algorithm}", *given))

    found = find_read_back(
        build, {"hrl.option_gamma": (0.95, 0.999), "agent_algorithm.gamma": (0.95, 0.999)}
    )
    assert found == {
        "hrl.option_gamma": "environment.option_gamma",
        "agent_algorithm.gamma": "gamma",
    }
    assert build({"hrl.option_gamma": 0.95}).snapshot()["environment.option_gamma"] == 0.95
    assert build({"agent_algorithm.gamma": 0.96}).snapshot()["buffer.gamma"] == 0.96


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_normalised_managers_learn_and_are_evaluated_on_normalised_observations(
    algorithm: str,
) -> None:
    agent = manager(f"agent_algorithm={algorithm}", "training.vec_normalize.enabled=true")
    list(rollouts(agent, 100))
    statistics = agent.get_vec_normalize_env()
    before = statistics.obs_rms.mean.copy()
    played = evaluate(policy_of(agent), clinic_env(agent).model, episodes=3, seed=0)
    assert np.isfinite(played.returns).all()
    assert np.array_equal(before, statistics.obs_rms.mean)


def test_the_logged_returns_are_undiscounted_and_their_length_primitive() -> None:
    spec_parts: Parts = parts("hrl.option_gamma=0.1")
    agent = build_agent(*spec_parts)
    agent.set_logger(silent_logger())
    total = transitions_of(8, spec_parts[1].max_time_steps, spec_parts[2].n_envs)
    list(rollouts(agent, total))
    logged = list(agent.ep_info_buffer or [])
    assert {info["l"] for info in logged} == {20}
    assert max(abs(info["r"]) for info in logged) > 1.0


# --- flat agents may see the same ----------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ppo", "recurrent_ppo"])
def test_flat_agents_see_previous_prescriptions_when_asked(algorithm: str) -> None:
    flat = (
        "agent_algorithm.n_steps=16",
        "environment.num_patients_per_time_step=1",
        "environment.max_time_steps=8",
        "training.n_envs=2",
    )
    from abx_amr.configuration.agent import build_learner
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.training import build_training

    def shown(*more: str) -> tuple[str, ...]:
        config = compose(
            "train",
            [f"agent_algorithm={algorithm}", *flat, *more],
        ).plain
        model = build_clinic(config)
        agent = build_agent(build_learner(config), model, build_training(config))
        agent.set_logger(silent_logger())
        list(rollouts(agent, 16))
        assert agent.observation_space.shape == (model.layout.size,)
        return model.layout.names

    plain = shown()
    previous = shown("environment.include_previous_action=true")
    assert [n for n in previous if n not in plain] == [
        f"patient[0].previous_action[{t}]" for t in ("A", "B", "no_treatment")
    ]
    temporal = shown("environment.temporal_windows=[5,20]")
    assert sum("prescribed_fraction" in name for name in temporal) == 4
    assert sum("visible_amr_change" in name for name in temporal) == 2
