"""Start-up time of each command, on a warm disk."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from statistics import median

RUNS = 5
COMMANDS = ("train", "tune", "evaluate")


def seconds(arguments: list[str]) -> float:
    """Return the median wall time of a command."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(RUNS + 1):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", *arguments], cwd=folder, check=True, capture_output=True
            )
            found.append(time.perf_counter() - began)
    return median(found[1:])


def first_trial() -> float:
    """Return the median seconds from `abx-tune` to the moment its first trial starts."""
    found = []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "abx_amr.cli.tune", "-m", "+tuning=ppo_default"],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("study "):
                    found.append(time.perf_counter() - began)
                    break
            process.kill()
            process.wait()
    return median(found[1:])


def main(arguments: list[str]) -> str:
    """Return the table."""
    rows = [
        f"Seconds, medians of {RUNS} runs after one that warms the disk.",
        "",
        "| command | --help | --cfg job |",
        "|---|---|---|",
    ]
    for command in COMMANDS:
        module = f"abx_amr.cli.{command}"
        show = [module, "--cfg", "job"]
        if command == "tune":
            show.append("+tuning=ppo_default")
        rows.append(f"| abx-{command} | {seconds([module, '--help']):.2f} | {seconds(show):.2f} |")
    rows += [
        "",
        f"From `abx-tune -m +tuning=ppo_default` to its study being ready: {first_trial():.2f} s.",
    ]
    return "\n".join(rows)
