"""A whole default study, 50 trials, with two workers on two cores; the time outside training."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS, WORKERS = 50, 2


def main(arguments: list[str]) -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [
                *(sys.executable, "-m", "abx_amr.cli.tune", "-m", "+tuning=ppo_default"),
                *(
                    f"tuning.n_trials={TRIALS}",
                    f"tuning.n_workers={WORKERS}",
                    "run_name=study",
                    "tuning.final=false",
                ),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        wall = time.perf_counter() - began
        study = Path(folder, "optimization", "study")
        summary = json.loads((study / "study_summary.json").read_text())
        seeds = [
            json.loads(file.read_text())["seconds"]
            for file in study.glob("trials/*/seed_*/result.json")
        ]
    training = sum(seeds) / WORKERS
    assert summary["n_finished"] == TRIALS
    rows = [
        "| what | seconds |",
        "|---|---|",
        f"| {TRIALS} default trials, {WORKERS} workers, from command to prompt | {wall:.0f} |",
        f"| of it training and evaluating, per worker | {training:.0f} |",
        f"| share outside | {1 - training / wall:.1%} |",
    ]
    return "\n".join(rows)
