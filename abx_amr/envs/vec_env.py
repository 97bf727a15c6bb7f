"""The clinic as a batch of environments for Stable-Baselines3.

Shapes: E environments, P patients, K antibiotics, D observation entries.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.rng import stream_states
from abx_amr.simulator import Clinic, ClinicModel

TRAINING_STREAM = ("training", "clinic")
_FLOAT32 = np.dtype(np.float32)  # made once: the conversion of a few rewards is quicker than it


def observation_space(model: ClinicModel) -> spaces.Box:
    """Return the box (D,) that contains every observation of the clinic."""
    return spaces.Box(model.layout.low, model.layout.high, dtype=np.float32)


def action_space(model: ClinicModel) -> spaces.MultiDiscrete:
    """Return one choice per patient: an antibiotic, or K for no treatment."""
    return spaces.MultiDiscrete([model.num_treatments] * model.num_patients_per_time_step)


class WholeBatch(VecEnv):
    """A VecEnv that steps its environments as one: what SB3 asks of each is asked of the batch."""

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return the batch's attribute once per environment asked for."""
        value = getattr(self, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the batch's attribute; environments share it, so all must be asked for."""
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise ValueError(f"{attr_name} is shared by all environments: set it for all of them")
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call the batch's method once and return its result once per environment asked for."""
        result = getattr(self, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Return False for each environment: it stands alone, but counts its episodes."""
        return [False for _ in self._get_indices(indices)]


class ClinicVecEnv(WholeBatch):
    """A batch of clinics that end together and start again by themselves.

    Environment i draws from the stream (seed, *stream, i): the block of `n_envs` environments has
    one stream per environment, so another `n_envs` is another sample. The end of an episode is a
    truncation, unless the time remaining is observed. `info` is empty but at that end; what
    happened in a step is in `last_step`.

    Attributes:
        clinic: The batch itself.
        episode_returns: The undiscounted returns of the present episodes so far, (E,).
    """

    def __init__(
        self,
        model: ClinicModel,
        n_envs: int,
        *,
        seed: int,
        stream: Sequence[str] = TRAINING_STREAM,
        exploring_starts: ExploringStarts | None = None,
    ) -> None:
        """Prepare the batch.

        Args:
            model: The clinic.
            n_envs: Environments E.
            seed: Names the streams.
            stream: Names them further.
            exploring_starts: At which AMR episodes start; None: as the clinic says.
        """
        self.model = model
        self.exploring_starts = exploring_starts
        self.stream = tuple(stream)
        self.render_mode = None
        self.clinic = Clinic(model, stream_states(seed, *self.stream, count=n_envs))
        super().__init__(n_envs, observation_space(model), action_space(model))
        self._seed = seed
        self._renamed = False
        self._actions: NDArray[Any] = np.zeros((n_envs, 0), dtype=np.int64)
        self.episode_returns = np.zeros(n_envs)
        self._started = time.time()
        self._running = np.zeros(n_envs, dtype=np.bool_)
        self._ended_step: Mapping[str, Any] | None = None

    @property
    def last_step(self) -> Mapping[str, Any]:
        """Arrays about the step just made, see `Clinic.last_step`, even if it ended the episode."""
        return self.clinic.last_step if self._ended_step is None else self._ended_step

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Name the streams anew, from the next reset on; None: they go on."""
        if seed is not None:
            self._seed, self._renamed = int(seed), True
        return [self._seed] * self.num_envs

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit, as arrays of its own."""
        state = {**self.clinic.state(), "episode_returns": self.episode_returns.copy()}
        if self.exploring_starts is not None:
            state["exploring_starts"] = self.exploring_starts.rows.copy()
        return state

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned; a seed given meanwhile does not count."""
        self.clinic.restore(state)
        if "episode_returns" in state:
            self.episode_returns[:] = state["episode_returns"]
        if self.exploring_starts is not None and "exploring_starts" in state:
            self.exploring_starts.rows[:] = state["exploring_starts"]
        self._renamed = False

    def reset(self) -> NDArray[np.float32]:
        """Start an episode everywhere and return the observation, shape (E, D)."""
        streams = None
        if self._renamed:
            streams = stream_states(self._seed, *self.stream, count=self.num_envs)
            self._renamed = False
        self.episode_returns[:] = 0.0
        self._ended_step = None
        self.reset_infos = [{} for _ in range(self.num_envs)]
        observation = self.clinic.reset(streams)
        if self.exploring_starts is None:
            return observation
        everyone, k = np.arange(self.num_envs), len(self.model.antibiotics)
        return self.clinic.expose(self.exploring_starts.draw(everyone, k))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions (E, P) for `step_wait`."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Make the step; at the time limit start the next episode."""
        return self.step(self._actions)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Return observation (E, D), reward (E,) float32, done (E,) and infos after one step."""
        observation, reward, truncated = self.clinic.step(actions)
        returns = self.episode_returns
        returns += reward
        self._ended_step = None
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if truncated:
            return self._start_again(observation, reward, infos)
        return observation, reward.astype(_FLOAT32), self._running.copy(), infos

    def _start_again(
        self,
        observation: NDArray[np.float32],
        reward: NDArray[np.float64],
        infos: list[dict[str, Any]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Report the end of the episode and start the next one."""
        elapsed = round(time.time() - self._started, 6)
        for e, info in enumerate(infos):
            info["terminal_observation"] = observation[e]
            info["TimeLimit.truncated"] = not self.model.observation.include_time_remaining
            info["episode"] = {
                "r": float(self.episode_returns[e]),
                "l": self.model.max_time_steps,
                "t": elapsed,
            }
        ended_step = self.clinic.last_step
        first = self.reset()
        self._ended_step = ended_step
        done = np.ones(self.num_envs, dtype=np.bool_)
        return first, reward.astype(np.float32), done, infos

    def prescriber(self, agent: Any) -> Any:
        """Return the agent that learns here as a policy over the clinic: it prescribes itself."""
        return agent
