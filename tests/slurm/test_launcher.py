"""hydra/launcher=submitit_slurm on a real cluster: one array, whatever happens to its tasks."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, until
from tests.slurm.studies import check_exact, running_in, trials_in

APP = Path(__file__).parents[1] / "sweeper" / "app.py"
SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30")


def start(folder: Path, cluster: Cluster, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(APP), "-m", *SLURM, *arguments],
        cwd=folder,
        env={
            **os.environ,
            **cluster.environment,
            "PYTHONPATH": str(APP.parents[2]),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen, *, status: int = 0) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == status, out + err
    return out + err


def array_of(message: str) -> str:
    found = re.search(r"SLURM (?:array|job) (\d+)", message)
    assert found is not None, message
    return found[1]


def two_running(study: Path) -> list[str]:
    """Return two tasks that are in mid-trial, once there are two."""
    until(lambda: len(running_in(study)) >= 2, what="two running trials")
    return sorted(running_in(study))


@pytest.mark.usefixtures("warm_python")
def test_a_cancelled_and_a_requeued_task_leave_the_budget_exact(
    tmp_path: Path, cluster: Cluster
) -> None:
    held = tmp_path / "held"
    held.touch()
    process = start(
        tmp_path, cluster, "tuning.n_workers=3", "tuning.n_trials=12", HELD_WHILE_THERE_IS=str(held)
    )
    study = tmp_path / "optimization/parabola"
    cancelled, requeued, *_ = two_running(study)
    cluster.run("scancel", cancelled)
    cluster.requeue(requeued)
    held.unlink()
    message = ended(process)
    assert "finished: 12 of 12" in message
    assert len(set(re.findall(r"SLURM array \d+: 3 tasks", message))) == 1
    trials = trials_in(study)
    check_exact(trials, 12)
    assert [t.user_attrs["failure"] for t in trials if t.state.name == "FAIL"] == [
        "interrupted",
        "interrupted",
    ]


@pytest.mark.usefixtures("warm_python")
def test_workers_that_are_left_alone_finish_the_study_without_the_command(
    tmp_path: Path, cluster: Cluster
) -> None:
    message = ended(
        start(
            tmp_path, cluster, "+tuning.wait=false", "tuning.n_workers=2", "tuning.n_trials=5",
            TRIAL_SECONDS="0.5",
        )
    )  # fmt: skip
    array = array_of(message)
    assert f"squeue --job {array}" in message
    assert f"scancel {array}" in message
    cluster.wait_for(array)
    study = tmp_path / "optimization/parabola"
    check_exact(trials_in(study), 5)
    assert (study / "best_params.json").is_file()
    assert "parabola" in (tmp_path / "optimization/.optimization_completed.txt").read_text()


@pytest.mark.usefixtures("warm_python")
def test_an_interrupt_of_the_waiting_command_cancels_its_array(
    tmp_path: Path, cluster: Cluster
) -> None:
    process = start(
        tmp_path, cluster, "tuning.n_workers=2", "tuning.n_trials=4", TRIAL_SECONDS="120"
    )
    study = tmp_path / "optimization/parabola"
    two_running(study)
    process.send_signal(signal.SIGINT)
    message = ended(process, status=128 + signal.SIGINT)
    assert "run the same command again to go on" in message
    states = [trial.state.name for trial in trials_in(study)]
    assert (states.count("FAIL"), states.count("WAITING"), len(states)) == (2, 2, 4)


def test_slurm_s_signal_before_the_limit_gives_the_trial_back_and_queues_the_task_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    held = tmp_path / "held"
    held.touch()
    message = ended(
        start(
            tmp_path, cluster, "+tuning.wait=false", "tuning.n_workers=1", "tuning.n_trials=3",
            "hydra.launcher.max_num_timeout=1", HELD_WHILE_THERE_IS=str(held),
        )
    )  # fmt: skip
    job = array_of(message)
    study = tmp_path / "optimization/parabola"
    until(lambda: job in running_in(study), what="a running trial")
    cluster.run("scancel", "--signal=USR2", job)
    until(lambda: cluster.tasks(job).get(job) == "PENDING", what="the requeue")
    assert not running_in(study)
    held.unlink()
    cluster.begin_again(job)
    cluster.wait_for(job)
    trials = trials_in(study)
    check_exact(trials, 3)
    assert sum(trial.state.name == "FAIL" for trial in trials) == 1


@pytest.mark.usefixtures("warm_python")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("hydra.launcher.partition=nowhere", "sbatch refuses the job"),
        ("+hydra.launcher.additional_parameters.no_such_option=1", "sbatch refuses the job"),
    ],
)
def test_what_sbatch_refuses_is_one_line(
    tmp_path: Path, cluster: Cluster, value: str, message: str
) -> None:
    error = ended(start(tmp_path, cluster, "tuning.n_workers=2", value), status=2)
    assert message in error
    assert "Traceback" not in error
