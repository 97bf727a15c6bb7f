"""A Q-learner of SB3 as the house knows agents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import configure
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from abx_amr.agents.learners.off_policy.loop import updates
from abx_amr.agents.learners.off_policy.policy import GreedyPolicy
from abx_amr.agents.learners.off_policy.saving import captured
from abx_amr.agents.learners.off_policy.snapshot import snapshot
from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.prescriber import Agent, SavedAgent


class QAgent(Agent):
    """One seed's agent.

    Attributes:
        algorithm: The built algorithm of SB3.
        rows: What each joint action gives each patient, (J, P).
    """

    def __init__(self, algorithm: OffPolicyAlgorithm, rows: NDArray[np.int64]) -> None:
        self.algorithm = algorithm
        self.rows = rows

    @property
    def transitions(self) -> int:
        """The steps it has made, all environments together."""
        return self.algorithm.num_timesteps

    @property
    def updates(self) -> int:
        """Its gradient steps."""
        return self.algorithm._n_updates

    @property
    def training_return(self) -> float | None:
        """Mean return of the last hundred episodes it has played; None before the first ends."""
        ended = self.algorithm.ep_info_buffer
        return float(np.mean([episode["r"] for episode in ended])) if ended else None

    def learn(self, transitions: int) -> Iterator[int]:
        """Learn as the library does."""
        return updates(self.algorithm, transitions)

    def policy(self) -> GreedyPolicy:
        """Return the agent without its exploration."""
        return GreedyPolicy(self.algorithm.policy, self.rows)

    def save(self) -> SavedAgent:
        """Return what a checkpoint holds."""
        return captured(self.algorithm)

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
