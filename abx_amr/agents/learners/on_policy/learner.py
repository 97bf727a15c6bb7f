"""An on-policy algorithm of Stable-Baselines3 or sb3-contrib as a learner of the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.on_policy.building import AgentSpec, build_agent
from abx_amr.agents.learners.on_policy.device import check_device
from abx_amr.agents.learners.on_policy.saving import loaded, restored
from abx_amr.agents.learners.on_policy.together import SeedBatchedTrainer, is_covered
from abx_amr.agents.learners.seed_batched.playing import quick
from abx_amr.agents.prescriber import Agent, Learner, StoredAgent, Trainer
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import Policy

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel


@dataclass(frozen=True, kw_only=True)
class OnPolicyLearner(AgentSpec, Learner):
    """The algorithm's class, its constructor's arguments and its role in the clinic."""

    @property
    def keeps_pace(self) -> bool:
        """Whether a transition is a step: managers count primitive steps, each at its own pace."""
        return not self.role.decisions_last

    def build(self, model: ClinicModel, settings: TrainingSettings) -> OnPolicyAgent:
        """Return an untrained agent in its training environment.

        Raises:
            InputError: it cannot be trained as asked in these settings.
        """
        normalised = settings.vec_normalize
        if self.techniques.sees_log_levels and normalised.enabled and normalised.norm_obs:
            raise InputError(
                "agent_algorithm.sees_log_levels=true takes the logarithm of levels from 0 to 1: "
                "set it to false, or training.vec_normalize.norm_obs=false"
            )
        algorithm = build_agent(self, model, settings)
        only = self.techniques.of_the_seed_batched_trainer
        if only and not is_covered(algorithm, settings):
            raise InputError(
                f"agent_algorithm.{only[0]}=true is for agents of the seed-batched trainer: set it "
                "to false, or choose agent_algorithm=ppo with training.seed_batched=true"
            )
        return OnPolicyAgent(algorithm)

    def restore(
        self, stored: StoredAgent, model: ClinicModel, settings: TrainingSettings
    ) -> OnPolicyAgent:
        """Return the agent that was saved, in an environment of its own."""
        return OnPolicyAgent(*restored(stored, self, model, settings))

    def load(self, stored: StoredAgent, model: ClinicModel, *, name: str) -> Policy:
        """Return the saved agent as a policy over a clinic's raw observations."""
        trained = loaded(stored, self, model, name=name)
        return cast(Policy, self.role.prescriber(quick(trained), model))

    def check_clinic(self, model: ClinicModel) -> None:
        """Refuse a clinic for which its options cannot be made."""
        self.role.spaces(model)

    def check_device(self) -> None:
        """Refuse a device that torch does not know or that this machine lacks."""
        check_device(self.arguments.get("device", "auto"))

    def can_learn_together(self, agent: Agent, settings: TrainingSettings) -> bool:
        """Return whether the seed-batched trainer takes agents like this one."""
        return is_covered(cast(OnPolicyAgent, agent).algorithm, settings)

    def trainer(self, agents: Sequence[Agent], settings: TrainingSettings) -> Trainer:
        """Return the seed-batched trainer, for one seed too, or the library's own loop."""
        if self.can_learn_together(agents[0], settings):
            ours = cast("Sequence[OnPolicyAgent]", agents)
            return SeedBatchedTrainer(ours, threads=settings.threads)
        return super().trainer(agents, settings)
