"""SB3's off-policy loop, one update at a time, ending exactly where it is told to."""

from __future__ import annotations

from collections.abc import Iterator

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from abx_amr.errors import InputError

#: Episodes between two lines of the log.
LOG_EVERY = 8


def updates(agent: OffPolicyAlgorithm, transitions: int) -> Iterator[int]:
    """Learn until the agent has seen `transitions`; yield the count after each rollout.

    SB3's own `learn`, except that the last rollout is shortened so that learning ends exactly at
    `transitions`. Before `learning_starts` a rollout only fills the buffer.

    Raises:
        InputError: nothing is left to learn.
    """
    remaining = transitions - agent.num_timesteps
    if remaining < 1:
        raise InputError(
            f"nothing to learn: the agent has seen {agent.num_timesteps} transitions "
            f"and training ends at {transitions}"
        )
    is_fresh = agent.num_timesteps == 0
    _, callback = agent._setup_learn(remaining, None, reset_num_timesteps=is_fresh)
    env, buffer, asked = agent.env, agent.replay_buffer, agent.train_freq
    assert env is not None
    assert buffer is not None
    assert isinstance(asked, TrainFreq)
    while agent.num_timesteps < transitions:
        steps = min(asked.frequency, (transitions - agent.num_timesteps) // env.num_envs)
        rollout = agent.collect_rollouts(
            env,
            callback,
            TrainFreq(steps, TrainFrequencyUnit.STEP),
            buffer,
            learning_starts=agent.learning_starts,
            log_interval=LOG_EVERY,
        )
        if agent.num_timesteps > agent.learning_starts:
            is_whole = agent.gradient_steps < 0
            count = rollout.episode_timesteps if is_whole else agent.gradient_steps
            agent.train(batch_size=agent.batch_size, gradient_steps=count)
        yield agent.num_timesteps
