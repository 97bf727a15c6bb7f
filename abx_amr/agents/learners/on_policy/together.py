"""The agents of several seeds trained together by the seed-batched trainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.seed_batched.networks import why_not_covered
from abx_amr.agents.prescriber import Agent, Floats, Trainer
from abx_amr.agents.roles import role_of
from abx_amr.agents.torch_state import own_draws
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import episode_returns

if TYPE_CHECKING:
    from stable_baselines3 import PPO

    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.evaluation.tally import Tally
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)

_reasons_given: set[str] = set()


def is_covered(algorithm: OnPolicyAlgorithm, settings: TrainingSettings) -> bool:
    """Say whether the seed-batched trainer takes the agent; where it cannot, log why, once."""
    if not settings.seed_batched:
        return False
    reason = why_not_covered(algorithm)
    if reason is not None and reason not in _reasons_given:
        _reasons_given.add(reason)
        log.info("seeds are trained one after the other by the library's own trainer: %s", reason)
    return reason is None


class SeedBatchedTrainer(Trainer):
    """Trains one or more covered agents by `SeedBatchedPPO`."""

    def __init__(self, agents: Sequence[OnPolicyAgent], *, threads: int) -> None:
        """Take over agents that differ in nothing but their seed; `threads` learn at a time."""
        from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO

        self.agents = agents
        self.ppo = SeedBatchedPPO(
            [_ppo(agent) for agent in agents],
            threads=threads,
            streams=[agent.streams or None for agent in agents],
        )

    def rollouts(self, transitions: int) -> Iterator[int]:
        """Learn until every agent has seen `transitions`; yield the least count."""
        return self.ppo.rollouts(transitions)

    def publish(self) -> None:
        """Give the agents weights, optimiser, environment and streams as they are now."""
        self.ppo.publish()
        for agent in self.agents:
            agent.streams = self.ppo.streams(_ppo(agent))

    def leave(self, agent: Agent) -> None:
        """Let an agent's training end here."""
        self.ppo.leave(_ppo(agent))

    def failure(self, agent: Agent) -> InputError | None:
        """Return why an agent's loss is no longer finite."""
        return self.ppo.failure(_ppo(agent))

    def returns(
        self,
        agents: Sequence[Agent],
        model: ClinicModel,
        settings: TrainingSettings,
        *,
        tally: Tally | None = None,
    ) -> Floats:
        """Return each agent's returns (S, N), played side by side.

        Only managers, who decide at different steps, play by themselves.
        """
        if role_of(self.agents[0].algorithm).decisions_last:
            return super().returns(agents, model, settings, tally=tally)
        with own_draws(settings.evaluation_seed):
            return np.asarray(
                episode_returns(
                    self.ppo.policy([_ppo(agent) for agent in agents]),
                    model,
                    episodes=settings.num_eval_episodes,
                    seed=settings.evaluation_seed,
                    copies=len(agents),
                    tally=tally,
                )
            )


def _ppo(agent: Agent) -> PPO:
    return cast("PPO", cast(OnPolicyAgent, agent).algorithm)
