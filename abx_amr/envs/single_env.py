"""The clinic as a gymnasium environment: a batch of one.

Shapes: P patients, K antibiotics, D observation entries.
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from abx_amr.envs.vec_env import TRAINING_STREAM, action_space, observation_space
from abx_amr.rng import stream_states
from abx_amr.simulator import Clinic, ClinicModel


class ClinicEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.int64]]):
    """One clinic; `info` has the keys of `Clinic.last_step`, without the axis of environments."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, model: ClinicModel, *, seed: int | None = None) -> None:
        """Prepare the clinic.

        Args:
            model: The clinic.
            seed: Names the stream, as for environment 0 of the batched one; None: fresh entropy.
        """
        self.model = model
        self.observation_space = observation_space(model)  # type: ignore[assignment]
        self.action_space = action_space(model)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        self.clinic = Clinic(model, stream_states(seed, *TRAINING_STREAM, count=1))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; a seed names the stream anew, None lets it go on."""
        super().reset(seed=seed)
        streams = None if seed is None else stream_states(seed, *TRAINING_STREAM, count=1)
        observation = self.clinic.reset(streams)[0]
        info = {"true_amr": self.clinic.true_amr[0], "visible_amr": self.clinic.visible_amr[0]}
        return observation, info

    def step(
        self, action: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Treat the waiting cohort with `action` (P,).

        The end of an episode is a truncation, unless the time remaining is observed.
        """
        observation, reward, over = self.clinic.step(np.asarray(action)[None])
        terminated = over and self.model.observation.include_time_remaining
        info = {key: values[0] for key, values in self.clinic.last_step.items()}
        return observation[0], float(reward[0]), terminated, over and not terminated, info
