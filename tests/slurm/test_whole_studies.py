"""abx-tune itself through hydra/launcher=submitit_slurm: a job a seed, and a database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_STUDY
from tests.services import Database
from tests.slurm.cluster import Cluster
from tests.slurm.studies import check_exact, trials_in

pytestmark = pytest.mark.usefixtures("warm_python")


def tuned(folder: Path, cluster: Cluster, *arguments: str) -> str:
    """Return what abx-tune says whose work is done in SLURM's jobs."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "abx_amr.cli.tune", *SMALL_STUDY, "figures=false"),
            *("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=30", *arguments),
        ],
        cwd=folder,
        env={
            **os.environ,
            **cluster.environment,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def seeds_of(trial) -> list[float]:
    return [seed["episode_return"] for seed in trial.user_attrs["seeds"]]


@pytest.mark.slow
def test_a_job_for_each_seed_finds_what_a_worker_finds(tmp_path: Path, cluster: Cluster) -> None:
    jobs = ("tuning.parallel=jobs", "tuning.n_workers=2", "tuning.n_trials=2", "storage=journal")
    message = tuned(tmp_path, cluster, *jobs, "run_name=jobs")
    assert "best value" in message
    tuned(tmp_path, cluster, "tuning.n_trials=2", "storage=journal", "run_name=worker")
    apart, together = (trials_in(tmp_path / "optimization" / name) for name in ("jobs", "worker"))
    check_exact(apart, 2)
    assert [seeds_of(trial) for trial in apart] == [seeds_of(trial) for trial in together]
    owners = {trial.user_attrs["owner"]["slurm_job"] for trial in together}
    assert all(owners)


def test_workers_of_an_array_share_a_database_with_exactly_its_budget(
    tmp_path: Path, cluster: Cluster, postgres: Database
) -> None:
    message = tuned(
        tmp_path, cluster, "storage=postgres", "tuning.n_workers=2", "tuning.n_trials=4",
        "run_name=shared",
    )  # fmt: skip
    assert "4 trials finished of 4" in message
    summary = json.loads((tmp_path / "optimization/shared/study_summary.json").read_text())
    assert (summary["status"], summary["n_finished"]) == ("complete", 4)
    password = postgres.connection.password
    if password is not None:
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or password.encode() not in file.read_bytes(), file
