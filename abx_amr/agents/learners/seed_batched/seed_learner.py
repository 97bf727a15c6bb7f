"""One seed of the trainer: its agent, parameters, streams, and the rollout that it learns from.

Shapes: S seeds, E environments of a seed, T steps of a rollout, N = T * E, Q parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.utils import explained_variance

from abx_amr.agents.entropy import note_entropy
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.networks import (
    Networks,
    read_adam,
    read_parameters,
)
from abx_amr.agents.learners.seed_batched.value_targets import ValueScale
from abx_amr.agents.techniques import techniques_of
from abx_amr.errors import InputError
from abx_amr.rng import stream_states

Floats32 = NDArray[np.float32]

ACTIONS_STREAM = ("training", "actions")
MINIBATCHES_STREAM = ("training", "minibatches")


class SeedFailedError(InputError):
    """A seed's training cannot go on; the others' can."""


class SeedLearner:
    """One seed: its agent, parameters, optimiser and streams.

    Attributes:
        agent: The SB3 agent that receives everything on `SeedBatchedPPO.publish`.
        theta: Parameters (Q,), a row of all seeds'.
        adam: The optimiser's memory.
        minibatches: The stream that orders minibatches, (4,).
        failure: Why the seed cannot go on, None while it can.
        value_scale: Of its value targets; None: they are learned as they are.
    """

    def __init__(self, agent: PPO, streams: Mapping[str, NDArray[np.uint64]] | None) -> None:
        self.agent = agent
        self.theta: Floats32 = read_parameters(agent)
        adam = read_adam(agent)
        self.mean, self.square = adam.mean, adam.square
        self.count = np.array([adam.count], dtype=np.int64)
        seed = int(agent.seed or 0)
        self.actions = stream_states(seed, *ACTIONS_STREAM, count=1)[0]
        self.minibatches = stream_states(seed, *MINIBATCHES_STREAM, count=1)[0]
        if streams is not None:
            self.actions[:] = streams["actions"]
            self.minibatches[:] = streams["minibatches"]
        separately = techniques_of(agent).clip_gradients_separately
        self._clipped_alone = Networks.of(agent).policy_size if separately else 0
        self.value_scale: ValueScale | None = None
        if techniques_of(agent).normalize_value_targets:
            self.value_scale = ValueScale(agent, Networks.of(agent))
        self.failure: SeedFailedError | None = None
        self.settings = np.zeros(compiled.NUM_SETTINGS)
        self.statistics = np.zeros(compiled.NUM_STATISTICS)
        self.epochs_left = 0
        self.rollout: Rollout | None = None

    def begin_update(self, rollout: Rollout) -> None:
        """Take the rollout to learn from and this update's learning rate and clip ranges."""
        agent, now = self.agent, self.agent._current_progress_remaining
        adam = agent.policy.optimizer.param_groups[0]
        clip, clip_value = agent.clip_range, agent.clip_range_vf
        assert callable(clip)
        assert clip_value is None or callable(clip_value)
        self.settings[:] = [
            agent.lr_schedule(now),
            clip(now),
            -1.0 if clip_value is None else clip_value(now),
            agent.ent_coef,
            agent.vf_coef,
            agent.max_grad_norm,
            np.inf if agent.target_kl is None else agent.target_kl,
            float(agent.normalize_advantage),
            *adam["betas"],
            adam["eps"],
            self._clipped_alone,
        ]
        if self.value_scale is not None:
            self.value_scale.follow(rollout.returns, self.theta)
            rollout.returns = self.value_scale.scaled(rollout.returns)
            rollout.values = self.value_scale.scaled(rollout.values)
        self.rollout = rollout
        self.epochs_left = agent.n_epochs

    def fail(self) -> None:
        """Note that the loss is no longer finite, so that nothing more can be learned."""
        self.failure = SeedFailedError(
            f"the loss is no longer finite after {self.agent.num_timesteps} transitions "
            f"(learning rate {self.settings[compiled.LEARNING_RATE]:g}): "
            "lower agent_algorithm.learning_rate"
        )

    def record(self) -> None:
        """Log the update under SB3's names; losses are the last epoch's means."""
        rollout, logger = self.rollout, self.agent.logger
        assert rollout is not None
        means = self.statistics / max(1.0, self.statistics[compiled.MINIBATCHES])
        for name, at in (
            ("entropy_loss", compiled.ENTROPY_LOSS),
            ("policy_gradient_loss", compiled.POLICY_LOSS),
            ("value_loss", compiled.VALUE_LOSS),
            ("approx_kl", compiled.KL),
            ("clip_fraction", compiled.CLIPPED),
        ):
            logger.record(f"train/{name}", means[at])
        note_entropy(self.agent, -float(means[compiled.ENTROPY_LOSS]))
        logger.record("train/loss", self.statistics[compiled.LOSS])
        logger.record(
            "train/explained_variance", explained_variance(rollout.values, rollout.returns)
        )
        logger.record("train/learning_rate", self.settings[compiled.LEARNING_RATE])
        logger.record("train/clip_range", self.settings[compiled.CLIP])
        logger.record("train/n_updates", self.agent._n_updates, exclude="tensorboard")


class Rollout:
    """What one seed learns from: N transitions, environment by environment."""

    def __init__(self, buffer: Buffer, seed: int, num_envs: int) -> None:
        """Copy the seed's columns of the buffer."""
        columns = slice(seed * num_envs, (seed + 1) * num_envs)

        def flat(values: NDArray[Any]) -> NDArray[Any]:
            of_seed = values[:, columns].swapaxes(0, 1)
            return np.ascontiguousarray(of_seed).reshape(len(values) * num_envs, *values.shape[2:])

        self.observations: Floats32 = flat(buffer.observations)
        self.actions: NDArray[np.int64] = flat(buffer.actions)
        self.log_probs: Floats32 = flat(buffer.log_probs)
        self.values: Floats32 = flat(buffer.values)
        self.advantages: Floats32 = flat(buffer.advantages)
        self.returns: Floats32 = flat(buffer.returns)
        self.starts: Floats32 = flat(buffer.starts)
        self.memory: Floats32 = flat(buffer.memory)
        self.included: NDArray[np.int32] = np.flatnonzero(flat(buffer.included)).astype(np.int32)
        self.primitive_steps = int(buffer.durations[:, columns].sum())


class Buffer:
    """T steps of S * E environments."""

    def __init__(self, steps: int, rows: int, width: int, networks: Networks) -> None:
        self.observations = np.empty((steps, rows, width), np.float32)
        self.memory = np.empty((steps, rows, networks.memory_size), np.float32)
        self.actions = np.empty((steps, rows, len(networks.choices)), np.int64)
        for name in ("log_probs", "values", "rewards", "starts", "advantages", "returns"):
            setattr(self, name, np.empty((steps, rows), np.float32))
        self.durations = np.ones((steps, rows), np.int64)
        self.included = np.ones((steps, rows), np.bool_)

    log_probs: Floats32
    values: Floats32
    rewards: Floats32
    starts: Floats32
    advantages: Floats32
    returns: Floats32
