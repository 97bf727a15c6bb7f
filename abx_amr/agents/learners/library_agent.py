"""What agents of SB3 have in common, whatever they learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import configure

from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.prescriber import Agent


class LibraryAgent(Agent):
    """One seed's agent.

    Attributes:
        algorithm: The built algorithm of SB3.
    """

    algorithm: BaseAlgorithm

    @property
    def transitions(self) -> int:
        """The primitive steps it has made, all environments together."""
        return self.algorithm.num_timesteps

    @property
    def training_return(self) -> float | None:
        """Mean return of the last hundred episodes it has played; None before the first ends."""
        ended = self.algorithm.ep_info_buffer
        return float(np.mean([episode["r"] for episode in ended])) if ended else None

    def log_to(self, folder: Path | None) -> None:
        """Write the library's own TensorBoard logs to the folder; None: no logs."""
        self.algorithm.set_logger(
            silent_logger() if folder is None else configure(str(folder), ["tensorboard"])
        )

    def log(self, name: str, value: float) -> None:
        """Log a value at the present count of transitions."""
        self.algorithm.logger.record(name, value)
        self.algorithm.logger.dump(self.algorithm.num_timesteps)

    def close_log(self) -> None:
        """Write out what is logged."""
        self.algorithm.logger.close()
