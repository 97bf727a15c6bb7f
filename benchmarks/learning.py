"""Does it learn? Shipped PPO defaults on the published clinics, beside the rules.

python -m benchmarks learning            (about half an hour on one core)
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.policies import policy_of
from abx_amr.agents.learners.on_policy.rollouts import rollouts, silent_logger
from abx_amr.agents.settings import transitions_of
from abx_amr.configuration.agent import build_learner, build_rule
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.episodes import evaluate
from abx_amr.evaluation.statistics import t_interval

EXPERIMENTS = ("paper_single", "paper_two")
RULES = ("never", "random", "always_best", "greedy", "amr_threshold")
EPISODES, SEEDS, EVALUATED = 300, (1, 2, 3, 4, 5), 100


def learn(experiment: str, seeds: tuple[int, ...], episodes: int) -> dict[str, list[float]]:
    """Return the mean evaluation return of every rule (one value) and of PPO (one per seed)."""
    found: dict[str, list[float]] = {}
    config = compose("train", [f"experiment={experiment}", "agent_algorithm=ppo_tutorial"]).plain
    model = build_clinic(config)
    for rule in RULES:
        chosen = compose("train", [f"experiment={experiment}", f"agent_algorithm={rule}"])
        policy = build_rule(chosen.plain, model)
        played = evaluate(policy, model, episodes=EVALUATED, seed=0)
        found[rule] = [played.mean_return]
    spec = build_learner(config)
    found["ppo"] = []
    for seed in seeds:
        settings = replace(build_training(config), seed=seed)
        agent = build_agent(spec, model, settings)
        agent.set_logger(silent_logger())
        for _ in rollouts(agent, transitions_of(episodes, model.max_time_steps, settings.n_envs)):
            pass
        played = evaluate(policy_of(agent), model, episodes=EVALUATED, seed=0)
        found["ppo"].append(played.mean_return)
        print(f"{experiment} seed {seed}: {played.mean_return:.2f}", flush=True)
    return found


def main(arguments: list[str]) -> str:
    """Return the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=EXPERIMENTS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = [
        f"PPO with shipped defaults, {EPISODES} episodes, seeds {SEEDS[0]} to {SEEDS[-1]}, last "
        f"weights, {EVALUATED} paired evaluation episodes.",
        "",
        "| clinic | policy | mean return | 95 % interval over seeds |",
        "|---|---|---|---|",
    ]
    everything = {}
    for experiment in [asked.only] if asked.only else EXPERIMENTS:
        found = learn(experiment, SEEDS, EPISODES)
        everything[experiment] = found
        for name, values in found.items():
            mean = sum(values) / len(values)
            interval = ""
            if len(values) > 1:
                low, high = t_interval(values)
                interval = f"{low:.1f} to {high:.1f} ({', '.join(f'{v:.1f}' for v in values)})"
            rows.append(f"| {experiment} | {name} | {mean:.1f} | {interval} |")
    if asked.json:
        asked.json.write_text(json.dumps(everything))
    return "\n".join(rows)


if __name__ == "__main__":
    import sys

    print(main(sys.argv[1:]))
