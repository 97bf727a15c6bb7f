"""Transitions per second of several seeds: the seed-batched trainer beside SB3 and sb3-contrib.

The libraries train seed after seed on the same batched simulator, so their transitions per second
are those of one seed. All run on one thread and are timed in processor seconds, run by run in turn,
rollouts and updates together.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import replace
from statistics import median
from typing import Any

import torch

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training

RUNS = 3
SEEDS = (1, 3, 5, 10)
REGIMES = ((32, 2048), (64, 2048), (256, 2048), (32, 128), (64, 128), (128, 128))
TRANSITIONS = 8192  # per seed; SB3 learns a quarter of them
RECURRENT = "agent_algorithm=recurrent_ppo"
RECURRENT_SEEDS = (1, 3)


def agents_of(seeds: int, *overrides: str) -> list[Any]:
    """Return untrained agents of the default clinic, seeds 1 onwards."""
    config = compose("train", overrides).plain
    model = build_clinic(config)
    spec, settings = build_learner(config), build_training(config)
    made = [build_agent(spec, model, replace(settings, seed=s)) for s in range(1, seeds + 1)]
    for agent in made:
        agent.set_logger(silent_logger())
    return made


def together(seeds: int, *overrides: str) -> float:
    """Return the seed-batched trainer's transitions of all seeds per processor second."""
    trainer = SeedBatchedPPO(agents_of(seeds, *overrides))
    began = time.process_time()
    for _ in trainer.rollouts(TRANSITIONS):
        pass
    return seeds * TRANSITIONS / (time.process_time() - began)


def by_sb3(*overrides: str) -> float:
    """Return SB3's transitions per processor second."""
    (agent,) = agents_of(1, *overrides)
    began = time.process_time()
    for _ in rollouts(agent, TRANSITIONS // 4):
        pass
    return TRANSITIONS / 4 / (time.process_time() - began)


def peak_memory() -> float:
    """Return the peak memory, in MiB, of a process that trains and scores 10 seeds."""
    subprocess.run([sys.executable, "-m", "benchmarks.seeds"], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main(arguments: list[str]) -> str:
    """Return the tables."""
    torch.set_num_threads(1)
    together(1), by_sb3()  # compiled code and caches warm
    rows = [
        f"Default clinic and PPO, one thread, processor time, medians of {RUNS} runs in turn. "
        "Transitions of all seeds per second, rollouts and updates together.",
        "",
        "| seeds | seed-batched | SB3's PPO, seed after seed | ratio, run by run |",
        "|---|---|---|---|",
    ]
    for seeds in SEEDS:
        runs = [(together(seeds), by_sb3()) for _ in range(RUNS)]
        rows.append(_row(str(seeds), runs))
        print(rows[-1], flush=True)
    rows += [
        "",
        "3 seeds, by minibatch and rollout (transitions of one update):",
        "",
        "| batch_size, n_steps | seed-batched | SB3's PPO, seed after seed | ratio, run by run |",
        "|---|---|---|---|",
    ]
    for batch_size, n_steps in REGIMES:
        given = (f"agent_algorithm.batch_size={batch_size}", f"agent_algorithm.n_steps={n_steps}")
        runs = [(together(3, *given), by_sb3(*given)) for _ in range(RUNS)]
        rows.append(_row(f"{batch_size}, {n_steps}", runs))
        print(rows[-1], flush=True)
    rows += [
        "",
        "PPO with an LSTM (agent_algorithm=recurrent_ppo), by seeds:",
        "",
        "| seeds | seed-batched | sb3-contrib, seed after seed | ratio, run by run |",
        "|---|---|---|---|",
    ]
    together(1, RECURRENT)  # compiled
    for seeds in RECURRENT_SEEDS:
        runs = [(together(seeds, RECURRENT), by_sb3(RECURRENT)) for _ in range(RUNS)]
        rows.append(_row(str(seeds), runs))
        print(rows[-1], flush=True)
    rows += [
        "",
        f"Peak memory of a process that trains and scores 10 seeds: {peak_memory():.0f} MiB.",
    ]
    return "\n".join(rows)


def _row(what: str, runs: list[tuple[float, float]]) -> str:
    ours, theirs = (median(run[i] for run in runs) for i in range(2))
    ratio = median(o / t for o, t in runs)
    return f"| {what} | {ours:,.0f} | {theirs:,.0f} | {ratio:.1f} |"


def _score_ten_seeds() -> None:
    from abx_amr.tuning.scoring import train_and_score

    torch.set_num_threads(1)
    config = compose("train", ["training.total_num_training_episodes=10"]).plain
    train_and_score(
        build_learner(config),
        build_clinic(config),
        build_training(config),
        seeds=range(1000, 1010),
        searched={},
    )


if __name__ == "__main__":
    _score_ten_seeds()
