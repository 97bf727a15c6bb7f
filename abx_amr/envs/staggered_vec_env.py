"""The clinic as environments for Stable-Baselines3 that are at different steps of their episodes.

Shapes: E environments, N of them, P patients, K antibiotics, D observation entries.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.envs.staggered_clinics import StaggeredClinics
from abx_amr.envs.vec_env import TRAINING_STREAM, WholeBatch, action_space, observation_space
from abx_amr.simulator import ClinicModel

Stepped = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]


class StaggeredVecEnv(WholeBatch):
    """E clinics of which clinic i begins with the last (E - i) / E of an episode.

    Each draws from the stream that it has in `ClinicVecEnv`: its patients come in the same order.
    Clinics are stepped one by one. The end of an episode is a truncation, unless the time remaining
    is observed.

    Attributes:
        clinics: The clinics themselves.
        episode_returns: The undiscounted returns of the present episodes so far, (E,).
    """

    def __init__(
        self,
        model: ClinicModel,
        n_envs: int,
        *,
        seed: int,
        exploring_starts: ExploringStarts | None = None,
    ) -> None:
        """Prepare the clinics.

        Args:
            model: The clinic.
            n_envs: Environments E.
            seed: Names the streams.
            exploring_starts: At which AMR episodes start; None: as the clinic says.
        """
        self.model = model
        self.exploring_starts = exploring_starts
        self.render_mode = None
        self.clinics = StaggeredClinics(model, n_envs, seed=seed, stream=TRAINING_STREAM)
        super().__init__(n_envs, observation_space(model), action_space(model))
        self._seed, self._renamed = seed, False
        self._everyone = np.arange(n_envs)
        self._actions: NDArray[Any] = np.zeros((n_envs, 0), dtype=np.int64)
        self.episode_returns = np.zeros(n_envs)
        self._began = self._everyone * model.max_time_steps // n_envs
        self._started = time.time()

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Name the streams anew, from the next reset on; None: they go on."""
        if seed is not None:
            self._seed, self._renamed = int(seed), True
        return [self._seed] * self.num_envs

    def reset(self) -> NDArray[np.float32]:
        """Start an episode everywhere, each at its own step, and return what is seen, (E, D)."""
        self.episode_returns[:] = 0.0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._first_seen(self._everyone, seed=self._seed if self._renamed else None)
        self._renamed = False
        self._began = self._everyone * self.model.max_time_steps // self.num_envs
        return self.clinics.begin_at(self._began)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions (E, P) for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> Stepped:
        """Return observation (E, D), reward (E,), done (E,) and infos after one step.

        Where an episode is over the next one starts.
        """
        seen, reward, done = self.clinics.step(self._everyone, np.asarray(self._actions))
        self.episode_returns += reward
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        over = np.flatnonzero(done)
        if len(over):
            elapsed = round(time.time() - self._started, 6)
            for e in over:
                infos[e] = {
                    "terminal_observation": seen[e].copy(),
                    "TimeLimit.truncated": not self.model.observation.include_time_remaining,
                    "episode": {
                        "r": float(self.episode_returns[e]),
                        "l": int(self.model.max_time_steps - self._began[e]),
                        "t": elapsed,
                    },
                }
            self.episode_returns[over], self._began[over] = 0.0, 0
            seen[over] = self._first_seen(over)
        return seen, reward.astype(np.float32), done, infos

    def _first_seen(
        self, which: NDArray[np.int64], *, seed: int | None = None
    ) -> NDArray[np.float32]:
        """Start an episode in these environments (N,) and return what is seen first, (N, D)."""
        first = self.clinics.reset(which, seed=seed)
        if self.exploring_starts is None:
            return first
        doses = self.exploring_starts.draw(which, len(self.model.antibiotics))
        return self.clinics.expose(which, doses)

    def prescriber(self, agent: Any) -> Any:
        """Return the agent that learns here as a policy over the clinic: it prescribes itself."""
        return agent

    # --- going on later --------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit, as arrays of its own."""
        state = {f"clinics.{name}": value for name, value in self.clinics.state().items()}
        if self.exploring_starts is not None:
            state["exploring_starts"] = self.exploring_starts.rows.copy()
        return {**state, "returns": self.episode_returns.copy(), "began": self._began.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned, of as many clinics of the same model."""
        self.clinics.restore(
            {k.partition(".")[2]: v for k, v in state.items() if k.startswith("clinics.")}
        )
        self.episode_returns[:], self._began[:] = state["returns"], state["began"]
        if self.exploring_starts is not None:
            self.exploring_starts.rows[:] = state["exploring_starts"]
        self._renamed = False
