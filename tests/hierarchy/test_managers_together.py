"""Managers in the seed-batched trainer: semi-Markov returns, masks and budgets as in the buffer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.policies import evaluate_agent
from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.learners.seed_batched import trainer as room
from abx_amr.agents.learners.seed_batched.networks import read_parameters, why_not_covered
from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO
from abx_amr.tuning.scoring import train_and_score
from tests.hierarchy.conftest import manager, parts

EXCLUDES = "hrl.exclude_clipped_decisions_from_training=true"


def trained(seeds: list[int], steps: int, *overrides: str) -> list[Any]:
    spec, model, settings = parts(*overrides)
    agents: Any = [build_agent(spec, model, replace(settings, seed=seed)) for seed in seeds]
    for agent in agents:
        agent.set_logger(silent_logger())
    trainer = SeedBatchedPPO(agents)
    list(trainer.rollouts(steps))
    trainer.publish()
    return agents


@pytest.mark.parametrize("masks", [(), (EXCLUDES,)])
def test_a_rollout_becomes_what_the_semi_markov_buffer_makes_of_it(
    masks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = manager(*masks)
    buffers: list[Any] = []
    collect = SeedBatchedPPO._collect

    def kept(self: SeedBatchedPPO, length: int) -> Any:
        buffers.append(collect(self, length))
        return buffers[-1]

    monkeypatch.setattr(room.SeedBatchedPPO, "_collect", kept)
    trainer = SeedBatchedPPO([agent])
    before = read_parameters(agent)
    next(iter(trainer.rollouts(10_000)))
    ours, theirs = buffers[0], manager(*masks).rollout_buffer
    last: Any = torch.as_tensor(np.zeros(agent.n_envs, np.float32))
    # The same decisions told to the buffer, value by value, by the policy that made them.
    with torch.no_grad():
        world = manager(*masks)
        assert np.array_equal(read_parameters(world), before)
        world._setup_learn(10_000, None)
        env: Any = world.get_env()
        seen = world._last_obs
        starts = np.ones(agent.n_envs, bool)
        for t in range(agent.n_steps):
            actions = ours.actions[t, :, 0]
            np.testing.assert_array_equal(ours.observations[t], seen)
            tensor = torch.as_tensor(np.asarray(seen))
            values, log_probs, _ = world.policy.evaluate_actions(tensor, torch.as_tensor(actions))
            seen, rewards, dones, infos = env.step(actions)
            terminal = np.zeros(agent.n_envs, np.float32)
            for e in np.flatnonzero(dones):
                row = torch.as_tensor(infos[e]["terminal_observation"][None])
                terminal[e] = world.policy.predict_values(row).item()
            clipped = np.array([info["option_clipped"] for info in infos])
            theirs.record(
                durations=[info["duration"] for info in infos],
                ended=dones,
                terminal_values=terminal,
                included=~clipped if masks else np.ones_like(clipped),
            )
            theirs.add(
                ours.observations[t], actions[:, None], rewards, starts, values.flatten(), log_probs
            )
            starts = dones
        last = world.policy.predict_values(torch.as_tensor(np.asarray(seen)))
        theirs.compute_returns_and_advantage(last, dones)
    assert theirs.durations.max() > 1
    assert theirs.ended.any()
    np.testing.assert_array_equal(ours.durations, theirs.durations)
    np.testing.assert_array_equal(ours.included, theirs.included)
    assert bool(masks) == (not theirs.included.all())
    np.testing.assert_allclose(ours.advantages, theirs.advantages, atol=1e-4)
    np.testing.assert_allclose(ours.returns, theirs.returns, atol=1e-4)


def test_a_manager_learns_the_same_whichever_managers_learn_beside_it() -> None:
    (alone,) = trained([1], 300)
    beside = trained([2, 1, 3], 300)
    assert np.array_equal(read_parameters(alone), read_parameters(beside[1]))
    assert alone.num_timesteps == beside[1].num_timesteps >= 300
    assert [a.num_timesteps for a in beside] != [300, 300, 300]


def test_masked_decisions_change_what_is_learned() -> None:
    (plain,), (masked,) = trained([1], 400), trained([1], 400, EXCLUDES)
    assert not np.array_equal(read_parameters(plain), read_parameters(masked))


def test_managers_are_scored_as_each_alone() -> None:
    spec, model, settings = parts(total_num_training_episodes=5)
    together = train_and_score(spec, model, settings, seeds=[5, 7], searched={})
    alone: Any = train_and_score(spec, model, settings, seeds=[7], searched={})[7]
    beside: Any = together[7]
    assert beside.returns == alone.returns
    (agent,) = trained([7], 100)
    assert tuple(evaluate_agent(agent, model, settings).returns) == alone.returns


def test_recurrent_managers_are_left_to_their_library() -> None:
    reason = why_not_covered(manager("agent_algorithm=hrl_rppo"))
    assert reason is not None
    assert "ManagerRecurrentPPO" in reason
    assert why_not_covered(manager()) is None
