"""A whole command: Hydra, the sweeper, workers in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hydra_plugins.abx_sweeper._search import run_study
from tests.slurm.studies import trials_in

APP = Path(__file__).with_name("app.py")


def start(folder, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, str(APP), "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(APP.parents[2]), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, *arguments, status=0, **environment):
    process = start(folder, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, out + err
    return out if status == 0 else err


def trials_of(folder, name="parabola"):
    return trials_in(folder / "optimization" / name)


def n_in(state, trials):
    return sum(trial.state.name == state for trial in trials)


def test_a_command_with_a_search_space_runs_its_study_and_leaves_nothing_else(tmp_path):
    out = run(
        tmp_path,
        "agent_algorithm.x=interval(-2.0, 2.0)",
        "agent_algorithm.n_steps=range(1, 9, 2)",
        "agent_algorithm.rate=tag(log, interval(1e-5, 1e-3))",
        "agent_algorithm.mode=flat,steep",
        "agent_algorithm=parabola",
    )
    assert out.splitlines() == [
        "prepared: created",
        "report: budget 6 6 of 6 trials are finished",
        "finished: 6 of 6",
    ]
    left = {path.name for path in (tmp_path / "optimization" / "parabola").iterdir()}
    distributions = trials_of(tmp_path)[0].distributions
    assert distributions["agent_algorithm.x"].low == -2.0
    assert distributions["agent_algorithm.rate"].log
    assert len(distributions) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["optimization"]
    assert left == {
        "best_params.json",
        "full_agent_env_config.yaml",
        "optuna_study.db",
        "optuna_study.db.lock",
        "optuna_study.db.schema.lock",
        "study_summary.json",
        "tuning_config.yaml",
    }


def test_four_local_workers_of_which_one_is_killed_and_the_same_command_again(tmp_path):
    command = ("run_name=crowd", "tuning.n_workers=4", "tuning.n_trials=14")
    out = run(tmp_path, *command, KILL_AT_TRIAL="3", TRIAL_SECONDS="0.1")
    assert "finished: 14 of 14" in out
    trials = trials_of(tmp_path, "crowd")
    assert (n_in("COMPLETE", trials), n_in("FAIL", trials), len(trials)) == (14, 1, 15)
    assert len(list((tmp_path / "optimization/crowd/workers").iterdir())) == 4
    assert "finished: 14 of 14" in run(tmp_path, *command)
    assert len(trials_of(tmp_path, "crowd")) == 15


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_the_only_worker_is_killed_and_the_same_command_ends_the_study(tmp_path):
    run(tmp_path, status=-signal.SIGKILL, KILL_AT_TRIAL="2")
    assert "finished: 6 of 6" in run(tmp_path)
    trials = trials_of(tmp_path)
    assert (n_in("COMPLETE", trials), n_in("FAIL", trials)) == (6, 1)


@pytest.mark.usefixtures("warm_python")
def test_an_interrupt_of_the_command_reaches_its_workers_who_give_their_trials_back(tmp_path):
    command = ("tuning.n_workers=2", "tuning.n_trials=4")
    process = start(tmp_path, *command, TRIAL_SECONDS="60")
    database = tmp_path / "optimization/parabola/optuna_study.db"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.1)
        if database.exists() and (tmp_path / "optimization/parabola/workers").exists():
            trials = trials_of(tmp_path)
            if n_in("RUNNING", trials) == 2 and all("owner" in t.user_attrs for t in trials):
                break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, out + err
    assert err.splitlines()[-1] == "stopped: run the same command again to go on"
    trials = trials_of(tmp_path)
    assert (n_in("FAIL", trials), n_in("WAITING", trials)) == (2, 2)
    log = (tmp_path / "optimization/parabola/workers/worker_0.log").read_text()
    assert "run the same command again to go on" in log


@pytest.mark.usefixtures("warm_python")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tuning.sampler=tpee"], "did you mean 'tpe'"),
        (["agent_algorithm.y=interval(0.0, 1.0)"], "'agent_algorithm.y' does not exist"),
        (["environment.noise=interval(0.0, 1.0)"], "change the problem"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_on_disk(tmp_path, arguments, message):
    err = run(tmp_path, *arguments, status=2)
    assert re.search(message, err)
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("warm_python")
def test_other_settings_overwriting_and_skipping(tmp_path):
    run(tmp_path, "tuning.n_trials=2")
    err = run(tmp_path, "tuning.n_trials=2", "environment.noise=0.5", status=2)
    assert "Configuration Mismatch Detected" in err
    assert "environment.noise 0.0 -> 0.5" in err
    out = run(tmp_path, "tuning.n_trials=4", "skip_if_exists=true")
    assert out.splitlines() == ["prepared: skipped"]
    out = run(
        tmp_path, "tuning.n_trials=3", "environment.noise=0.5", "overwrite_existing_study=true"
    )
    assert "finished: 3 of 3" in out
    assert len(trials_of(tmp_path)) == 3


@pytest.mark.usefixtures("warm_python")
def test_workers_that_all_fail_are_reported_by_the_command(tmp_path):
    out = run(
        tmp_path, "tuning.n_workers=2", "tuning.n_trials=2", "tuning.max_failures=2", CRASH="1"
    )
    assert "finished: 0 of 2" in out
    summary = json.loads((tmp_path / "optimization/parabola/study_summary.json").read_text())
    assert summary["status"] == "unfinished"
    log = (tmp_path / "optimization/parabola/workers/worker_0.log").read_text()
    assert "the disk is full" in log


@pytest.mark.slow
def test_another_launcher_gets_the_same_jobs(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    out = run(tmp_path, "tuning.n_workers=2", "hydra/launcher=submitit_local")
    assert "finished: 6 of 6" in out
    assert n_in("COMPLETE", trials_of(tmp_path)) == 6


def test_importing_the_plugin_and_the_pieces_of_the_doors_does_not_import_optuna():
    modules = (
        "hydra_plugins.abx_sweeper.config, hydra_plugins.abx_sweeper.sweeper, "
        "abx_amr.studies.objective, abx_amr.studies.space, abx_amr.studies.samplers, "
        "abx_amr.studies.storages, abx_amr.studies.settings, abx_amr.studies.worker"
    )
    code = f"import sys, {modules}; sys.exit('optuna' in sys.modules or 'torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=APP.parents[2]).returncode
        == 0
    )


def test_hydra_finds_the_plugins_without_a_warning():
    code = "from hydra.core.plugins import Plugins; Plugins.instance()"
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        check=False,
        cwd=APP.parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


def test_a_task_function_that_is_no_study_service_is_told_so():
    with pytest.raises(TypeError, match="needs a StudyService"):
        run_study([], hydra_context=None, task_function=print, config=None)
