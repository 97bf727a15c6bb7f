"""Every shipped configuration composes, builds and runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from abx_amr.agents.techniques import NAMES as TECHNIQUES
from abx_amr.configuration.agent import build_prescriber
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import conf_dir
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.episodes import evaluate
from abx_amr.studies.fingerprint import LATER_DEFAULTS

CLINIC_GROUPS = (
    "experiment",
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
)
SHIPPED = [
    (group, file.stem)
    for group in CLINIC_GROUPS
    for file in sorted((conf_dir() / group).glob("*.yaml"))
]
AGENTS = sorted(file.stem for file in (conf_dir() / "agent_algorithm").glob("*.yaml"))
TUNINGS = sorted(file.stem for file in (conf_dir() / "tuning").glob("*_*.yaml"))


@pytest.mark.parametrize(("group", "name"), SHIPPED)
def test_every_shipped_clinic_is_built_and_played(group: str, name: str) -> None:
    overrides = [f"{group}={name}", "agent_algorithm=random", "environment.max_time_steps=12"]
    if name == "paper":  # these parts belong to clinics whose parts fit together
        overrides.append("experiment=paper_two")
    config = compose("train", overrides).plain
    model = build_clinic(config)
    rule: Any = build_prescriber(config)
    played = evaluate(rule.policy(model), model, episodes=3, seed=0)
    assert np.isfinite(played.returns).all()
    assert sum(played.episodes[f"prescriptions_{a}"].sum() for a in model.antibiotics) > 0


@pytest.mark.parametrize("name", AGENTS)
def test_every_shipped_agent_is_built_and_plays_or_learns(name: str) -> None:
    torch.set_num_threads(1)
    overrides = [f"agent_algorithm={name}", "environment.max_time_steps=8", "training.n_envs=4"]
    config = compose("train", overrides).plain
    model = build_clinic(config)
    prescriber: Any = build_prescriber(config)
    if not prescriber.learns:
        played = evaluate(prescriber.policy(model), model, episodes=2, seed=0)
        assert played.returns.shape == (2,)
        return
    agent = prescriber.build(model, build_training(config))
    agent.log_to(None)
    seen = list(agent.learn(32))
    # A manager's rollout is counted in the steps of its options: it is never shortened, nor is a
    # generation of candidates.
    is_shortened = prescriber.keeps_pace and name != "policy_search"
    assert seen[-1] == 32 if is_shortened else seen[-1] >= 32


@pytest.mark.parametrize("name", TUNINGS)
def test_every_shipped_search_space_fits_its_algorithm(name: str) -> None:
    from abx_amr.studies.settings import StudySettings

    composition = compose("tune", [f"+tuning={name}", "run_name=x"])
    plan = StudySettings.from_configuration(composition.plain)
    assert composition.choices["agent_algorithm"] == name.removesuffix("_default")
    others = [path for path in plan.space.paths if not path.startswith("agent_algorithm.")]
    assert others == (["hrl.option_gamma"] if name.startswith("hrl_") else [])


def test_the_defaults_of_the_contract_are_the_shipped_ones() -> None:
    config = compose("train").plain
    assert config["environment"]["num_patients_per_time_step"] == 5
    assert config["environment"]["max_time_steps"] == 500
    assert config["antibiotics"]["cross_resistance"] == {"A": {"B": 0.3}, "B": {"A": 0.1}}
    assert config["training"]["total_num_training_episodes"] == 1000
    ppo = compose("train", ["agent_algorithm=ppo_tutorial"]).plain["agent_algorithm"]
    assert (ppo["learning_rate"], ppo["n_steps"], ppo["batch_size"]) == (3e-4, 2048, 64)
    a2c = compose("train", ["agent_algorithm=a2c"]).plain["agent_algorithm"]
    assert (a2c["learning_rate"], a2c["n_steps"], a2c["gae_lambda"]) == (7e-4, 40, 1.0)


def test_the_agent_of_the_tutorials_has_none_of_the_techniques_that_came_later() -> None:
    ppo = compose("train", ["agent_algorithm=ppo_tutorial"]).plain["agent_algorithm"]
    later = {path.removeprefix("agent_algorithm."): value for path, value in LATER_DEFAULTS.items()}
    assert {name: ppo[name] for name in later if name in TECHNIQUES} == {
        name: value for name, value in later.items() if name in TECHNIQUES
    }


@pytest.mark.parametrize("file", sorted(conf_dir().rglob("*.yaml")), ids=lambda f: f.stem)
def test_every_configuration_file_says_what_it_is(file: Path) -> None:
    lines = file.read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert comment.startswith("# ")
    assert len(comment) > 20
