"""Clinics side by side, each at its own step of its episode.

Options end at different times, so a manager's environments are not in lockstep. Each clinic is a
batch of one with the stream that it has in `ClinicVecEnv`: its episodes are the same to the bit.

Shapes: E environments, N of them, P patients, D observation entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.rng import stream_states
from abx_amr.simulator import Clinic, ClinicModel

Which = NDArray[np.int64]


class StaggeredClinics:
    """E clinics that are stepped and reset by themselves or in any company."""

    def __init__(
        self, model: ClinicModel, n_envs: int, *, seed: int, stream: Sequence[str]
    ) -> None:
        """Prepare the clinics; environment i draws from the stream (seed, *stream, i)."""
        self.model = model
        self.stream = tuple(stream)
        rows = stream_states(seed, *self.stream, count=n_envs)
        self._clinics = [Clinic(model, rows[e : e + 1]) for e in range(n_envs)]

    def __len__(self) -> int:
        return len(self._clinics)

    def reset(self, which: Which, *, seed: int | None = None) -> NDArray[np.float32]:
        """Start an episode in these clinics (N,) and return their observations, (N, D).

        Args:
            which: The clinics.
            seed: Names the streams anew; None: they go on.
        """
        if seed is None:
            first = [self._clinics[e].reset() for e in which]
        else:
            rows = stream_states(seed, *self.stream, count=len(self))
            first = [self._clinics[e].reset(rows[e : e + 1]) for e in which]
        return np.concatenate(first)

    def expose(self, which: Which, doses: NDArray[np.int64]) -> NDArray[np.float32]:
        """Let courses of doses (N, K) precede the episodes of these clinics; return what is seen.

        See `Clinic.expose`.
        """
        seen = [self._clinics[e].expose(doses[n : n + 1]) for n, e in enumerate(which)]
        return np.concatenate(seen)

    def begin_at(self, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Let the episodes that have just begun stand at these steps (E,); return what is seen.

        The share of the episode that is left is as there; everything else is as at its start.
        """
        remaining = self.model.layout.parts.time_remaining
        for clinic, step in zip(self._clinics, steps, strict=True):
            state = clinic.state()
            state["time"] = np.array(step)
            state["observation"][:, remaining] = 1.0 - step / self.model.max_time_steps
            clinic.restore(state)
        return np.concatenate([clinic.observation for clinic in self._clinics])

    def step(
        self, which: Which, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """Treat the waiting cohorts of these clinics with actions (N, P).

        Returns:
            Observations (N, D), rewards (N,), and where the episode is over (N,).
        """
        observation = np.empty((len(which), self.model.layout.size), np.float32)
        reward = np.empty(len(which))
        truncated = np.empty(len(which), dtype=np.bool_)
        for n, e in enumerate(which):
            rows, earned, truncated[n] = self._clinics[e].step(actions[n : n + 1])
            observation[n], reward[n] = rows[0], earned[0]
        return observation, reward, truncated

    @property
    def time(self) -> NDArray[np.int64]:
        """Steps made in each clinic's present episode, (E,); -1 before the first reset."""
        return np.array([clinic.time for clinic in self._clinics], dtype=np.int64)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit: name -> (E, ...)."""
        states = [clinic.state() for clinic in self._clinics]
        return {name: np.stack([state[name] for state in states]) for name in states[0]}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned, of as many clinics of the same model."""
        for e, clinic in enumerate(self._clinics):
            clinic.restore({name: values[e] for name, values in state.items()})
