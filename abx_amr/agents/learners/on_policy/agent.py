"""An on-policy agent of SB3 as the house knows agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.entropy import entropy_fell_at
from abx_amr.agents.learners.on_policy.policies import policy_of
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.learners.on_policy.saving import captured
from abx_amr.agents.learners.on_policy.snapshot import snapshot
from abx_amr.agents.prescriber import Agent, SavedAgent
from abx_amr.evaluation.episodes import Policy


class OnPolicyAgent(Agent):
    """One seed's agent.

    Attributes:
        algorithm: The built algorithm of SB3.
        streams: Where its own random streams stand in the seed-batched trainer; empty where it
            draws from the global generators alone.
    """

    def __init__(
        self, algorithm: OnPolicyAlgorithm, streams: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.algorithm = algorithm
        self.streams: Mapping[str, np.ndarray] = streams or {}

    @property
    def transitions(self) -> int:
        """The primitive steps it has learned from, all environments together."""
        return self.algorithm.num_timesteps

    @property
    def updates(self) -> int:
        """The algorithm's own count: epochs for PPO, updates for A2C."""
        return self.algorithm._n_updates

    @property
    def explores(self) -> bool:
        """An on-policy agent learns from choices that it draws."""
        return True

    @property
    def entropy_fell_at(self) -> int | None:
        """The transitions since which its entropy has been as good as none; None: it is not."""
        return entropy_fell_at(self.algorithm)

    @property
    def training_return(self) -> float | None:
        """Mean return of the last hundred episodes of its rollouts; None before the first ends."""
        ended = self.algorithm.ep_info_buffer
        return float(np.mean([episode["r"] for episode in ended])) if ended else None

    def learn(self, transitions: int) -> Iterator[int]:
        """Learn as the library does."""
        return rollouts(self.algorithm, transitions)

    def policy(self) -> Policy:
        """Return the agent as a policy over the clinic's raw observations."""
        return policy_of(self.algorithm)

    def save(self) -> SavedAgent:
        """Return what a checkpoint holds."""
        return captured(self.algorithm, self.streams)

    def snapshot(self) -> dict[str, Any]:
        """Return attributes of algorithm, buffer, policy, optimiser and environment."""
        return snapshot(self.algorithm)

    def log_to(self, folder: Path | None) -> None:
        """Write the library's own TensorBoard logs to the folder; None: no logs."""
        self.algorithm.set_logger(
            silent_logger() if folder is None else configure(str(folder), ["tensorboard"])
        )

    def log(self, name: str, value: float) -> None:
        """Log a value at the present count of transitions."""
        self.algorithm.logger.record(name, value)
        self.algorithm.logger.dump(self.algorithm.num_timesteps)

    def close_log(self) -> None:
        """Write out what is logged."""
        self.algorithm.logger.close()
