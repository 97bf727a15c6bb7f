"""The clinic as its manager meets it: one step is one decision, however long the option lasts.

In one step every environment carries its own option to the end, so the environments drift apart in
time and end their episodes at different steps; each starts again by itself. All of them return at
every step, which is what an SB3 VecEnv promises.

The reward of a step is the option's own discounted sum R = sum_{i<k} g^i r_i. `info` carries
`duration` (k, in primitive steps), `option_clipped`, `primitive_return` (undiscounted) and, at the
end of an episode, `terminal_observation` and `episode` (undiscounted return and length in primitive
steps). The time-limit flag is NOT set: SB3 would bootstrap with one gamma; the semi-Markov buffer
does it with gamma^k.

Shapes: E environments, P patients, D observation entries, F entries of the manager's observation.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.envs.staggered_clinics import StaggeredClinics
from abx_amr.envs.vec_env import TRAINING_STREAM, WholeBatch
from abx_amr.hierarchy.library import OptionLibrary
from abx_amr.hierarchy.option_executor import OptionExecutor, manager_layout
from abx_amr.hierarchy.policy import HierarchicalPolicy


def manager_spaces(
    library: OptionLibrary, *, shows_every_patient: bool
) -> tuple[spaces.Box, spaces.Discrete]:
    """Return what the manager sees, a box (F,), and what it chooses among: the options."""
    low, high = manager_layout(library, shows_every_patient=shows_every_patient).bounds
    return spaces.Box(low, high, dtype=np.float32), spaces.Discrete(len(library))


class ManagerVecEnv(WholeBatch):
    """A batch of clinics whose steps are options; environment i draws as in `ClinicVecEnv`."""

    def __init__(
        self,
        library: OptionLibrary,
        n_envs: int,
        *,
        seed: int,
        option_gamma: float,
        front_edge_use_full_vector: bool = False,
        exclude_clipped_decisions_from_training: bool = False,
        stream: Sequence[str] = TRAINING_STREAM,
        exploring_starts: ExploringStarts | None = None,
    ) -> None:
        """Prepare the batch.

        Args:
            library: The options, with their clinic.
            n_envs: Environments E.
            seed: Names the streams.
            option_gamma: g, the discount per primitive step inside an option.
            front_edge_use_full_vector: Whether the manager sees every waiting patient.
            exclude_clipped_decisions_from_training: Told to the buffer, which masks them.
            stream: Names the streams further.
            exploring_starts: At which AMR episodes start; None: as the clinic says.
        """
        self.library = library
        self.exploring_starts = exploring_starts
        self.model = library.model
        self.option_gamma = option_gamma
        self.front_edge_use_full_vector = front_edge_use_full_vector
        self.exclude_clipped_decisions_from_training = exclude_clipped_decisions_from_training
        self.render_mode = None
        self.clinics = StaggeredClinics(self.model, n_envs, seed=seed, stream=stream)
        self.executor = OptionExecutor(
            library, n_envs, shows_every_patient=front_edge_use_full_vector
        )
        super().__init__(
            n_envs,
            *manager_spaces(library, shows_every_patient=front_edge_use_full_vector),
        )
        self._seed = seed
        self._renamed = False
        self._everyone = np.arange(n_envs)
        self._actions: NDArray[np.int64] = np.zeros(n_envs, dtype=np.int64)
        self._observation = np.zeros((n_envs, self.model.layout.size), np.float32)
        self._returns = np.zeros(n_envs)
        self._started = time.time()

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Name the streams anew, from the next reset on; None: they go on."""
        if seed is not None:
            self._seed, self._renamed = int(seed), True
        return [self._seed] * self.num_envs

    def reset(self) -> NDArray[np.float32]:
        """Start an episode everywhere and return what the managers see, (E, F)."""
        seed = self._seed if self._renamed else None
        self._renamed = False
        self._observation[:] = self._first_seen(self._everyone, seed=seed)
        self._returns[:] = 0.0
        self.executor.reset(self._everyone, self._observation)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.executor.observe(self._everyone, self._observation)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the chosen options (E,) for `step_wait`."""
        self._actions = np.asarray(actions, dtype=np.int64).reshape(self.num_envs)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Carry every option to its end; return observation (E, F), R (E,), done (E,), infos."""
        executor, seen = self.executor, self._observation
        executor.select(self._everyone, self._actions, seen)
        discounted, undiscounted = np.zeros(self.num_envs), np.zeros(self.num_envs)
        weight = np.ones(self.num_envs)
        done = np.zeros(self.num_envs, dtype=np.bool_)
        running = self._everyone
        while len(running):
            actions = executor.prescribe(running, seen[running])
            observation, reward, truncated = self.clinics.step(running, actions)
            discounted[running] += weight[running] * reward
            undiscounted[running] += reward
            weight[running] *= self.option_gamma
            seen[running] = observation
            done[running] = truncated
            running = running[~executor.after(running, observation, truncated)]
        self._returns += undiscounted
        clipped = executor.is_clipped(self._everyone, done)
        shown = executor.observe(self._everyone, seen)
        infos: list[dict[str, Any]] = [
            {
                "duration": int(executor.step[e]),
                "option_clipped": bool(clipped[e]),
                "primitive_return": float(undiscounted[e]),
            }
            for e in range(self.num_envs)
        ]
        if done.any():
            self._start_again(np.flatnonzero(done), shown, infos)
        return shown, discounted.astype(np.float32), done, infos

    def _start_again(
        self, which: NDArray[np.int64], shown: NDArray[np.float32], infos: list[dict[str, Any]]
    ) -> None:
        """Report the end of these episodes and start the next ones; overwrites `shown` there."""
        elapsed = round(time.time() - self._started, 6)
        for e in which:
            infos[e]["terminal_observation"] = shown[e].copy()
            infos[e]["episode"] = {
                "r": float(self._returns[e]),
                "l": self.model.max_time_steps,
                "t": elapsed,
            }
        self._returns[which] = 0.0
        self._observation[which] = self._first_seen(which)
        self.executor.reset(which, self._observation[which])
        shown[which] = self.executor.observe(which, self._observation[which])

    def _first_seen(
        self, which: NDArray[np.int64], *, seed: int | None = None
    ) -> NDArray[np.float32]:
        """Start an episode in these environments (N,) and return what is seen first, (N, D)."""
        first = self.clinics.reset(which, seed=seed)
        if self.exploring_starts is None:
            return first
        doses = self.exploring_starts.draw(which, len(self.model.antibiotics))
        return self.clinics.expose(which, doses)

    def prescriber(self, agent: Any) -> HierarchicalPolicy:
        """Return the manager that learns here, with its options, as a policy over the clinic."""
        return HierarchicalPolicy(
            manager=agent,
            library=self.library,
            shows_every_patient=self.front_edge_use_full_vector,
        )

    # --- going on later --------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit between two decisions."""
        state = {f"clinics.{name}": value for name, value in self.clinics.state().items()}
        state |= {f"view.{name}": value for name, value in self.executor.view.state().items()}
        if self.exploring_starts is not None:
            state["exploring_starts"] = self.exploring_starts.rows.copy()
        return {**state, "seen": self._observation.copy(), "returns": self._returns.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned, of a batch of the same size, clinic and library."""
        for part, thing in (("clinics", self.clinics), ("view", self.executor.view)):
            thing.restore(
                {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{part}.")}
            )
        self._observation[:] = state["seen"]
        self._returns[:] = state["returns"]
        if self.exploring_starts is not None and "exploring_starts" in state:
            self.exploring_starts.rows[:] = state["exploring_starts"]
        self._renamed = False
