"""A whole default trial (3 seeds x 50 episodes x 500 steps, evaluation included), by part.

The trial is also started as a user starts it, by the command, so that its imports count; and once
more with SB3's own trainer. The floor is arithmetic alone: the floating-point operations of all
minibatches over the rate of a matrix product of that size on this core, and the simulator's steps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from abx_amr.agents.learners.on_policy import learner, together
from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.seed_batched import trainer
from abx_amr.agents.learners.seed_batched.networks import Networks
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.simulator.clinic import Clinic
from abx_amr.tuning import scoring

RUNS, SEEDS, EPISODES, STEPS = 5, 3, 50, 500
ALGORITHMS = ("ppo", "ppo_tutorial")
PRIOR_TOOL_SECONDS = 300.0
# One point of a search space that leaves the defaults as they are.
ONE_TRIAL = (
    *(
        "-m",
        "+tuning=ppo_default",
        "tuning.n_trials=1",
        "tuning.final=false",
        "~tuning.search_space",
    ),
    "+tuning.search_space={vf_coef:{type:categorical,choices:[0.5,0.50001]}}",
)


class Parts:
    """The default trial's pieces, built once."""

    def __init__(self, *overrides: str) -> None:
        given = [f"training.total_num_training_episodes={EPISODES}", *overrides]
        config = compose("train", given).plain
        self.spec = build_learner(config)
        self.model = build_clinic(config)
        self.settings = build_training(config)

    def run(self) -> float:
        """Return the wall seconds of the trial in a warm worker."""
        began = time.perf_counter()
        scores = scoring.train_and_score(
            self.spec,
            self.model,
            self.settings,
            seeds=range(1000, 1000 + SEEDS),
            searched={},
        )
        assert not any(isinstance(score, Exception) for score in scores.values())
        return time.perf_counter() - began


def split(parts: Parts) -> dict[str, float]:
    """Return the processor seconds of one trial on one thread, by part."""
    seconds: dict[str, float] = defaultdict(float)
    restored: list[tuple[Any, str, Any]] = []

    def wrap(thing: Any, name: str, part: str) -> None:
        function: Callable[..., Any] = getattr(thing, name)

        def timed(*arguments: Any, **keywords: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                seconds[part] += time.process_time() - began

        restored.append((thing, name, function))
        setattr(thing, name, timed)

    wrap(learner, "build_agent", "agents")
    wrap(together, "episode_returns", "evaluation")
    wrap(trainer.SeedBatchedPPO, "_collect", "rollouts")
    wrap(trainer.SeedBatchedPPO, "_update", "update")
    began = time.process_time()
    try:
        parts.run()
    finally:
        seconds["whole"] = time.process_time() - began
        for thing, name, function in restored:
            setattr(thing, name, function)
    return dict(seconds)


def floor(parts: Parts) -> tuple[float, float, float]:
    """Return GFLOP of all minibatches, this core's GFLOP/s, and the simulator's seconds."""
    agent: Any = build_agent(parts.spec, parts.model, parts.settings)
    networks = Networks.of(agent)
    first = {0, networks.num_policy_layers}
    per_sample = sum(
        2 * int(rows) * int(cols) * (2 if at in first else 3)
        for at, (_, rows, cols, _) in enumerate(networks.layers)
    )
    total = per_sample * SEEDS * EPISODES * STEPS * agent.n_epochs / 1e9
    generator = np.random.default_rng(0)
    left, right = (
        generator.normal(size=size).astype(np.float32) for size in ((64, 128), (128, 128))
    )
    with threadpool_limits(limits=1):
        rates = []
        for _ in range(RUNS):
            began = time.process_time()
            for _ in range(20_000):
                left @ right
            rates.append(20_000 * 2 * 64 * 128 * 128 / (time.process_time() - began) / 1e9)
    clinic = Clinic(parts.model, np.random.default_rng(1).integers(1, 2**63, (24, 4), np.uint64))
    actions = np.zeros((24, parts.model.num_patients_per_time_step), np.int64)
    began = time.process_time()
    for _ in range(SEEDS * EPISODES * STEPS // (24 * STEPS) + 1):
        clinic.reset()
        for _ in range(STEPS):
            clinic.step(actions)
    return total, max(rates), time.process_time() - began


def against_floor(name: str) -> list[str]:
    """Return the table's row of a trial with this algorithm, by part and beside its floor."""
    parts = Parts("training.torch_threads=1", f"agent_algorithm={name}")
    parts.run()
    found, floors = [], []
    for _ in range(RUNS):  # in turn, so that both meet the same machine
        found.append(split(parts))
        floors.append(floor(parts))
    at = {part: median(run[part] for run in found) for part in found[0]}
    gflop = floors[0][0]
    rate, simulator = (median(each[i] for each in floors) for i in (1, 2))
    lowest, whole = gflop / rate, at["whole"]
    rest = whole - sum(at[part] for part in ("update", "rollouts", "evaluation"))
    cells = [at["update"], at["rollouts"], at["evaluation"], rest]
    return [
        f"| `{name}` | "
        + " | ".join(f"{seconds:.2f}" for seconds in cells)
        + f" | {gflop:.0f} GFLOP at {rate:.0f} GFLOP/s: {lowest:.2f} | {at['update'] / lowest:.2f} "
        f"| {whole / (lowest + simulator):.2f} |"
    ]


def command(cores: int, *overrides: str) -> float:
    """Return the wall seconds of `abx-tune` for one default trial on so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "abx_amr.cli.tune", *ONE_TRIAL, *overrides],
            cwd=folder,
            check=True,
            capture_output=True,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        return time.perf_counter() - began


def main(arguments: list[str]) -> str:
    """Return the tables."""
    torch.set_num_threads(1)
    one, both = Parts("training.torch_threads=1"), Parts("training.torch_threads=2")
    both.run()
    runs = [(both.run(), one.run()) for _ in range(RUNS)]
    wall_both, wall_one = (median(run[i] for run in runs) for i in range(2))
    compared = [row for name in ALGORITHMS for row in against_floor(name)]
    whole = [
        (command(2, "training.torch_threads=2"), command(1, "training.torch_threads=1"))
        for _ in range(RUNS)
    ]
    command_both, command_one = (median(run[i] for run in whole) for i in range(2))
    sb3 = command(2, "training.seed_batched=false")
    rows = [
        f"Wall seconds, medians of {RUNS} runs (SB3's trainer: one run).",
        "",
        "| what | both cores | one core |",
        "|---|---|---|",
        f"| the trial in a warm worker | {wall_both:.2f} | {wall_one:.2f} |",
        f"| share of the prior tool's 300 s | 1/{PRIOR_TOOL_SECONDS / wall_both:.0f} "
        f"| 1/{PRIOR_TOOL_SECONDS / wall_one:.0f} |",
        f"| the whole command, imports and figures included | {command_both:.2f} "
        f"| {command_one:.2f} |",
        f"| the whole command with training.seed_batched=false (SB3) | {sb3:.1f} | |",
        "",
        "On one core, by part (processor seconds, medians). Floor: the floating-point operations "
        "of all minibatches at the rate of a matrix product, (64 x 128)(128 x 128).",
        "",
        "| agent_algorithm | update | rollouts | evaluation | the rest | floor of the update "
        "| update / floor | trial / (floor + simulator) |",
        "|---|---|---|---|---|---|---|---|",
        *compared,
    ]
    return "\n".join(rows)
