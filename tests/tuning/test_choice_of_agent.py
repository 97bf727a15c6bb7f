"""A study that chooses between agents builds, reads back and hands on the one that is chosen."""

import json
from pathlib import Path

import pytest
import yaml

from abx_amr.cli import train, tune
from abx_amr.configuration.composing import resolved
from abx_amr.errors import InputError
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.study import TuningStudy, settled
from tests.cli.conftest import SMALL, Call

AGENT, GAMMA = "agent_algorithm", "agent_algorithm.gamma"
OF_BOTH = [one for one in SMALL if not one.startswith((f"{AGENT}.batch", f"{AGENT}.n_ep"))]
CHOICE = (f"{AGENT}=choice(ppo,a2c)", "run_name=s", *OF_BOTH, "~tuning.search_space.batch_size")


def study_of(*overrides: str) -> TuningStudy:
    return TuningStudy(settled(resolved(composed_study("+tuning=ppo_default", *overrides))))


def test_each_agent_is_built_as_it_is_chosen_and_its_values_are_read_back() -> None:
    study = study_of(*CHOICE)
    points = study.points
    points.check()
    a2c = {AGENT: "a2c", GAMMA: 0.98}
    learner, settings = points.agent(a2c, 1000)
    assert learner.build(points.model, settings).snapshot()["gamma"] == 0.98
    assert type(points.agent({AGENT: "ppo"}, 1000)[0]) is type(learner)
    assert points.configured(a2c)[AGENT]["_target_"] == "stable_baselines3.A2C"
    assert "clip_range" not in points.configured(a2c)[AGENT]
    assert settings.total_num_training_episodes == 50
    assert points.agent({AGENT: "ppo"}, 1000)[1].total_num_training_episodes == 300
    of_a2c = points.read_back_names_at(a2c)
    assert of_a2c[GAMMA] == "gamma"
    assert f"{AGENT}.clip_range" not in of_a2c
    assert points.read_back_names_at({AGENT: "ppo"})[f"{AGENT}.clip_range"] == "clip_range"


def test_a_value_that_one_agent_alone_has_is_given_to_it_as_a_single_choice() -> None:
    study = study_of(*CHOICE, f"{AGENT}.target_kl=tag('when {AGENT}=ppo',choice(0.5))")
    assert study.points.read_back_names_at({AGENT: "ppo"})[f"{AGENT}.target_kl"] == "target_kl"


def test_a_rule_among_the_choices_is_refused() -> None:
    with pytest.raises(InputError, match="greedy is a fixed rule, there is nothing to tune"):
        study_of(f"{AGENT}=choice(ppo,greedy)", "run_name=s")


@pytest.mark.slow
def test_the_chosen_agent_is_trained_with_what_the_study_found(call: Call) -> None:
    command = (
        "-m",
        "+tuning=ppo_default",
        *CHOICE,
        "tuning.n_trials=2",
        "tuning.n_seeds_per_trial=1",
    )
    ended = call(tune.main, *command, "tuning.truncated_episodes=2", "tuning.final=false")
    assert ended.status == 0, ended.err
    assert "a2c is searched as +tuning=a2c_default says" in ended.out
    assert "agent_algorithm: one of ppo, a2c; the default is that of ppo" in ended.out
    again = call(tune.main, *command, "tuning.truncated_episodes=2", "agent_algorithm.vf_coef=0.9")
    assert "members.agent_algorithm.a2c.agent_algorithm.vf_coef 0.5 -> 0.9" in again.err
    a2c = {AGENT: "a2c", GAMMA: 0.98}
    Path("optimization/s/best_params.json").write_text(json.dumps(a2c))
    trained = call(train.main, "best_params_from=s", *OF_BOTH, "run_name=t")
    assert trained.status == 0, trained.err
    (folder,) = Path("results").glob("t_*")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config[AGENT]["_target_"] == "stable_baselines3.A2C"
    assert config[AGENT]["gamma"] == 0.98
