"""An on-policy agent of SB3 as the house knows agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.entropy import entropy_fell_at
from abx_amr.agents.learners.library_agent import LibraryAgent
from abx_amr.agents.learners.on_policy.policies import policy_of
from abx_amr.agents.learners.on_policy.rollouts import rollouts
from abx_amr.agents.learners.on_policy.saving import captured
from abx_amr.agents.learners.on_policy.snapshot import snapshot
from abx_amr.agents.prescriber import SavedAgent
from abx_amr.evaluation.episodes import Policy


class OnPolicyAgent(LibraryAgent):
    """One seed's agent.

    Attributes:
        algorithm: The built algorithm of SB3.
        streams: Where its own random streams stand in the seed-batched trainer; empty where it
            draws from the global generators alone.
    """

    algorithm: OnPolicyAlgorithm

    def __init__(
        self, algorithm: OnPolicyAlgorithm, streams: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.algorithm = algorithm
        self.streams: Mapping[str, np.ndarray] = streams or {}

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
