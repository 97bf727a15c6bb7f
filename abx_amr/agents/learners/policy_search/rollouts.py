"""The returns of many candidates in common episodes: compiled where the clinic is, else in batches.

Shapes: N candidates, E episodes, Q weights, D observation entries, P patients.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.policy_search import compiled
from abx_amr.agents.learners.policy_search.network import PolicyNetwork
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel

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
        parts = Clinic(model, np.zeros((1, 4), np.uint64)).compiled_parts
        self._tables = None if parts is None else parts[1:]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def returns(self, candidates: Floats, streams: Streams) -> Floats:
        """Return the undiscounted returns (N, E) of candidates (N, Q), episode e from stream e."""
        weights = np.ascontiguousarray(candidates.T, dtype=np.float32)
        if self._tables is None:
            return self._by_parts(weights, streams)
        floats, whole = self._tables
        rows = np.array(streams, dtype=np.uint64)
        out = np.empty((len(rows), len(candidates)))

        def play(e: int) -> None:
            compiled.play_episode(
                rows[e : e + 1],
                floats,
                whole,
                self.model.max_time_steps,
                self.model.layout.size,
                weights,
                self.network.reads,
                self.network.offsets,
                self.network.scales,
                self.network.shape,
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
