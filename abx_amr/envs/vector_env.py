"""The clinic as a batch of environments for gymnasium's own interface.

Shapes: E environments, P patients, K antibiotics, D observation entries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from abx_amr.envs.vec_env import TRAINING_STREAM, action_space, observation_space
from abx_amr.errors import InputError
from abx_amr.rng import stream_states
from abx_amr.simulator import Clinic, ClinicModel

Transition = tuple[
    NDArray[np.float32],
    NDArray[np.float64],
    NDArray[np.bool_],
    NDArray[np.bool_],
    dict[str, Any],
]


class ClinicVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """Clinics that end together and start again in the same step (AutoresetMode.SAME_STEP).

    `info` is empty but at that end, where it has final_obs and final_info; what happened in any
    step is in `last_step`. The end of an episode is a truncation, unless the time remaining is
    observed.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, model: ClinicModel, num_envs: int, *, seed: int | None = None) -> None:
        """Prepare the batch.

        Args:
            model: The clinic.
            num_envs: Environments E.
            seed: Names the streams, as for the batch of Stable-Baselines3; None: fresh entropy.

        Raises:
            InputError: there would be no environment.
        """
        if num_envs < 1:
            raise InputError(f"num_envs must be at least 1, got {num_envs}")
        self.model = model
        self.num_envs = num_envs
        self.single_observation_space = observation_space(model)
        self.single_action_space = action_space(model)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        self.clinic = Clinic(model, stream_states(seed, *TRAINING_STREAM, count=num_envs))
        self._ended_step: Mapping[str, Any] | None = None

    @property
    def last_step(self) -> Mapping[str, Any]:
        """Arrays about the step just made, see `Clinic.last_step`, even if it ended the episode."""
        return self.clinic.last_step if self._ended_step is None else self._ended_step

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode everywhere.

        Args:
            seed: One names the streams of the whole batch; several, one each, are those of
                `ClinicEnv.reset(seed=...)`; None lets them go on.
            options: Nothing can be chosen.

        Raises:
            InputError: only a part would be reset, or there are more or fewer seeds than E.
        """
        if options and not np.all(options.get("reset_mask", True)):
            raise InputError("reset_mask must be true everywhere: the clinics end together")
        super().reset(seed=seed if isinstance(seed, int) else None)
        self._ended_step = None
        observation = self.clinic.reset(self._streams(seed))
        return observation, {
            "true_amr": self.clinic.true_amr,
            "visible_amr": self.clinic.visible_amr,
        }

    def step(self, actions: NDArray[np.int64]) -> Transition:
        """Treat the waiting cohorts with `actions` (E, P)."""
        observation, reward, is_over = self.clinic.step(np.asarray(actions))
        self._ended_step = None
        nobody, everybody = np.zeros((2, self.num_envs), np.bool_), np.ones(self.num_envs, np.bool_)
        if not is_over:
            return observation, reward, nobody[0], nobody[1], {}
        ended = self.clinic.last_step
        final = np.empty(self.num_envs, dtype=object)
        final[:] = list(observation)
        info = {
            "final_obs": final,
            "_final_obs": everybody,
            "final_info": {
                **ended,
                **{f"_{key}": everybody for key in ended},
            },
            "_final_info": everybody,
        }
        first, _ = self.reset()
        self._ended_step = ended
        if self.model.observation.include_time_remaining:
            return first, reward, everybody.copy(), nobody[0], info
        return first, reward, nobody[0], everybody.copy(), info

    def _streams(self, seed: int | Sequence[int] | None) -> NDArray[np.uint64] | None:
        if seed is None:
            return None
        if isinstance(seed, int | np.integer):
            return stream_states(int(seed), *TRAINING_STREAM, count=self.num_envs)
        if len(seed) != self.num_envs:
            raise InputError(f"seed must be one, or one for each of {self.num_envs}: {seed!r}")
        rows = [stream_states(int(each), *TRAINING_STREAM, count=1) for each in seed]
        return np.concatenate(rows)
