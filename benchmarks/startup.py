"""Start-up time of each command, on a warm disk."""

from __future__ import annotations

import os
import resource
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


def until_ready(state: str) -> float:
    """Return the processor seconds from `abx-tune` to its study being ready.

    Args:
        state: Where the account keeps what it has seen of agents: empty, they are built for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "abx_amr.cli.tune", "-m", "+tuning=ppo_default"],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "XDG_STATE_HOME": state},
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("study "):
                break
        process.kill()
        process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ready() -> list[tuple[float, float]]:
    """Return the seconds where agents are built and where what was seen of them is kept, in pairs.

    Each of the latter follows one of the former.
    """
    pairs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as state:
            pairs.append((until_ready(state), until_ready(state)))
    return pairs


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
    pairs = ready()
    first, kept = (median(values) for values in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    rows += [
        "",
        "Processor seconds from `abx-tune -m +tuning=ppo_default` to its study "
        f"being ready: {first:.2f} the first time, when agents are built to see where the searched "
        f"values arrive, {kept:.2f} from then on ({ratio:.1f} times less, run by run).",
    ]
    return "\n".join(rows)
