"""Returns and advantages of decisions that last several steps, and rollout buffers that use them.

    delta_t = R_t + gamma^k V(next observation) - V(observation)
    A_t     = delta_t + gamma^k lambda A_{t+1},   return = A_t + V(observation)

k is the decision's duration in primitive steps, R_t its discounted reward (hrl.md; Sutton, Precup
and Singh 1999). At the end of an episode the chain of advantages is cut, and V(next observation) is
that of the terminal observation, because the end is a truncation.

Shapes: T decisions of each of E environments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback

from abx_amr.errors import InputError

Floats = NDArray[np.float64]


def semi_markov_advantages(
    rewards: ArrayLike,
    values: ArrayLike,
    next_values: ArrayLike,
    *,
    durations: ArrayLike,
    ended: ArrayLike,
    gamma: float,
    gae_lambda: float,
) -> Floats:
    """Return the advantages, shape (T, E).

    >>> semi_markov_advantages(
    ...     [[1.0]], [[2.0]], [[10.0]], durations=[[3]], ended=[[True]], gamma=0.5, gae_lambda=1.0
    ... ).tolist()
    [[0.25]]

    Args:
        rewards: Discounted reward of each decision, (T, E).
        values: V(observation), (T, E).
        next_values: V(next observation), of the terminal one where the episode ended, (T, E).
        durations: Primitive steps, (T, E).
        ended: Whether the episode ended with the decision, (T, E).
        gamma: Discount per primitive step.
        gae_lambda: The lambda of generalised advantage estimation, per decision.
    """
    discount = np.power(gamma, np.asarray(durations, dtype=np.float64))
    value = np.asarray(values, dtype=np.float64)
    delta: Floats = (
        np.asarray(rewards, dtype=np.float64) + discount * np.asarray(next_values) - value
    )
    carried = np.where(np.asarray(ended, dtype=bool), 0.0, discount * gae_lambda)
    advantages: Floats = np.empty_like(delta)
    following: Floats = np.zeros(delta.shape[1:])
    for t in reversed(range(len(delta))):
        following = delta[t] + carried[t] * following
        advantages[t] = following
    return advantages


class _Decisions(RolloutBuffer):
    """What both buffers share: the durations, the ends and the mask of each decision."""

    durations: NDArray[np.int64]
    ended: NDArray[np.bool_]
    terminal_values: NDArray[np.float32]
    included: NDArray[np.bool_]

    def reset(self) -> None:
        """Empty the buffer."""
        shape = (self.buffer_size, self.n_envs)
        self.durations = np.ones(shape, dtype=np.int64)
        self.ended = np.zeros(shape, dtype=bool)
        self.terminal_values = np.zeros(shape, dtype=np.float32)
        self.included = np.ones(shape, dtype=bool)
        super().reset()

    def record(
        self,
        *,
        durations: ArrayLike,
        ended: ArrayLike,
        terminal_values: ArrayLike,
        included: ArrayLike,
    ) -> None:
        """Store what the decision that is added next was, (E,) each; before `add`."""
        self.durations[self.pos] = durations
        self.ended[self.pos] = ended
        self.terminal_values[self.pos] = terminal_values
        self.included[self.pos] = included

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: Any) -> None:
        """Fill `advantages` and `returns` (T, E); the durations say how much is discounted."""
        last = last_values.detach().cpu().numpy().reshape(1, self.n_envs)
        following = np.concatenate([self.values[1:], last])
        self.advantages = semi_markov_advantages(
            self.rewards,
            self.values,
            np.where(self.ended, self.terminal_values, following),
            durations=self.durations,
            ended=self.ended,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        ).astype(np.float32)
        self.returns = self.advantages + self.values
        if not self.included.any():
            raise InputError(
                "hrl.exclude_clipped_decisions_from_training leaves nothing to learn from: the end "
                "of the episode cut every option of the rollout; use shorter options, or false"
            )


class SemiMarkovRolloutBuffer(_Decisions):
    """SB3's rollout buffer for decisions that last; only those included come as samples."""

    def get(self, batch_size: int | None = None) -> Iterator[Any]:  # type: ignore[override]
        """Yield minibatches of the included decisions, in random order.

        What is masked has no part in the losses nor in the advantages' normalisation.
        """
        if self.included.all():
            yield from super().get(batch_size)
            return
        kept = np.flatnonzero(self.swap_and_flatten(self.included))
        everything = next(super().get(None))  # flattens the arrays
        del everything
        order = np.random.permutation(kept)  # noqa: NPY002
        size = batch_size or len(order)
        for start in range(0, len(order), size):
            yield self._get_samples(order[start : start + size])


class SemiMarkovRecurrentRolloutBuffer(_Decisions, RecurrentRolloutBuffer):
    """sb3-contrib's recurrent buffer for decisions that last; the others are masked as padding."""

    def _get_samples(  # type: ignore[override]
        self, batch_inds: Any, env_change: Any, env: Any = None
    ) -> Any:
        samples = super()._get_samples(batch_inds, env_change, env)
        if self.included.all():
            return samples
        included = self.swap_and_flatten(self.included)[batch_inds].astype(np.float32)
        return samples._replace(mask=self.pad_and_flatten(included))

    def get(self, batch_size: int | None = None) -> Iterator[Any]:  # type: ignore[override]
        """Yield minibatches with at least two decisions that count, so that they have a spread."""
        for samples in super().get(batch_size):
            if int((samples.mask > 0).sum()) > 1 or self.included.all():
                yield samples


class RecordDecisions(BaseCallback):
    """Hands each decision's duration and end to the buffer, and counts primitive steps.

    It runs before SB3 adds the decision to the buffer. The agent's `num_timesteps` so counts
    primitive steps, in logs, budgets and checkpoints.
    """

    def _on_step(self) -> bool:
        infos, dones = self.locals["infos"], self.locals["dones"]
        env = self.training_env
        excludes = env.get_attr("exclude_clipped_decisions_from_training")[0]
        durations = np.array([info["duration"] for info in infos], dtype=np.int64)
        clipped = np.array([info["option_clipped"] for info in infos], dtype=bool)
        self.locals["rollout_buffer"].record(
            durations=durations,
            ended=dones,
            terminal_values=self._terminal_values(infos, dones),
            included=~clipped if excludes else np.ones_like(clipped),
        )
        self.model.num_timesteps += int(durations.sum()) - env.num_envs
        self.num_timesteps = self.model.num_timesteps
        return True

    def _terminal_values(self, infos: Any, dones: Any) -> NDArray[np.float32]:
        """Return V(terminal observation) where an episode ended, else 0, (E,)."""
        values = np.zeros(len(dones), dtype=np.float32)
        ended = np.flatnonzero(dones)
        if not len(ended):
            return values
        rows = np.stack([infos[e]["terminal_observation"] for e in ended])
        policy: Any = self.model.policy
        observation, _ = policy.obs_to_tensor(rows)
        states = self.locals.get("lstm_states")
        with torch.no_grad():
            if states is None:
                found = policy.predict_values(observation)
            else:
                which = torch.as_tensor(ended)
                memory = tuple(part[:, which].contiguous() for part in states.vf)
                starts = torch.zeros(len(ended), device=observation.device)
                found = policy.predict_values(observation, memory, starts)
        values[ended] = found.cpu().numpy().ravel()
        return values
