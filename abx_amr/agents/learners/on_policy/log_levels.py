"""The features of an agent that sees the reported AMR levels on a log scale too.

Shapes: N observations, D entries each, K antibiotics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from abx_amr.agents.learners.policy_search.network import FLOOR

HALF = math.log(FLOOR) / 2.0


class LogLevels(BaseFeaturesExtractor):
    """The observation, followed by log(level + 1e-3) of each antibiotic, from -1 to 1.

    It has no parameters: what is learned and saved are the networks above it.
    """

    def __init__(self, observation_space: spaces.Box, levels: Sequence[int]) -> None:
        """Take which K entries of the observation are levels."""
        super().__init__(observation_space, int(observation_space.shape[0]) + len(levels))
        self.levels = list(levels)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the features (N, D + K) of observations (N, D)."""
        logs = torch.log(observations[:, self.levels] + FLOOR)
        return torch.cat([observations, 1.0 - logs / HALF], dim=1)
