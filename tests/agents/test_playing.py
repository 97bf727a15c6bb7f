"""Agents of the library play in compiled code, and do what the library's `predict` does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.on_policy.building import clinic_env
from abx_amr.agents.learners.on_policy.learner import OnPolicyLearner
from abx_amr.agents.learners.on_policy.policies import TrainedPolicy, policy_of
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.playing import ComputedPolicy, quick
from abx_amr.agents.settings import TrainingSettings
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.classes import locate
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import available
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.episodes import Evaluation, Policy, evaluate
from abx_amr.evaluation.recording import PlaysAlone
from abx_amr.simulator.model import ClinicModel
from tests.examples.own_components import CuresOnly

SMALL = (
    "environment.max_time_steps=30",
    "training.n_envs=4",
    "patient_generator=mixed_risk",
)


def is_on_policy(name: str) -> bool:
    target = compose("train", [f"agent_algorithm={name}"]).plain["agent_algorithm"]["_target_"]
    made = locate(target, key="agent_algorithm._target_")
    return isinstance(made, type) and issubclass(made, OnPolicyAlgorithm)


#: Written out: to compose while tests are collected has Hydra find its plugins before pytest does.
SHIPPED = (
    "a2c",
    "hrl_ppo",
    "hrl_rppo",
    "ppo",
    "ppo_linear",
    "ppo_tutorial",
    "recurrent_ppo",
)
MORE = {
    "normalised": ("agent_algorithm=ppo_tutorial", "training.vec_normalize.enabled=true"),
    "log levels": ("agent_algorithm.sees_log_levels=true",),
    "for a cohort": (
        "agent_algorithm.patients_share_network=true",
        "environment.include_previous_action=true",
    ),
    "relu": ("agent_algorithm.policy_kwargs.activation_fn=torch.nn.ReLU",),
    "without hidden layers": ("agent_algorithm.policy_kwargs.net_arch=[]",),
}
AGENTS = {name: (f"agent_algorithm={name}",) for name in SHIPPED} | MORE


def built(*overrides: str) -> tuple[OnPolicyAlgorithm, ClinicModel]:
    """Return an agent that has learned a little, and its clinic."""
    torch.set_num_threads(1)
    config = compose("train", [*SMALL, *overrides]).plain
    config["agent_algorithm"]["n_steps"] = 40
    model, settings = build_clinic(config), build_training(config)
    learner = build_learner(config)
    assert isinstance(learner, OnPolicyLearner)
    agent = learned(learner, model, settings)
    head, generator = agent.policy.action_net, torch.Generator().manual_seed(1)
    with torch.no_grad():  # what has hardly learned would do one thing for all
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator))
        head.bias.zero_()
    return agent, model


def learned(
    learner: OnPolicyLearner, model: ClinicModel, settings: TrainingSettings
) -> OnPolicyAlgorithm:
    agent = learner.build(model, settings)
    agent.log_to(None)
    trainer = learner.trainer([agent], settings)
    for _ in trainer.rollouts(160):
        pass
    trainer.publish()
    return agent.algorithm


def plainly(agent: OnPolicyAlgorithm) -> Policy:
    """Return an agent as a policy that the library alone computes."""
    return clinic_env(agent).prescriber(TrainedPolicy(agent, agent.get_vec_normalize_env()))


def assert_same(one: Evaluation, other: Evaluation) -> None:
    for part in ("episodes", "per_step", "per_patient"):
        expected, found = getattr(one, part), getattr(other, part)
        assert list(expected) == list(found)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


class Watched:
    """An agent whose `predict` keeps what it is asked: observation, hidden states, start."""

    def __init__(self, agent: OnPolicyAlgorithm) -> None:
        self.asked: list[tuple[np.ndarray, Any, np.ndarray]] = []
        predict = agent.predict

        def watched(observation: Any, state: Any, start: Any, deterministic: bool) -> Any:
            states = None if state is None else [part.copy() for part in state]
            self.asked.append((observation.copy(), states, np.array(start)))
            return predict(observation, state, start, deterministic)

        agent.predict = watched  # type: ignore[method-assign, assignment]


def test_every_shipped_on_policy_agent_is_among_them() -> None:
    assert [name for name in available("agent_algorithm") if is_on_policy(name)] == list(SHIPPED)


@pytest.mark.parametrize("name", AGENTS)
def test_episodes_are_those_of_the_library_to_the_bit(name: str) -> None:
    agent, model = built(*AGENTS[name])
    for seed in (0, 1):
        played = evaluate(policy_of(agent), model, episodes=6, seed=seed, trajectories=True)
        theirs = evaluate(plainly(agent), model, episodes=6, seed=seed, trajectories=True)
        assert_same(theirs, played)
        assert len(np.unique(played.per_patient["actions"])) > 1  # type: ignore[index]


@pytest.mark.parametrize("name", ["ppo", "a2c", "ppo_tutorial", "recurrent_ppo"])
def test_the_library_is_seldom_asked(name: str) -> None:
    agent, model = built(f"agent_algorithm={name}")
    watched = Watched(agent)
    evaluate(policy_of(agent), model, episodes=6, seed=0)
    assert len(watched.asked) <= 3  # of 30 steps, each of 6 episodes with 5 patients


def test_a_clinic_that_is_not_compiled_is_played_step_by_step() -> None:
    agent, model = built()
    own = replace(model, reward=CuresOnly(antibiotics=model.antibiotics))
    played = evaluate(policy_of(agent), own, episodes=3, seed=0, trajectories=True)
    assert_same(evaluate(plainly(agent), own, episodes=3, seed=0, trajectories=True), played)


def test_categories_too_near_to_be_told_apart_are_left_to_the_library() -> None:
    agent, model = built()
    with torch.no_grad():
        head = agent.policy.action_net
        for parameter in (head.weight, head.bias):
            parameter[1::3] = parameter[0::3]  # both antibiotics of each patient
    expected = evaluate(plainly(agent), model, episodes=4, seed=0, trajectories=True)
    policy, watched = policy_of(agent), Watched(agent)
    played = evaluate(policy, model, episodes=4, seed=0, trajectories=True)
    assert_same(expected, played)
    assert watched.asked


def test_a_recurrent_agent_that_is_asked_late_has_seen_all_before() -> None:
    agent, model = built("agent_algorithm=recurrent_ppo")
    with torch.no_grad():
        head = agent.policy.action_net
        for parameter in (head.weight, head.bias):
            parameter[1::3] = parameter[0::3]  # both antibiotics of each patient
    watched = Watched(agent)
    expected = evaluate(plainly(agent), model, episodes=2, seed=3, trajectories=True)
    every, watched.asked = watched.asked, []
    played = evaluate(policy_of(agent), model, episodes=2, seed=3, trajectories=True)
    assert_same(expected, played)
    assert 0 < len(watched.asked) <= len(every)
    for theirs, ours in zip(every, watched.asked, strict=False):
        np.testing.assert_array_equal(theirs[0], ours[0])
        assert (theirs[1] is None) == (ours[1] is None)
        for one, other in zip(theirs[1] or (), ours[1] or (), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(theirs[2], ours[2])


def test_scores_are_told_apart_well_above_their_errors() -> None:
    agent, model = built("agent_algorithm=ppo")
    generator = np.random.default_rng(0)
    seen = generator.random((500, model.layout.size)).astype(np.float32)
    decider = ComputedPolicy(TrainedPolicy(agent))._now()
    scores = np.empty((int(decider.choices.sum()), len(seen)), np.float32)
    sizes = np.empty((1, len(seen)), np.float32)
    nothing = np.empty((len(seen), 0), np.float32)
    compiled.scores_of(decider, seen.T.copy(), nothing, scores, sizes)
    with torch.no_grad():
        latent = agent.policy.mlp_extractor.forward_actor(torch.from_numpy(seen))
        theirs = agent.policy.action_net(latent).numpy()
    errors = np.abs(scores.T - theirs).max(axis=1) / sizes[0]
    assert errors.max() < compiled.NEAR / 10


def test_a_policy_plays_the_weights_that_its_agent_has_when_it_plays() -> None:
    agent, model = built()
    policy = policy_of(agent)
    before = evaluate(policy, model, episodes=2, seed=0, trajectories=True)
    with torch.no_grad():
        agent.policy.action_net.weight.zero_()
        agent.policy.action_net.bias.copy_(torch.tensor([9.0, 0.0, 0.0] * 5))
    after = evaluate(policy, model, episodes=2, seed=0, trajectories=True)
    assert (after.per_patient["actions"] == 0).all()  # type: ignore[index]
    assert_same(evaluate(plainly(agent), model, episodes=2, seed=0, trajectories=True), after)
    assert (before.per_patient["actions"] != 0).any()  # type: ignore[index]
    watched = Watched(agent)
    observation = np.zeros((3, model.layout.size), np.float32)
    assert (policy.predict(observation, deterministic=True)[0] == 0).all()
    assert not watched.asked


def test_networks_that_are_not_known_are_left_to_the_library() -> None:
    agent, model = built("agent_algorithm.policy_kwargs.activation_fn=torch.nn.ELU")
    trained = TrainedPolicy(agent)
    assert quick(trained) is trained
    assert not isinstance(policy_of(agent), PlaysAlone)
    assert isinstance(OnPolicyAgent(agent).policy(), TrainedPolicy)
    assert evaluate(policy_of(agent), model, episodes=2, seed=0).returns.shape == (2,)
