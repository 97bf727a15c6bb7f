"""abx-train -m with hydra/launcher=submitit_slurm: one array, each run a task of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from abx_amr.runs.registry import completed_runs
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("warm_python")
def test_a_set_is_one_array_whose_failed_task_costs_only_itself(
    tmp_path: Path, cluster: Cluster
) -> None:
    command = [
        sys.executable, "-m", "abx_amr.cli.train", "-m", "hydra/launcher=submitit_slurm",
        "hydra.launcher.timeout_min=10", "skip_if_exists=true", "figures=false",
        "agent_algorithm=amr_threshold", "agent_algorithm.threshold=0.1,-7,0.2",
        "environment.max_time_steps=8", "training.num_eval_episodes=2",
    ]  # fmt: skip
    environment = {**os.environ, **cluster.environment, "PYTHONPATH": str(ROOT)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    ended = run()
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert len(re.findall(r"SLURM array \d+: 3 tasks", ended.stdout)) == 1
    assert "2 of 3 runs are complete, in results" in ended.stdout
    assert "failed: base_amr_threshold_threshold-7: agent_algorithm: threshold" in ended.stdout
    assert set(completed_runs(tmp_path / "results")) == {
        "base_amr_threshold_threshold0.1",
        "base_amr_threshold_threshold0.2",
    }
    command[command.index("agent_algorithm.threshold=0.1,-7,0.2")] = (
        "agent_algorithm.threshold=0.1,0.2"
    )
    again = run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 runs, 2 are complete already and skipped" in again.stdout
    assert "SLURM" not in again.stdout
