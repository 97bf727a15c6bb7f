"""A Q-learner of SB3 as the house knows agents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from abx_amr.agents.learners.library_agent import LibraryAgent
from abx_amr.agents.learners.off_policy.loop import updates
from abx_amr.agents.learners.off_policy.policy import GreedyPolicy
from abx_amr.agents.learners.off_policy.saving import captured
from abx_amr.agents.learners.off_policy.snapshot import snapshot
from abx_amr.agents.prescriber import SavedAgent


class QAgent(LibraryAgent):
    """One seed's agent.

    Attributes:
        algorithm: The built algorithm of SB3.
        rows: What each joint action gives each patient, (J, P).
    """

    algorithm: OffPolicyAlgorithm

    def __init__(self, algorithm: OffPolicyAlgorithm, rows: NDArray[np.int64]) -> None:
        self.algorithm = algorithm
        self.rows = rows

    @property
    def updates(self) -> int:
        """Its gradient steps."""
        return self.algorithm._n_updates

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
