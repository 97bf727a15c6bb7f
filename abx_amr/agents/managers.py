"""PPO and recurrent PPO over options: the library's algorithms with a semi-Markov buffer.

Everything else, losses and optimisation included, is Stable-Baselines3's and sb3-contrib's own.
"""

from __future__ import annotations

from typing import Any

from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from abx_amr.agents.semi_markov import (
    RecordDecisions,
    SemiMarkovRecurrentRolloutBuffer,
    SemiMarkovRolloutBuffer,
)
from abx_amr.hierarchy.manager import ManagerRole


def _recording_decisions(callback: Any) -> list[BaseCallback]:
    given = callback if isinstance(callback, list) else [callback] if callback is not None else []
    return [RecordDecisions(), *given]


class ManagerPPO(PPO):
    """PPO whose transitions are decisions; `gamma` is per primitive step."""

    role = ManagerRole

    def _setup_model(self) -> None:
        self.rollout_buffer_class = SemiMarkovRolloutBuffer
        super()._setup_model()

    def _init_callback(self, callback: Any, progress_bar: bool = False) -> BaseCallback:
        return super()._init_callback(_recording_decisions(callback), progress_bar)


class ManagerRecurrentPPO(RecurrentPPO):
    """Recurrent PPO whose transitions are decisions; `gamma` is per primitive step."""

    role = ManagerRole

    def _setup_model(self) -> None:
        super()._setup_model()
        plain: Any = self.rollout_buffer
        self.rollout_buffer = SemiMarkovRecurrentRolloutBuffer(
            plain.buffer_size,
            plain.observation_space,
            plain.action_space,
            plain.hidden_state_shape,
            plain.device,
            gamma=plain.gamma,
            gae_lambda=plain.gae_lambda,
            n_envs=plain.n_envs,
        )

    def _init_callback(self, callback: Any, progress_bar: bool = False) -> BaseCallback:
        return super()._init_callback(_recording_decisions(callback), progress_bar)
