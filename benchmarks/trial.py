"""A whole default trial (3 seeds x 50 episodes x 500 steps, evaluation included) and its floor.

The floor is SB3's bare update time: `PPO.train` alone on buffers of the same size, as many
minibatches as the trial has, in the same run. The trial is started as a user starts it, by the
command, so that its imports count.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import torch

from abx_amr import configuration
from abx_amr.learning import build_agent, rollouts, silent_logger

RUNS, SEEDS, EPISODES, STEPS = 3, 3, 50, 500
PRIOR_TOOL_SECONDS = 300.0
# One point of a search space that leaves the defaults as they are.
ONE_TRIAL = (
    *("-m", "+tuning=ppo_default", "tuning.n_trials=1", "~tuning.search_space"),
    "+tuning.search_space={vf_coef:{type:categorical,choices:[0.5,0.50001]}}",
)


def bare_updates() -> float:
    """Return the seconds that SB3's `train` alone takes for the minibatches of one trial."""
    config = configuration.compose("train").plain
    model = configuration.build_clinic(config)
    settings = configuration.build_training(config)
    agent: Any = build_agent(configuration.build_agent_spec(config), model, settings)
    agent.set_logger(silent_logger())
    rollout = agent.n_steps * agent.n_envs
    next(rollouts(agent, rollout))  # a filled buffer
    transitions = SEEDS * EPISODES * STEPS
    whole = transitions // rollout
    began = time.process_time()
    for _ in range(whole):
        agent.train()
    return (time.process_time() - began) * transitions / (whole * rollout)


def whole_trial() -> tuple[float, float]:
    """Return the processor and the wall seconds of `abx-tune` for one default trial."""
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "abx_amr.cli.tune", *ONE_TRIAL],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        wall, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, wall


def main(arguments: list[str]) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    pairs = []
    for number in range(RUNS):
        bare, (trial, wall) = bare_updates(), whole_trial()
        pairs.append((bare, trial, wall))
        print(
            f"run {number}: bare {bare:.1f} s, trial {trial:.1f} s, wall {wall:.1f} s", flush=True
        )
    bare, trial, wall = (median(p[i] for p in pairs) for i in range(3))
    ratio = median(t / b for b, t, _ in pairs)
    rows = [
        "One thread; seconds of processor time, so that other programs on the machine count less.",
        "",
        f"| what | seconds (median of {RUNS}) |",
        "|---|---|",
        f"| SB3's `train` alone, the same minibatches | {bare:.1f} |",
        f"| default trial, the whole command from start to end | {trial:.1f} |",
        f"| ratio, run by run | {ratio:.2f} |",
        f"| the same trial, wall time | {wall:.1f} |",
        f"| share of the prior tool's 300 s (wall) | {wall / PRIOR_TOOL_SECONDS:.2f} |",
    ]
    return "\n".join(rows)
