"""Every shipped configuration composes, builds and runs; what is built is what was written."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from abx_amr import configuration
from abx_amr.configuration import compose, conf_dir
from abx_amr.errors import InputError
from abx_amr.evaluation import evaluate
from abx_amr.learning import build_agent, counts_decisions, rollouts, silent_logger

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
TUNINGS = sorted(file.stem for file in (conf_dir() / "tuning").glob("*_default.yaml"))


@pytest.mark.parametrize(("group", "name"), SHIPPED)
def test_every_shipped_clinic_is_built_and_played(group: str, name: str) -> None:
    overrides = [f"{group}={name}", "agent_algorithm=random", "environment.max_time_steps=12"]
    if name == "paper":  # these parts belong to clinics whose parts fit together
        overrides.append("experiment=paper_two")
    config = compose("train", overrides).plain
    model = configuration.build_clinic(config)
    played = evaluate(configuration.build_rule(config, model), model, episodes=3, seed=0)
    assert np.isfinite(played.returns).all()
    assert sum(played.episodes[f"prescriptions_{a}"].sum() for a in model.antibiotics) > 0


@pytest.mark.parametrize("name", AGENTS)
def test_every_shipped_agent_is_built_and_plays_or_learns(name: str) -> None:
    torch.set_num_threads(1)
    overrides = [f"agent_algorithm={name}", "environment.max_time_steps=8", "training.n_envs=4"]
    config = compose("train", overrides).plain
    model = configuration.build_clinic(config)
    if configuration.is_rule(config):
        rule = configuration.build_rule(config, model)
        assert evaluate(rule, model, episodes=2, seed=0).returns.shape == (2,)
        return
    settings = configuration.build_training(config)
    agent = build_agent(configuration.build_agent_spec(config), model, settings)
    agent.set_logger(silent_logger())
    seen = list(rollouts(agent, 32))
    # A manager's rollout is counted in the steps of its options: it is never shortened.
    assert seen[-1] >= 32 if counts_decisions(agent) else seen == [32]


@pytest.mark.parametrize("name", TUNINGS)
def test_every_shipped_search_space_fits_its_algorithm(name: str) -> None:
    from abx_amr.studies.study import StudyPlan

    composition = compose("tune", [f"+tuning={name}", "run_name=x"])
    plan = StudyPlan.from_configuration(composition.plain)
    assert composition.choices["agent_algorithm"] == name.removesuffix("_default")
    others = [path for path in plan.space if not path.startswith("agent_algorithm.")]
    assert others == (["hrl.option_gamma"] if name.startswith("hrl_") else [])


def test_the_defaults_of_the_contract_are_the_shipped_ones() -> None:
    config = compose("train").plain
    assert config["environment"]["num_patients_per_time_step"] == 5
    assert config["environment"]["max_time_steps"] == 500
    assert config["antibiotics"]["cross_resistance"] == {"A": {"B": 0.3}, "B": {"A": 0.1}}
    assert config["training"]["total_num_training_episodes"] == 25
    ppo = config["agent_algorithm"]
    assert (ppo["learning_rate"], ppo["n_steps"], ppo["batch_size"]) == (3e-4, 2048, 64)
    a2c = compose("train", ["agent_algorithm=a2c"]).plain["agent_algorithm"]
    assert (a2c["learning_rate"], a2c["n_steps"], a2c["gae_lambda"]) == (7e-4, 40, 1.0)


@pytest.mark.parametrize("file", sorted(conf_dir().rglob("*.yaml")), ids=lambda f: f.stem)
def test_every_configuration_file_says_what_it_is(file: Path) -> None:
    lines = file.read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert comment.startswith("# ")
    assert len(comment) > 20


def test_an_algorithm_that_prescribes_for_nobody_is_refused() -> None:
    config = compose("train", ["agent_algorithm._target_=stable_baselines3.SAC"]).plain
    with pytest.raises(InputError, match="on-policy algorithm"):
        configuration.build_agent_spec(config)


def test_a_schedule_reaches_the_optimiser() -> None:
    config = compose("train", ["agent_algorithm=ppo_linear", "training.n_envs=8"]).plain
    model = configuration.build_clinic(config)
    agent = build_agent(
        configuration.build_agent_spec(config), model, configuration.build_training(config)
    )
    assert agent.lr_schedule(1.0) == pytest.approx(3e-4)
    assert agent.lr_schedule(0.5) == pytest.approx(1.5e-4)
    assert agent.clip_range(0.0) == pytest.approx(0.05)  # type: ignore[attr-defined]


def test_a_users_own_classes_are_found_by_their_dotted_path() -> None:
    own = "tests.examples.own_components"
    drug = "{adverse_effect_penalty: -1.0, adverse_effect_probability: 0.1}"
    overrides = [
        "~amr_dynamics",
        f"+amr_dynamics={{_target_: {own}.FadingMemory, half_life: 10.0, growth: 0.05}}",
        "~antibiotics",
        f"+antibiotics={{drugs: {{A: {drug}, B: {drug}}}}}",
        "~patient_generator",
        f"+patient_generator={{_target_: {own}.Seasons, low: 0.2, high: 0.9}}",
        "agent_algorithm=random",
        "environment.max_time_steps=5",
    ]
    config = compose("train", overrides).plain
    model = configuration.build_clinic(config)
    assert type(model.dynamics).__module__ == type(model.population).__module__ == own
    played = evaluate(configuration.build_rule(config, model), model, episodes=2, seed=0)
    assert np.isfinite(played.returns).all()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("own_parts.alarm7.Alarm8", "own_parts/alarm7.py has no class 'Alarm8'; did you mean "),
        ("own_parts.alarn7.Alarm7", "no module 'own_parts.alarn7'; did you mean 'alarm7'?"),
        ("own_part.alarm7.Alarm7", "no module 'own_part'; did you mean 'own_parts'?"),
        ("own_parts.broken.Alarm7", "own_parts/broken.py line 2: "),
        ("own_parts.needs.Alarm7", "own_parts/needs.py line 1: No module named 'nowhere_at_all'"),
        ("own_parts.fails.Alarm7", "own_parts/fails.py line 2: NameError: name 'lenght'"),
        ("nothing_like.it.Alarm7", "there is no module 'nothing_like'; a class of a project is "),
        ("stable_baselines3.PPPO", "stable_baselines3 has no 'PPPO'; did you mean 'PPO'?"),
    ],
)
def test_an_import_that_fails_blames_what_is_wrong(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    parts = tmp_path / "own_parts"
    parts.mkdir()
    (parts / "alarm7.py").write_text("class Alarm7:\n    pass\n")
    (parts / "broken.py").write_text("class Alarm7:\n    def f(self:\n        pass\n")
    (parts / "needs.py").write_text("import nowhere_at_all\n\nclass Alarm7:\n    pass\n")
    (parts / "fails.py").write_text("class Alarm7:\n    size = lenght\n")
    try:
        with pytest.raises(InputError) as raised:
            configuration.locate(target, key="agent_algorithm._target_")
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "own_parts"]:
            del sys.modules[name]
    line = str(raised.value)
    assert line.startswith(f"agent_algorithm._target_: '{target}' cannot be imported: ")
    assert said in line
    assert "give the dotted path" not in line
