"""abx-tune: a study that trains seeds, proves its values arrive, resumes, and hands on its best."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import PPO

from abx_amr.cli import train, tune
from abx_amr.runs.folder import newest_run
from abx_amr.runs.loading import load_policy
from abx_amr.studies.parameters import point_of
from tests.cli.conftest import SMALL, SMALL_STUDY, Call
from tests.slurm.studies import trials_in

FOUR_TRIALS = ("tuning.n_trials=4",)


class FailsForOneSeed(PPO):
    """An algorithm that breaks down for the second tuning seed."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.breaks = keywords["seed"] == 1001

    def train(self) -> None:
        """Break down, or learn."""
        if self.breaks:
            raise FloatingPointError("the loss is nan")
        super().train()


class AlwaysFails(PPO):
    """An algorithm that never learns."""

    def train(self) -> None:
        """Break down."""
        raise MemoryError("no memory left")


def summary(name: str = "ppo_default") -> dict[str, Any]:
    text = Path("optimization", name, "study_summary.json").read_text()
    return dict(json.loads(text))


def trials(name: str = "ppo_default") -> list[Any]:
    return trials_in(Path("optimization", name))


def running_trials(database: Path) -> int:
    """Return how many trials are running, without making the tables that are not there yet."""
    if not database.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'")
            return int(found.fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def values(name: str = "ppo_default") -> list[Any]:
    return [(t.params, t.value) for t in trials(name) if t.state.name == "COMPLETE"]


_finished: list[Path] = []  # a folder with a finished study, made once and copied


@pytest.fixture
def finished(call: Call, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A finished study of one trial, ppo_default, in the folder of this test."""
    if not _finished:
        ended = call(tune.main, *SMALL_STUDY, "tuning.n_trials=1")
        assert ended.status == 0, ended.err
        _finished.append(tmp_path_factory.mktemp("finished"))
        shutil.copytree("optimization", _finished[0], dirs_exist_ok=True)
    else:
        shutil.copytree(_finished[0], tmp_path / "optimization")


@pytest.mark.pictures
def test_one_command_ends_with_best_parameters_and_their_receipts(call: Call) -> None:
    ended = call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "figures=true")
    assert ended.status == 0, ended.err
    study = Path("optimization/ppo_default")
    best = json.loads((study / "best_params.json").read_text())
    searched = ("learning_rate", "gamma", "gae_lambda", "ent_coef", "clip_range")
    assert set(best) == {f"agent_algorithm.{name}" for name in searched}
    assert "abx-train best_params_from=ppo_default" in ended.out
    for file in ("full_agent_env_config.yaml", "tuning_config.yaml", "optuna_study.db"):
        assert (study / file).is_file()
    assert summary()["n_finished"] == 4
    assert {p.stem for p in (study / "figures").iterdir()} >= {"study_history", "seed_spread"}
    assert "ppo_default" in Path("optimization/.optimization_completed.txt").read_text()
    for trial in trials():
        effective = trial.user_attrs["effective_values"]
        point = point_of(trial.params)
        assert effective == pytest.approx(point)
        assert [s["seed"] for s in trial.user_attrs["seeds"]] == [1000, 1001]
        mean, std = trial.user_attrs["mean_reward"], trial.user_attrs["std_reward"]
        assert trial.value == pytest.approx(mean - 0.2 * std)
        for seed in (1000, 1001):
            file = study / "trials" / str(trial.number) / f"seed_{seed}" / "result.json"
            assert json.loads(file.read_text())["effective_values"] == pytest.approx(point)


def test_the_command_to_paste_keeps_the_clinic_that_was_tuned_in(call: Call) -> None:
    kept = ("antibiotics=single", "agent_algorithm.vf_coef=0.4", "training.num_eval_episodes=3")
    ended = call(tune.main, *SMALL_STUDY, *kept, "tuning.n_trials=1", "report=true")
    *_, page, line = ended.out.splitlines()
    assert page == "report:  optimization/ppo_default/report.html"
    assert line.startswith("train with them:  abx-train best_params_from=ppo_default")
    assert all(setting in line for setting in kept)
    assert "tuning." not in line


def test_one_minus_gamma_is_searched_on_a_log_scale_and_gamma_is_read_back(call: Call) -> None:
    searched = "agent_algorithm.one_minus_gamma=tag(log, interval(0.001, 0.1))"
    unsearched = ("~tuning.search_space.gamma", "tuning.n_trials=2")
    ended = call(tune.main, *SMALL_STUDY, *unsearched, searched)
    assert ended.status == 0, ended.err
    path = "agent_algorithm.one_minus_gamma"
    for trial in trials():
        assert trial.distributions[path].log
        assert trial.user_attrs["effective_values"][path] == pytest.approx(1 - trial.params[path])


def test_different_parameters_give_different_returns(call: Call) -> None:
    rates = "agent_algorithm.learning_rate=1e-6,1e-3,3e-2"
    grid = ("tuning.sampler=grid", "~tuning.search_space", rates)
    call(tune.main, *SMALL_STUDY[:-3], *grid, "tuning.n_trials=3", "tuning.truncated_episodes=10")
    assert len({t.value for t in trials()}) == 3


def test_an_interrupted_and_resumed_study_equals_an_uninterrupted_one(call: Call) -> None:
    call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "run_name=whole")
    call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "run_name=parts", "tuning.n_trials_per_worker=2")
    assert len(values("parts")) == 2
    call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "run_name=parts")
    assert values("parts") == values("whole")


@pytest.mark.usefixtures("warm_python")
def test_a_killed_study_ends_with_exactly_its_trials(call: Call, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "abx_amr.cli.tune", *SMALL_STUDY, *FOUR_TRIALS),
        "tuning.truncated_episodes=40",
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
    )
    begun = tmp_path / "optimization/ppo_default/trials/0/seed_1000/result.json"
    deadline = time.monotonic() + 600
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert begun.exists()
    ended = call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "tuning.truncated_episodes=40")
    assert ended.status == 0, ended.err
    states = [t.state.name for t in trials()]
    assert states.count("COMPLETE") == 4
    assert states.count("FAIL") <= 1
    assert set(states) <= {"COMPLETE", "FAIL"}


@pytest.mark.usefixtures("finished")
def test_changed_settings_are_a_mismatch_that_names_key_and_values(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=2", "reward_calculator.lambda_weight=0.5"
    )
    assert ended.status == 2
    assert "Configuration Mismatch Detected" in ended.err
    assert "reward_calculator.lambda_weight 0.0 -> 0.5" in ended.err
    assert "overwrite_existing_study=true" in ended.err
    assert ended.err.count("->") == 1
    assert len(trials()) == 1


@pytest.mark.usefixtures("finished")
def test_a_finished_study_prints_its_result_and_a_larger_budget_extends_it(call: Call) -> None:
    again = call(tune.main, *SMALL_STUDY, "tuning.n_trials=1")
    assert again.status == 0
    assert "best value" in again.out
    assert len(trials()) == 1
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=3")
    assert len(values()) == 3


def test_overwrite_starts_afresh_and_skip_leaves_alone(call: Call) -> None:
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=2")
    skipped = call(tune.main, *SMALL_STUDY, "tuning.n_trials=3", "skip_if_exists=true")
    assert "skipped" in skipped.out
    assert len(trials()) == 2
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=1", "overwrite_existing_study=true")
    assert len(trials()) == 1


@pytest.mark.usefixtures("warm_python")
def test_two_local_workers_share_one_exact_budget(call: Call) -> None:
    ended = call(tune.main, *SMALL_STUDY, "tuning.n_trials=5", "tuning.n_workers=2")
    assert ended.status == 0, ended.err
    assert len(values()) == 5


def test_a_failed_seed_is_recorded_on_its_trial(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=1", "tuning.n_seeds_per_trial=3",
        "agent_algorithm._target_=tests.cli.test_tune.FailsForOneSeed",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    (trial,) = trials()
    failures = {s["seed"]: s["failure"] for s in trial.user_attrs["seeds"]}
    assert failures[1001] == "FloatingPointError: the loss is nan"
    assert failures[1000] is None
    assert trial.user_attrs["mean_reward"] is not None


def test_a_trial_whose_seeds_all_fail_counts_and_the_study_goes_on(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=2",
        "agent_algorithm._target_=tests.cli.test_tune.AlwaysFails",
    )  # fmt: skip
    assert ended.status == 1
    assert "all 2 trials of the study failed: abx-study trials ppo_default" in ended.err
    assert [t.value for t in trials()] == [float("-inf")] * 2
    assert summary()["best_value"] is None
    assert not Path("optimization/ppo_default/best_params.json").exists()
    refused = call(train.main, "best_params_from=ppo_default")
    assert refused.status == 2
    assert "all 2 trials of the study failed" in refused.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+tuning.search_space.learning_rat={type:float,low:0.1,high:0.2}", "learning_rat"),
        ("tuning.search_space.gamma.low=0.9999", "gamma"),
        ("tuning.search_space.learning_rate.low=0", "learning_rate"),
        ("tuning.search_space.ent_coef.choices=[]", "ent_coef"),
        ("tuning.sampler=tpi", "did you mean 'tpe'"),
        ("tuning.pruner=median", "no pruner"),
        pytest.param("tuning.n_trials=0", "tuning.n_trials", marks=pytest.mark.slow),
        pytest.param("tuning.first_seed=5", "1000", marks=pytest.mark.slow),
        ("environment.max_time_steps=interval(10,20)", "environment"),
        ("training.total_num_training_episodes=range(1,5)", "changes nothing"),
        ("agent_algorithm.gamma=interval(1.5,2.0)", "agent_algorithm.gamma"),
    ],
)
def test_a_wrong_search_is_refused_before_anything_is_created(
    override: str, message: str, call: Call, tmp_path: Path
) -> None:
    ended = call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, override)
    assert ended.status == 2, ended.out
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "optimization").exists()


def test_the_command_line_adds_to_and_replaces_the_search_space(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=2",
        "agent_algorithm.ent_coef=0.02,0.03", "agent_algorithm.vf_coef=interval(0.1,0.9)",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    for trial in trials():
        assert trial.params["agent_algorithm.ent_coef"] in (0.02, 0.03)
        assert 0.1 <= trial.params["agent_algorithm.vf_coef"] <= 0.9


@pytest.mark.usefixtures("finished")
def test_without_m_the_composed_configuration_is_scored_as_a_trial_would_be(call: Call) -> None:
    (trial,) = trials()
    fixed = [f"{path}={value!r}" for path, value in point_of(trial.params).items()]
    ended = call(tune.main, *SMALL_STUDY[1:], *fixed, "run_name=scored")
    assert ended.status == 0, ended.err
    assert f"value {trial.value:.3f}" in ended.out


@pytest.mark.usefixtures("finished")
def test_training_takes_the_best_parameters_and_the_agent_has_them(call: Call) -> None:
    ended = call(
        train.main,
        *SMALL,
        "training.total_num_training_episodes=2",
        "best_params_from=ppo_default",
        "agent_algorithm.final_learning_rate=null",
    )
    assert ended.status == 0, ended.err
    run = newest_run("results", "ppo_default_optimized")
    best = json.loads(Path("optimization/ppo_default/best_params.json").read_text())
    assert run.read_summary()["tuned_values"] == best
    assert run.read_summary()["effective_values"] == pytest.approx(best)
    agent = load_policy(run.path, checkpoint="last").agent  # type: ignore[attr-defined]
    (group,) = agent.policy.optimizer.param_groups
    assert group["lr"] == best["agent_algorithm.learning_rate"]


@pytest.mark.usefixtures("finished")
def test_explicit_values_win_over_the_best_and_differences_are_named(call: Call) -> None:
    ended = call(
        train.main, *SMALL, "training.total_num_training_episodes=2",
        "best_params_from=ppo_default",
        "agent_algorithm.gamma=0.5", "reward_calculator.lambda_weight=0.3",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    run = newest_run("results", "ppo_default_optimized")
    assert run.read_config()["agent_algorithm"]["gamma"] == 0.5
    message = ended.out + ended.err
    assert "reward_calculator.lambda_weight 0.0 -> 0.3" in message
    assert message.count("another clinic than that of the study") == 1


@pytest.mark.usefixtures("finished")
def test_best_parameters_of_another_algorithm_are_refused(call: Call) -> None:
    ended = call(train.main, "agent_algorithm=a2c", "best_params_from=ppo_default")
    assert ended.status == 2
    assert "choose the same agent_algorithm" in ended.err


def test_an_unfinished_study_says_how_far_it_is(call: Call) -> None:
    call(tune.main, *SMALL_STUDY, *FOUR_TRIALS, "tuning.n_trials_per_worker=1", "run_name=mine")
    ended = call(train.main, "best_params_from=mine")
    assert ended.status == 2
    assert "1 of 4 trials are done" in ended.err


@pytest.mark.parametrize(
    "algorithm", [pytest.param("a2c", marks=pytest.mark.slow), "recurrent_ppo"]
)
def test_the_other_shipped_studies_run_end_to_end(call: Call, algorithm: str) -> None:
    small = [s for s in SMALL if algorithm != "a2c" or "batch_size" not in s]
    small = [s for s in small if algorithm != "a2c" or "n_epochs" not in s]
    ended = call(
        tune.main, "-m", f"+tuning={algorithm}_default", *small, "tuning.n_trials=1",
        "tuning.n_seeds_per_trial=1", "tuning.truncated_episodes=2", "tuning.final=false",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    (trial,) = trials(f"{algorithm}_default")
    searched = dict(trial.params)
    searched["agent_algorithm.gamma"] = 1 - searched.pop("1 - agent_algorithm.gamma")
    assert trial.user_attrs["effective_values"] == pytest.approx(searched)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.usefixtures("warm_python")
def test_an_interrupt_gives_the_trials_back_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "abx_amr.cli.tune", *SMALL_STUDY, *FOUR_TRIALS),
            *("tuning.truncated_episodes=100000", f"tuning.n_workers={workers}"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
    )
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "optimization/ppo_default/optuna_study.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running_trials(database) < workers:
        time.sleep(0.2)
    time.sleep(1.0)  # into the trial
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "run the same command again to go on" in errors
    assert "Traceback" not in errors
    states = [t.state.name for t in trials()]
    assert "RUNNING" not in states
    assert states.count("FAIL") == states.count("WAITING") > 0


def test_choices_that_are_swept_over_are_a_study_each(call: Call) -> None:
    small = [word for word in SMALL_STUDY if not word.startswith("+tuning")]
    command = [*small, "+tuning=ppo_default,ppo_tutorial", "tuning.n_trials=1"]
    both = call(tune.main, *command)
    assert both.status == 0, both.err
    assert "study 1 of 2: ppo_default" in both.out
    assert [summary(name)["n_finished"] for name in ("ppo_default", "ppo_tutorial")] == [1, 1]
    again = call(tune.main, *command, "run_name=x", "experiment=paper_two,no_such")
    assert again.status == 2
    assert "no_such" in again.err
    assert not Path("optimization/x_ppo_default_paper_two").exists()  # all are read before one runs


def test_a_study_that_is_refused_costs_only_itself(call: Call) -> None:
    Path("conf/tuning").mkdir(parents=True)
    Path("conf/tuning/narrow.yaml").write_text(
        "defaults: [ppo_default]\nsearch_space: {gamma: {low: 3.0}}\n"
    )
    small = [word for word in SMALL_STUDY if not word.startswith("+tuning")]
    ended = call(
        tune.main,
        *(*small, "--config-dir", "conf", "+tuning=narrow,ppo_default", "tuning.n_trials=1"),
    )
    assert ended.status == 2
    assert "abx-tune: error: " in ended.err
    assert "1 of 2 studies are done, not narrow" in ended.err
    assert summary("ppo_default")["n_finished"] == 1
    assert not Path("optimization/narrow").exists()
