"""A project's learner with a loop of its own: one file of code, one of configuration, no more."""

import shutil
from pathlib import Path

import pytest

from abx_amr.cli import evaluate, init, train, tune
from abx_amr.runs.folder import newest_run
from tests.agents import hill_climbing
from tests.cli.conftest import Call

BARE = ("figures=false", "report=false")
CLINIC = (
    "environment.max_time_steps=16",
    "training.n_envs=2",
    "training.num_eval_episodes=3",
    *BARE,
)
OFTEN = ("training.eval_freq_every_n_episodes=2", "training.save_freq_every_n_episodes=2")


@pytest.fixture
def project(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with the learner in it and work there."""
    assert call(init.main, "mine").status == 0
    root = tmp_path / "mine"
    monkeypatch.chdir(root)
    shutil.copy(hill_climbing.__file__, root / "components" / "climbing.py")
    (root / "conf" / "agent_algorithm" / "climbing.yaml").write_text(
        "# Climbs. Code: components/climbing.py\n"
        "_target_: components.climbing.HillClimbing\n"
        "step_size: 0.5\n"
    )
    return root


def test_it_is_trained_resumed_and_evaluated_by_the_commands(call: Call, project: Path) -> None:
    agent = ("agent_algorithm=climbing", *CLINIC, *OFTEN)
    ended = call(train.main, *agent, "run_name=climbs", "training.total_num_training_episodes=4")
    assert ended.status == 0, ended.err
    assert newest_run("results", "climbs").read_summary()["transitions"] == 64
    more = call(
        train.main, "resume_from=climbs", "training.additional_episodes=4", "run_name=on", *BARE
    )
    assert more.status == 0, more.err
    resumed = newest_run("results", "on")
    whole = call(train.main, *agent, "run_name=whole", "training.total_num_training_episodes=8")
    assert whole.status == 0, whole.err
    expected = newest_run("results", "whole")
    assert resumed.evaluations_file.read_bytes() == expected.evaluations_file.read_bytes()
    played = call(evaluate.main, "run=whole", "evaluation.episodes=3", *BARE)
    assert played.status == 0, played.err
    assert "mean return" in played.out


def test_it_is_tuned_by_the_command_with_its_value_read_back(call: Call, project: Path) -> None:
    ended = call(
        tune.main, "-m", "+tuning=base", "agent_algorithm=climbing", *CLINIC, "run_name=found",
        "tuning.n_trials=2", "tuning.n_seeds_per_trial=2", "tuning.truncated_episodes=4",
        "tuning.final=false",
        "agent_algorithm.step_size=tag(log, interval(0.1, 2.0))",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    line = next(x for x in ended.out.splitlines() if "agent_algorithm.step_size" in x)
    _, value, read_back = line.split()
    assert float(value) == pytest.approx(float(read_back))


def test_a_value_out_of_range_is_refused_in_one_line(call: Call, project: Path) -> None:
    ended = call(train.main, "agent_algorithm=climbing", "agent_algorithm.step_size=-1", *CLINIC)
    assert ended.status == 2
    assert "step_size" in ended.err
    assert len(ended.err.strip().splitlines()) == 1
