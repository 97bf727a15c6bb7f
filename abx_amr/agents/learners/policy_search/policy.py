"""A searched network as a policy: Stable-Baselines3's `predict` over a clinic's observations.

Shapes: N observations, D entries each, P patients, Q weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.agents.learners.policy_search.network import PolicyNetwork
from abx_amr.agents.learners.policy_search.rollouts import treatments
from abx_amr.errors import InputError


class SearchedPolicy:
    """Prescribes the treatment of the highest score to each patient; it draws and keeps nothing."""

    def __init__(self, network: PolicyNetwork, weights: NDArray[np.float64]) -> None:
        """Take the weights (Q,) of the network."""
        if weights.shape != (network.size,):
            raise InputError(
                f"weights must have shape ({network.size},) for this clinic, got {weights.shape}"
            )
        self.network = network
        self.weights = weights.astype(np.float32)
        self._repeated = np.empty((network.size, 0), np.float32)

    def predict(
        self,
        observation: ArrayLike,
        state: Any = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return treatments (N, P), or (P,) for one observation, and the state as it was given.

        Args:
            observation: Raw, shape (N, D) or (D,).
            state: Of no effect: nothing is remembered.
            episode_start: Of no effect.
            deterministic: Of no effect: it is always.
        """
        rows = np.asarray(observation, dtype=np.float32)
        single = rows.ndim == 1
        if single:
            rows = rows[None]
        if rows.ndim != 2 or rows.shape[1] != self.network.layout.size:
            raise InputError(
                f"observations must have shape (N, {self.network.layout.size}), got {rows.shape}"
            )
        if self._repeated.shape[1] != len(rows):
            self._repeated = np.ascontiguousarray(np.repeat(self.weights[:, None], len(rows), 1))
        actions = treatments(self.network, self._repeated, rows)
        return (actions[0] if single else actions), state
