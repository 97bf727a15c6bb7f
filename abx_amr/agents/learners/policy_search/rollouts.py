"""The returns of many candidates in common episodes: compiled where the clinic is, else in batches.

Shapes: N candidates, E episodes, Q weights, D observation entries, P patients.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.policy_search import compiled
from abx_amr.agents.learners.policy_search.network import PolicyNetwork
from abx_amr.simulator.clinic import Clinic, ClinicModel

Floats = NDArray[np.float64]
Streams = NDArray[np.uint64]


class Rollouts:
    """Plays candidates of a network in a clinic; what they get depends on no number of threads."""

    def __init__(self, model: ClinicModel, network: PolicyNetwork, *, threads: int = 1) -> None:
        """Prepare the clinic's tables.

        Args:
            model: The clinic.
            network: What the candidates are weights of.
            threads: Episodes played at once.
        """
        self.model = model
        self.network = network
        self.threads = threads
        self._tables = Clinic(model, np.zeros((1, 4), np.uint64))
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def returns(self, candidates: Floats, streams: Streams) -> Floats:
        """Return the undiscounted returns (N, E) of candidates (N, Q), episode e from stream e."""
        weights = np.ascontiguousarray(candidates.T, dtype=np.float32)
        if not self._tables._fused:
            return self._by_parts(weights, streams)
        out = np.empty((len(streams), len(candidates)))
        rows = np.array(streams, dtype=np.uint64)

        def play(e: int) -> None:
            t, network = self._tables, self.network
            compiled.play_episode(
                rows[e],
                weights,
                network.reads,
                network.offsets,
                network.scales,
                network.shape,
                t.layout.size,
                t._initial,
                t._drugs,
                t._groups,
                t._numbers,
                t._shown,
                t._windows,
                t._update_every,
                t._since_seen,
                t._previous_seen,
                t._horizon_seen,
                t._max_time_steps,
                out[e],
            )

        if self._pool is None:
            for e in range(len(rows)):
                play(e)
        else:
            list(self._pool.map(play, range(len(rows))))
        return out.T.copy()

    def _by_parts(self, weights: NDArray[np.float32], streams: Streams) -> Floats:
        """Return the same through the clinic's own batches, whatever it is made of."""
        count, episodes = weights.shape[1], len(streams)
        clinic = Clinic(self.model, np.tile(streams, (count, 1)))
        spread = np.ascontiguousarray(np.repeat(weights, episodes, axis=1))
        observation = clinic.reset()
        total = np.zeros(count * episodes)
        for _ in range(self.model.max_time_steps):
            observation, reward, _ = clinic.step(treatments(self.network, spread, observation))
            total += reward
        return total.reshape(count, episodes)


def treatments(
    network: PolicyNetwork, weights: NDArray[np.float32], observation: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return what networks of weights (Q, N) prescribe on observations (N, D), (N, P)."""
    actions = np.empty((len(observation), network.layout.num_patients), dtype=np.int64)
    compiled.choose_for(
        weights,
        np.ascontiguousarray(observation.T),
        network.reads,
        network.offsets,
        network.scales,
        network.shape,
        actions,
    )
    return actions
