"""abx-tune with a job for each seed, and workers that are left alone."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import PPO

from abx_amr.cli import tune
from abx_amr.configuration.composing import compose
from abx_amr.tuning.study import TuningStudy, settled
from tests.cli.conftest import SMALL_STUDY, Call
from tests.cli.test_tune import summary, trials, values

JOBS = ("tuning.parallel=jobs", "tuning.n_workers=4")


class IsKilledOnce(PPO):
    """An algorithm whose second seed is killed the first time."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.is_victim = keywords["seed"] == 1001

    def train(self) -> None:
        """Be killed, or learn."""
        been = Path("been_killed")
        if self.is_victim and not been.exists():
            been.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().train()


@pytest.mark.usefixtures("warm_python")
def test_jobs_find_what_a_worker_finds(call: Call) -> None:
    ended = call(tune.main, *SMALL_STUDY, "tuning.n_trials=2", "run_name=jobs", *JOBS)
    assert ended.status == 0, ended.err
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=2", "run_name=worker")
    assert values("jobs") == values("worker")
    assert summary("jobs")["status"] == "complete"
    assert "best value" in ended.out
    for trial in trials("jobs"):
        folder = Path(f"optimization/jobs/trials/{trial.number}")
        point = json.loads((folder / "parameters.json").read_text())
        assert point["parameters"] == pytest.approx(trial.params)
        assert trial.user_attrs["effective_values"] == pytest.approx(trial.params)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_python")
def test_a_job_that_is_killed_costs_its_seed_another_start(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=1", *JOBS,
        "agent_algorithm._target_=tests.cli.test_tune_parallel.IsKilledOnce",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert Path("been_killed").exists()
    (trial,) = trials()
    assert trial.state.name == "COMPLETE"
    assert trial.user_attrs["failed_seeds"] == {}
    logs = [file.stem for file in Path("optimization/ppo_default/workers").iterdir()]
    assert sorted(logs) == ["worker_0", "worker_0_1", "worker_1"]


def test_seeds_with_a_result_are_not_trained_again(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=1")
    (trial,) = trials()
    asked: list[Any] = []

    def train(*arguments: Any, seeds: Any, **keywords: Any) -> dict[int, Any]:
        asked.extend(seeds)
        return {}

    monkeypatch.setattr("abx_amr.tuning.scoring.train_and_score", train)
    config = compose("tune", [*SMALL_STUDY[1:], "run_name=ppo_default"]).plain
    runner = TuningStudy(settled(config)).runner
    folder = Path("optimization/ppo_default/trials/0")
    outcomes = runner.run(trial.params, [1000, 1001], folder)
    assert asked == []
    returns = [seed["episode_return"] for seed in trial.user_attrs["seeds"]]
    assert [outcome.episode_return for outcome in outcomes] == returns
    other = {**trial.params, "agent_algorithm.gamma": 0.96}
    with pytest.raises(KeyError):
        runner.run(other, [1000, 1001], folder)
    assert asked == [1000, 1001]


def ended_with(pid: int, seconds: float = 240) -> int:
    """Return the exit status of a child, which is killed if it takes longer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.usefixtures("warm_python")
def test_local_workers_that_are_left_alone_write_the_results_themselves(call: Call) -> None:
    ended = call(
        tune.main, *SMALL_STUDY, "tuning.n_trials=3", "tuning.n_workers=2", "tuning.wait=false",
        "figures=true",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert "prediction: none, no trial has finished" in ended.out
    assert "stop:   kill " in ended.out
    study = Path("optimization/ppo_default")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("stop:   kill ")]
    statuses = [ended_with(int(pid)) for pid in line.split()[2:]]
    logs = "".join(log.read_text() for log in study.rglob("*.log"))
    assert statuses == [0, 0], logs
    assert (study / "figures/study_history.png").exists(), logs
    assert (study / "best_params.json").is_file()
    assert len(values()) == 3


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("tuning.wait=false",), "tuning.wait=false"),
        ((*JOBS, "tuning.wait=false"), "needs tuning.parallel=workers"),
        (("tuning.parallel=seeds",), "workers or jobs"),
        (("hydra/launcher=submitit_slurm",), "there is no sbatch on this machine"),
    ],
)
def test_what_cannot_be_run_in_parallel_is_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...], text: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ended = call(tune.main, *SMALL_STUDY, *settings)
    assert ended.status == 2
    assert text in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("optimization").exists()
