"""Small clinics, libraries and managers, built as the commands build them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.learner import OnPolicyLearner
from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.settings import TrainingSettings
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.hierarchy.library import OptionEntry, OptionLibrary
from abx_amr.hierarchy.options import Alternation, Block, Heuristic
from abx_amr.simulator.model import ClinicModel

SMALL = (
    "environment.max_time_steps=20",
    "training.n_envs=4",
    "training.num_eval_episodes=4",
    "agent_algorithm=hrl_ppo",
    "agent_algorithm.n_steps=16",
    "agent_algorithm.batch_size=8",
    "agent_algorithm.n_epochs=2",
    "agent_algorithm.policy_kwargs.net_arch=[8]",
)

Parts = tuple[OnPolicyLearner, ClinicModel, TrainingSettings]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def parts(*overrides: str, **settings: Any) -> Parts:
    config = compose("train", [*SMALL, *overrides]).plain
    return (
        build_learner(config),
        build_clinic(config),
        replace(build_training(config), **settings),
    )


def manager(*overrides: str, **settings: Any) -> Any:
    agent = build_agent(*parts(*overrides, **settings))
    agent.set_logger(silent_logger())
    return agent


def block(name: str, antibiotic: str, duration: float) -> OptionEntry:
    return OptionEntry(
        name=name, made=Block, arguments={"antibiotic": antibiotic, "duration": duration}
    )


def alternation(name: str, *sequence: str) -> OptionEntry:
    return OptionEntry(name=name, made=Alternation, arguments={"sequence": list(sequence)})


def heuristic(name: str, **arguments: Any) -> OptionEntry:
    return OptionEntry(name=name, made=Heuristic, arguments={"duration": 10, **arguments})


def library(model: ClinicModel, *entries: OptionEntry) -> OptionLibrary:
    return OptionLibrary.build(model, entries)
