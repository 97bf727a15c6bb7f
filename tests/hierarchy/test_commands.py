"""The commands do for managers what they do for flat agents: train, resume, evaluate, tune."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from abx_amr import load_policy
from abx_amr.cli import evaluate, train, tune
from abx_amr.hierarchy.policy import HierarchicalPolicy
from abx_amr.runs.folder import RunFolder, newest_run
from tests.cli.conftest import Call, call

__all__ = ["call"]

TINY = (
    "environment.max_time_steps=16",
    "training.n_envs=2",
    "training.num_eval_episodes=3",
    "agent_algorithm.n_steps=8",
    "agent_algorithm.batch_size=4",
    "agent_algorithm.n_epochs=1",
    "agent_algorithm.policy_kwargs.net_arch=[4]",
    "figures=false",
    "report=false",
)
OFTEN = ("training.eval_freq_every_n_episodes=1", "training.save_freq_every_n_episodes=1")


def episodes(count: int) -> str:
    return f"training.total_num_training_episodes={count}"


def folder(name: str) -> RunFolder:
    return newest_run("results", name, only_complete=True)


@pytest.mark.parametrize("algorithm", ["hrl_ppo", pytest.param("hrl_rppo", marks=pytest.mark.slow)])
def test_a_resumed_manager_equals_an_uninterrupted_one_to_the_bit(
    call: Call, algorithm: str
) -> None:
    start = (*TINY, f"agent_algorithm={algorithm}", *OFTEN)
    assert call(train.main, *start, episodes(20), "run_name=whole").status == 0
    assert call(train.main, *start, episodes(9), "run_name=part").status == 0
    middle = folder("part").read_checkpoint("last").state
    assert middle["clinic.clinics.time"].max() > 0  # not all at the end of an episode
    assert ("lstm.pi.0" in middle) == (algorithm == "hrl_rppo")
    ended = call(train.main, f"resume_from={folder('part').path}", episodes(20), "run_name=rest")
    assert ended.status == 0, ended.err
    whole, rest = folder("whole"), folder("rest")
    pd.testing.assert_frame_equal(whole.read_evaluations(), rest.read_evaluations())
    pd.testing.assert_frame_equal(whole.read_option_usage(), rest.read_option_usage())
    for name, values in whole.read_checkpoint("last").state.items():
        assert (rest.read_checkpoint("last").state[name] == values).all(), name


def test_a_managers_run_is_evaluated_with_its_own_library_and_leaves_its_diagnostics(
    call: Call,
) -> None:
    start = (*TINY, "experiment=hrl_ppo_default", "option_library=heuristic")
    assert call(train.main, *start, episodes(4), "run_name=first").status == 0
    ended = call(
        evaluate.main, "run=first", "evaluation.episodes=4", "against=greedy", "report=false"
    )
    assert ended.status == 0, ended.err
    run = folder("first_evaluated")
    decisions = run.read_decisions()
    assert decisions["episode"].nunique() == 4
    assert decisions.groupby("episode")["duration"].sum().tolist() == [16] * 4
    assert set(decisions["option"]) <= set(run.read_option_usage()["option"])
    assert decisions.groupby("episode")["reward"].sum().to_numpy() == pytest.approx(
        run.read_evaluations()["episode_return"].to_numpy()
    )
    usage = folder("first").read_option_usage()
    assert usage["seed"].unique().tolist() == [42]
    assert usage["transitions"].max() == folder("first").read_summary()["transitions"] >= 64
    for table in ("option_by_amr", "option_transitions", "option_trigrams"):
        assert run.option_table_file(table).is_file()
    drawn = {file.stem for file in (run.path / "figures").iterdir()}
    assert drawn >= {"option_usage", "option_durations", "option_by_amr", "option_transitions"}
    policy = load_policy(folder("first").path, checkpoint="last")
    assert isinstance(policy, HierarchicalPolicy)
    assert "HEURISTIC_A_0_2" in policy.library.names


def test_a_manager_moves_to_another_clinic_only_where_it_sees_and_chooses_the_same(
    call: Call,
) -> None:
    assert call(train.main, *TINY, "agent_algorithm=hrl_ppo", episodes(2)).status == 0
    few = ("evaluation.episodes=2", "figures=false", "report=false")
    fits = call(evaluate.main, "run=base_hrl_ppo", "reward_calculator.lambda_weight=0.5", *few)
    assert fits.status == 0, fits.err
    more = "patient_generator.visible_patient_attributes=[prob_infected,benefit_value_multiplier]"
    refused = call(evaluate.main, "run=base_hrl_ppo", more)
    assert refused.status == 2
    assert "expects observations of shape" in refused.err
    missing = call(evaluate.main, "run=base_hrl_ppo", "antibiotics=single")
    assert missing.status == 2
    assert "option 'B_5'" in missing.err


def test_a_library_that_does_not_fit_the_clinic_ends_before_anything_is_written(
    call: Call,
) -> None:
    ended = call(train.main, *TINY, "agent_algorithm=hrl_ppo", "antibiotics=single")
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert "option 'B_5': antibiotic 'B' is not in the formulary" in ended.err
    assert not Path("results").exists()


STUDY = (
    "-m",
    "+tuning=hrl_ppo_default",
    *TINY,
    "tuning.n_seeds_per_trial=2",
    "tuning.truncated_episodes=2",
    "tuning.final=false",
    "~tuning.search_space.n_steps",
    "~tuning.search_space.batch_size",
    "~tuning.search_space.n_epochs",
)


def test_a_managers_study_ends_resumes_and_its_best_parameters_are_trained_with(
    call: Call,
) -> None:
    started = call(tune.main, *STUDY, "tuning.n_trials=3", "tuning.n_trials_per_worker=2")
    assert started.status == 0, started.err
    study = Path("optimization/hrl_ppo_default")
    assert not (study / "best_params.json").is_file()
    ended = call(tune.main, *STUDY, "tuning.n_trials=3")
    assert ended.status == 0, ended.err
    summary = json.loads((study / "study_summary.json").read_text())
    assert summary["n_finished"] == 3
    best = json.loads((study / "best_params.json").read_text())
    assert "hrl.option_gamma" in best
    effective: dict[str, Any] = summary["best_trial"]["effective_values"]
    assert effective == pytest.approx(best)  # read back from the built manager
    library = yaml.safe_load((study / "option_library.yaml").read_text())
    assert "ALT_AABBA" in library["options"]
    tuning = yaml.safe_load((study / "tuning_config.yaml").read_text())["tuning"]
    assert tuning["stability_penalty_weight"] == 0.3

    (line,) = [s for s in ended.out.splitlines() if s.startswith("train with them:")]
    pasted = shlex.split(line.split("abx-train ")[1])
    trained = call(train.main, *pasted, episodes(2), *TINY[-2:], "training.n_envs=2")
    assert trained.status == 0, trained.err
    run = folder("hrl_ppo_default_optimized")
    assert run.read_config()["option_library"] == library
    assert run.read_config()["hrl"]["option_gamma"] == best["hrl.option_gamma"]
    assert run.read_summary()["effective_values"] == pytest.approx(best)
    other = call(tune.main, *STUDY, "tuning.n_trials=3", "option_library=heuristic")
    assert other.status == 2
    assert "Configuration Mismatch" in other.err
    assert "option_library" in other.err


def test_a_study_over_another_library_is_trained_with_it_also_where_the_agent_is_chosen(
    call: Call,
) -> None:
    study = (*STUDY, "tuning.n_trials=1", "tuning.n_seeds_per_trial=1", "run_name=mine")
    endless = "+option_library.options.endless={type: block, antibiotic: A, duration: inf}"
    started = call(tune.main, *study, "option_library=heuristic", endless)
    assert started.status == 0, started.err
    few = (*TINY[:2], *TINY[-2:], episodes(1), "best_params_from=mine")
    ended = call(
        train.main, *few, "agent_algorithm=hrl_ppo", "hrl.option_gamma=0.5", "run_name=chosen"
    )
    assert ended.status == 0, ended.err
    config = folder("chosen").read_config()
    assert "HEURISTIC_0_0" in config["option_library"]["options"]
    assert config["option_library"]["options"]["endless"]["duration"] == math.inf
    assert config["hrl"]["option_gamma"] == 0.5  # explicit values win
    best = json.loads(Path("optimization/mine/best_params.json").read_text())
    learning_rate = best["agent_algorithm.learning_rate"]
    assert config["agent_algorithm"]["learning_rate"] == learning_rate  # a choice is no value
