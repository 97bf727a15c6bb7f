"""Does it tune? A study with a planted bad default, then both on five fresh seeds.

    python -m benchmarks tuning              (about an hour on one core)

The study searches learning_rate too, so that the planted default never reaches a trial: one study
of 30 trials answers both questions, its first 20 trials being the study of 20 trials.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.policies import policy_of
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.settings import transitions_of
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.configuration.values import with_values
from abx_amr.evaluation.episodes import evaluate
from abx_amr.evaluation.statistics import t_interval

CLINIC, FRESH, EPISODES, EVALUATED = "experiment=paper_two", range(10_000, 10_005), 50, 100
PLANTED = {"agent_algorithm.learning_rate": 1e-6}


def best_of(folder: Path, n_trials: int) -> dict[str, Any]:
    """Return the best parameters among the first finished trials of the study."""
    import optuna

    study = optuna.load_study(
        study_name=folder.name, storage=f"sqlite:///{folder / 'optuna_study.db'}"
    )
    finished = [t for t in study.trials if t.state.name == "COMPLETE"][:n_trials]
    return dict(max(finished, key=lambda t: t.values[0]).params)


def trained_return(values: Mapping[str, Any], seed: int) -> float:
    """Return the mean evaluation return of an agent trained with `values` and a fresh seed."""
    torch.set_num_threads(1)
    config = with_values(compose("train", [CLINIC, "agent_algorithm=ppo_tutorial"]).plain, values)
    model = build_clinic(config)
    settings = replace(build_training(config), seed=seed)
    agent = build_agent(build_learner(config), model, settings)
    agent.set_logger(silent_logger())
    for _ in rollouts(agent, transitions_of(EPISODES, model.max_time_steps, settings.n_envs)):
        pass
    return evaluate(policy_of(agent), model, episodes=EVALUATED, seed=1).mean_return


def main(arguments: list[str]) -> str:
    """Return the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("optimization"))
    asked = parser.parse_args(arguments)
    study = asked.folder / "planted"
    subprocess.run(
        [sys.executable, "-m", "abx_amr.cli.tune", "-m", "+tuning=ppo_tutorial", CLINIC,
         "agent_algorithm.learning_rate=1e-6", "tuning.n_trials=30", "run_name=planted",
         f"optimization_dir={asked.folder}"],
        check=True,
    )  # fmt: skip
    settings = {
        "planted learning_rate 1e-6": PLANTED,
        "shipped defaults": {},
        "best of the first 20 trials": best_of(study, 20),
        "best of 30 trials": best_of(study, 30),
    }
    rows = [
        f"Agents trained for {EPISODES} episodes on {CLINIC} with seeds {FRESH.start} to "
        f"{FRESH.stop - 1}, {EVALUATED} paired evaluation episodes that no trial has seen.",
        "",
        "| setting | mean return | 95 % interval over seeds | seeds |",
        "|---|---|---|---|",
    ]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        trained = {
            name: [pool.submit(trained_return, values, seed) for seed in FRESH]
            for name, values in settings.items()
        }
        everything = {name: [f.result() for f in futures] for name, futures in trained.items()}
    for name, returns in everything.items():
        low, high = t_interval(returns)
        mean = sum(returns) / len(returns)
        seeds = ", ".join(f"{r:.1f}" for r in returns)
        rows.append(f"| {name} | {mean:.1f} | {low:.1f} to {high:.1f} | {seeds} |")
        print(rows[-1], flush=True)
    return "\n".join(rows)
