"""Agents learn exactly as long as asked, by SB3's own algorithm, reproducibly to the bit."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.learner import OnPolicyLearner
from abx_amr.agents.learners.on_policy.policies import evaluate_agent
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.learners.on_policy.together import is_covered
from abx_amr.agents.settings import TrainingSettings, transitions_of
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.errors import InputError
from abx_amr.simulator.model import ClinicModel
from abx_amr.tuning.scoring import SeedScore, train_and_score

SMALL = (
    "environment.max_time_steps=20",
    "training.n_envs=4",
    "training.num_eval_episodes=4",
    "training.total_num_training_episodes=25",
    "agent_algorithm.n_steps=40",
    "agent_algorithm.policy_kwargs.net_arch=[8]",
)


def parts(*overrides: str) -> tuple[OnPolicyLearner, ClinicModel, TrainingSettings]:
    torch.set_num_threads(1)
    config = compose("train", [*SMALL, *overrides]).plain
    return (
        build_learner(config),
        build_clinic(config),
        build_training(config),
    )


#: The library's own learning: a constant rate, and none of our techniques.
PLAIN = ("final_learning_rate=null", "final_ent_coef=null", "normalize_reward=false")


def agent_of(*overrides: str) -> OnPolicyAlgorithm:
    own = () if any("recurrent" in o or "a2c" in o for o in overrides) else PLAIN
    agent = build_agent(*parts(*(f"agent_algorithm.{o}" for o in own), *overrides))
    agent.set_logger(silent_logger())
    return agent


def score_of(
    spec: OnPolicyLearner, model: ClinicModel, settings: TrainingSettings, seed: int
) -> SeedScore:
    score = train_and_score(spec, model, settings, seeds=[seed], searched={})[seed]
    assert isinstance(score, SeedScore), score
    return score


def weights(agent: OnPolicyAlgorithm) -> list[Any]:
    return [p.detach().clone() for p in agent.policy.parameters()]


def same(first: list[Any], second: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_whole_rollouts_are_sb3s_own_learning_to_the_bit() -> None:
    ours = agent_of()
    assert list(rollouts(ours, 120)) == [40, 80, 120]
    theirs = agent_of()
    theirs.learn(120)
    assert same(weights(ours), weights(theirs))


def test_schedules_fall_over_the_whole_training_as_in_sb3() -> None:
    ours = agent_of("agent_algorithm=ppo_linear")
    list(rollouts(ours, 120))
    theirs = agent_of("agent_algorithm=ppo_linear")
    theirs.learn(120)
    assert same(weights(ours), weights(theirs))


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "recurrent_ppo"])
def test_the_last_rollout_is_shortened_and_learned_from(algorithm: str) -> None:
    agent = agent_of(f"agent_algorithm={algorithm}", "agent_algorithm.n_steps=40")
    steps = rollouts(agent, 100)
    assert next(steps) == 40
    assert next(steps) == 80
    before = weights(agent)
    assert list(steps) == [100]
    assert not same(before, weights(agent))
    assert agent.n_steps == 10  # per environment, as before


def test_a_run_shorter_than_one_rollout_still_learns() -> None:
    agent = agent_of("agent_algorithm.n_steps=2048")
    before = weights(agent)
    assert list(rollouts(agent, 20)) == [20]
    assert not same(before, weights(agent))


def test_learning_nothing_is_an_error() -> None:
    agent = agent_of()
    list(rollouts(agent, 40))
    with pytest.raises(InputError, match="nothing to learn"):
        list(rollouts(agent, 40))


def test_the_length_is_rounded_up_to_whole_steps_of_all_environments() -> None:
    _, model, _ = parts("environment.max_time_steps=500")
    assert transitions_of(25, model.max_time_steps, 8) == 12_504
    assert transitions_of(24, model.max_time_steps, 8) == 12_000


@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "recurrent_ppo"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(algorithm: str) -> None:
    spec, model, settings = parts(
        f"agent_algorithm={algorithm}", "agent_algorithm.n_steps=40", "training.seed=7",
        "training.total_num_training_episodes=4",
    )  # fmt: skip
    first, again, other = (score_of(spec, model, settings, seed) for seed in (7, 7, 8))
    assert first.returns == again.returns
    assert first.returns != other.returns


@pytest.mark.parametrize("changes", [(), ("training.vec_normalize.enabled=true",)])
@pytest.mark.parametrize("algorithm", ["ppo", "a2c", "recurrent_ppo"])
def test_a_seed_scores_the_same_whichever_seeds_are_scored_beside_it(
    algorithm: str, changes: tuple[str, ...]
) -> None:
    spec, model, settings = parts(
        f"agent_algorithm={algorithm}", "agent_algorithm.n_steps=40",
        "training.total_num_training_episodes=4", *changes,
    )  # fmt: skip
    together = train_and_score(spec, model, settings, seeds=[5, 7, 9], searched={})
    alone = score_of(spec, model, settings, 7)
    assert list(together) == [5, 7, 9]
    beside = together[7]
    assert isinstance(beside, SeedScore)
    assert beside.returns == alone.returns


def test_a_seed_s_score_is_what_its_saved_agent_is_evaluated_to() -> None:
    spec, model, settings = parts("training.total_num_training_episodes=4")
    score = score_of(spec, model, settings, 7)
    agent = build_agent(spec, model, replace(settings, seed=7))
    agent.set_logger(silent_logger())
    trainer = spec.trainer([OnPolicyAgent(agent)], settings)
    list(trainer.rollouts(80))
    trainer.publish()
    assert tuple(evaluate_agent(agent, model, settings).returns) == score.returns


def test_a_seed_that_fails_leaves_the_others_their_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, model, settings = parts("training.total_num_training_episodes=2")
    alone = score_of(spec, model, settings, 7)

    def broken(made: OnPolicyLearner, model: ClinicModel, settings: TrainingSettings) -> Any:
        if settings.seed == 5:
            raise MemoryError("no room")
        return build_agent(made, model, settings)

    monkeypatch.setattr("abx_amr.agents.learners.on_policy.learner.build_agent", broken)
    scores = train_and_score(spec, model, settings, seeds=[5, 7], searched={})
    assert isinstance(scores[5], MemoryError)
    fine = scores[7]
    assert isinstance(fine, SeedScore)
    assert fine.returns == alone.returns


def test_a_learning_rate_that_diverges_is_a_failure_of_its_seeds_with_a_reason() -> None:
    spec, model, settings = parts(
        "agent_algorithm.learning_rate=1e30", "training.total_num_training_episodes=4"
    )
    scores = train_and_score(spec, model, settings, seeds=[5, 7], searched={})
    assert all("no longer finite" in str(score) for score in scores.values())


def test_what_the_seed_batched_trainer_does_not_cover_is_said_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    _, _, settings = parts()
    agent = agent_of("agent_algorithm.policy_kwargs.activation_fn=torch.nn.GELU")
    assert not is_covered(agent, settings)
    assert not is_covered(agent, settings)
    output = [r.message for r in caplog.records if "one after the other" in r.message]
    assert len(output) == 1
    assert "GELU" in output[0]
    assert is_covered(agent_of(), settings)
    assert not is_covered(agent_of(), replace(settings, seed_batched=False))


def test_evaluating_in_between_changes_nothing_in_training() -> None:
    spec, model, settings = parts()
    undisturbed, disturbed = (build_agent(spec, model, settings) for _ in range(2))
    for agent, evaluates in ((undisturbed, False), (disturbed, True)):
        agent.set_logger(silent_logger())
        agent.set_random_seed(settings.seed)
        for _ in rollouts(agent, 120):
            if evaluates:
                evaluate_agent(agent, model, settings)
    assert same(weights(undisturbed), weights(disturbed))


def test_a_trial_is_scored_on_the_episodes_of_the_evaluation_seed_alone() -> None:
    spec, model, settings = parts("training.total_num_training_episodes=2")
    score = score_of(spec, model, settings, settings.seed)
    assert len(score.returns) == settings.num_eval_episodes
    assert score.episode_return == pytest.approx(np.mean(score.returns))
    assert score.transitions == 40


def test_the_time_limit_is_a_truncation_that_bootstraps() -> None:
    agent = agent_of()
    env = agent.get_env()
    assert env is not None
    env.reset()
    actions = np.zeros((4, 5), dtype=np.int64)
    for _ in range(20):
        _, _, dones, infos = env.step(actions)
    assert dones.all()
    assert all(i["TimeLimit.truncated"] and "terminal_observation" in i for i in infos)


def test_a_batch_larger_than_the_rollout_is_clipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = agent_of("agent_algorithm.batch_size=64")
    assert isinstance(agent, PPO)
    assert agent.batch_size == 40
    assert "clipped" in caplog.text


def test_normalised_agents_are_evaluated_on_normalised_observations() -> None:
    spec, model, settings = parts("training.vec_normalize.enabled=true")
    agent = build_agent(spec, model, settings)
    agent.set_logger(silent_logger())
    list(rollouts(agent, 80))
    statistics = agent.get_vec_normalize_env()
    assert statistics is not None
    before = statistics.obs_rms.mean.copy()
    first = evaluate_agent(agent, model, settings)
    assert np.array_equal(before, statistics.obs_rms.mean)  # frozen while evaluating
    statistics.obs_rms.mean = before + 5.0
    assert not np.array_equal(first.returns, evaluate_agent(agent, model, settings).returns)


def test_building_and_training_together_loads_neither_torchs_compiler_nor_scipys_statistics() -> (
    None
):
    script = (
        "import sys; from tests.agents.test_learning import parts; "
        "from abx_amr.tuning.scoring import train_and_score; "
        "scores = train_and_score(*parts(), seeds=[1, 2], searched={}); "
        "assert scores[2].transitions == 500; "
        "print([m for m in ('torch._dynamo', 'scipy.stats', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
