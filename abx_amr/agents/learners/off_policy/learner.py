"""A Q-learner of Stable-Baselines3 or sb3-contrib as a learner of the house."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from abx_amr.agents.learners.off_policy.agent import QAgent
from abx_amr.agents.learners.off_policy.building import QLearnerSpec, build_agent
from abx_amr.agents.learners.off_policy.policy import GreedyPolicy
from abx_amr.agents.learners.off_policy.saving import loaded, restored
from abx_amr.agents.learners.on_policy.device import check_device
from abx_amr.agents.prescriber import Learner, StoredAgent
from abx_amr.envs.joint_actions import joint_actions
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel


@dataclass(frozen=True, kw_only=True)
class QLearner(QLearnerSpec, Learner):
    """DQN and its kin: a value for each joint action, learned from a buffer of transitions."""

    def build(self, model: ClinicModel, settings: TrainingSettings) -> QAgent:
        """Return an untrained agent in its training environment.

        Raises:
            InputError: it cannot be trained as asked in these settings.
        """
        if settings.vec_normalize.enabled:
            raise InputError(
                f"training.vec_normalize.enabled must be false for {self.algorithm.__name__}: its "
                "buffer holds observations and rewards as they are"
            )
        rows = joint_actions(model)
        return QAgent(build_agent(self, model, settings), rows)

    def restore(
        self, stored: StoredAgent, model: ClinicModel, settings: TrainingSettings
    ) -> QAgent:
        """Return the agent that was saved, in an environment of its own."""
        return QAgent(restored(stored, self, model, settings), joint_actions(model))

    def load(self, stored: StoredAgent, model: ClinicModel, *, name: str) -> GreedyPolicy:
        """Return the saved agent as a policy over a clinic's raw observations."""
        return loaded(stored, self, model, name=name)

    def check_clinic(self, model: ClinicModel) -> None:
        """Refuse a clinic with more joint actions than a network can give values to."""
        joint_actions(model)

    def check_device(self) -> None:
        """Refuse a device that torch does not know or that this machine lacks."""
        check_device(self.arguments.get("device", "auto"))
