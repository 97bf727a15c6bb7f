"""SB3's on-policy loop, one update at a time, ending exactly where it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.entropy import note_entropy
from abx_amr.agents.roles import role_of
from abx_amr.agents.techniques import apply_schedules
from abx_amr.errors import InputError


def rollouts(
    agent: OnPolicyAlgorithm, transitions: int, *, planned: int | None = None
) -> Iterator[int]:
    """Learn until the agent has seen `transitions`; yield the count after each update.

    SB3's own `learn`, except that the last rollout is shortened so that learning ends exactly at
    `transitions` and that every rollout is learned from. `planned` is the count at which schedules
    end (default: `transitions`). Where decisions last, the rollout's primitive steps are not known
    beforehand: it is not shortened, and learning ends with the first that reaches the count.

    Raises:
        InputError: nothing is left to learn.
    """
    n_envs = agent.n_envs
    remaining = transitions - agent.num_timesteps
    if remaining < 1:
        raise InputError(
            f"nothing to learn: the agent has seen {agent.num_timesteps} transitions "
            f"and training ends at {transitions}"
        )
    fresh = agent.num_timesteps == 0
    full_length, full_buffer = agent.n_steps, agent.rollout_buffer
    _, callback = agent._setup_learn(remaining, None, reset_num_timesteps=fresh)
    env = agent.env
    assert env is not None
    is_shortened = not role_of(agent).decisions_last
    iteration = 0
    while agent.num_timesteps < transitions:
        apply_schedules(agent, planned or transitions)
        length = full_length
        if is_shortened:
            length = min(full_length, (transitions - agent.num_timesteps) // n_envs)
        if length < full_length:
            agent.n_steps, agent.rollout_buffer = length, _shorter(full_buffer, length)
        try:
            agent.collect_rollouts(env, callback, agent.rollout_buffer, n_rollout_steps=length)
            agent._update_current_progress_remaining(agent.num_timesteps, planned or transitions)
            iteration += 1
            agent.dump_logs(iteration)
            agent.train()
            note_entropy(agent, -agent.logger.name_to_value["train/entropy_loss"])
        finally:
            agent.n_steps, agent.rollout_buffer = full_length, full_buffer
        yield agent.num_timesteps


def _shorter(buffer: Any, length: int) -> Any:
    """Return an empty rollout buffer like `buffer` with room for `length` steps."""
    small = object.__new__(type(buffer))
    small.__dict__.update(buffer.__dict__)
    small.buffer_size = length
    if hasattr(buffer, "hidden_state_shape"):
        small.hidden_state_shape = (length, *buffer.hidden_state_shape[1:])
    small.reset()
    return small


def silent_logger() -> Logger:
    """Return a logger that writes nothing."""
    return Logger(folder=None, output_formats=[])
