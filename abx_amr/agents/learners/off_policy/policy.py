"""A trained Q-learner as a policy over the clinic's raw observations.

Shapes: E environments, P patients, J joint actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stable_baselines3.common.policies import BasePolicy


@dataclass(frozen=True)
class GreedyPolicy:
    """Prescribes the joint action of the highest value, whether or not it may choose at random.

    Attributes:
        network: The library's policy.
        rows: What each joint action gives each patient, (J, P).
    """

    network: BasePolicy
    rows: NDArray[np.int64]

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], None]:
        """Return the prescriptions (E, P); exploration is a training's alone."""
        chosen, _ = self.network.predict(observation, deterministic=True)
        return self.rows[chosen], None
