"""The running statistics of VecNormalize as arrays and plain values.

Shapes: E environments, D observation entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

Arrays = Mapping[str, NDArray[Any]]
#: What one is made with, and the attribute or running statistic of the same name.
SETTINGS = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon")
RUNNING = {"observations": "obs_rms", "rewards": "ret_rms"}


@dataclass(frozen=True, kw_only=True)
class ObservationScale:
    """Observations as an agent was trained on them, as `VecNormalize.normalize_obs` gives them.

    Attributes:
        mean: Of each entry, (D,).
        var: Its variance, (D,).
        clip_obs: The result is clipped to [-clip_obs, clip_obs].
        epsilon: Is added to the variance.
    """

    mean: NDArray[np.float64]
    var: NDArray[np.float64]
    clip_obs: float
    epsilon: float

    def normalize_obs(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """Return observations (E, D), normalised."""
        scaled = (observation - self.mean) / np.sqrt(self.var + self.epsilon)
        return np.clip(scaled, -self.clip_obs, self.clip_obs).astype(np.float32)


def captured(env: VecNormalize) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the statistics as arrays, by name, and the settings as plain values.

    Observations that are not normalised have no statistics.
    """
    arrays = {"returns": np.array(env.returns)}
    for name, attribute in RUNNING.items():
        running: RunningMeanStd | None = getattr(env, attribute, None)
        for part in ("mean", "var", "count") if running is not None else ():
            arrays[f"{name}.{part}"] = np.array(getattr(running, part), dtype=np.float64)
    return arrays, {name: getattr(env, name) for name in SETTINGS}


def restore(env: VecNormalize, arrays: Arrays) -> None:
    """Put the statistics of an environment where they stood."""
    for name, attribute in RUNNING.items():
        running: RunningMeanStd | None = getattr(env, attribute, None)
        if running is not None:
            running.mean = arrays[f"{name}.mean"].copy()[()]
            running.var = arrays[f"{name}.var"].copy()[()]
            running.count = float(arrays[f"{name}.count"])
    if "returns" in arrays:  # not in a checkpoint of release 0.1
        env.returns = arrays["returns"].copy()


def scale(arrays: Arrays, settings: Mapping[str, Any]) -> ObservationScale | None:
    """Return how the observations of a saved agent are normalised, None where they are not."""
    if not settings["norm_obs"]:
        return None
    return ObservationScale(
        mean=arrays["observations.mean"],
        var=arrays["observations.var"],
        clip_obs=float(settings["clip_obs"]),
        epsilon=float(settings["epsilon"]),
    )
