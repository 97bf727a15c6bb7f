"""Do the seed-batched trainer and SB3's PPO learn equally well? 20 seeds each, two clinics.

The difference of mean final returns, with its 95 % interval (Welch), against 5 % of the distance
from never treating to the exact optimum. Training seeds 1 to 20, 100 evaluation episodes of seed 1.
Finished runs of SB3, which take minutes each, are kept in a folder and not repeated.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from abx_amr.agents.learners.on_policy.agent import OnPolicyAgent
from abx_amr.agents.learners.on_policy.building import build_agent
from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.planning.cache import reference

CLINICS = ("paper_single", "paper_two")
SEEDS = range(1, 21)
EPISODES = 100
# A falling rate and a short horizon end with little spread between seeds; large minibatches spare
# SB3 half an hour.
SETTINGS = (
    *("agent_algorithm=ppo_linear", "agent_algorithm.learning_rate.initial=1e-3"),
    *("agent_algorithm.batch_size=256", "agent_algorithm.gamma=0.9"),
    f"training.total_num_training_episodes={EPISODES}",
)
KEPT = Path(".abx/equivalence")


def returns(clinic: str, *, seed_batched: bool) -> list[float]:
    """Return the mean final return of each seed."""
    given = [f"experiment={clinic}", f"training.seed_batched={str(seed_batched).lower()}"]
    config = compose("train", [*given, *SETTINGS]).plain
    model = build_clinic(config)
    spec, settings = build_learner(config), build_training(config)
    total = EPISODES * model.max_time_steps
    found: dict[int, float] = {}
    groups = [list(SEEDS)] if seed_batched else [[seed] for seed in SEEDS]
    for group in groups:
        kept = KEPT / f"{clinic}_{EPISODES}_{group[0]}.json"
        if not seed_batched and kept.is_file():
            found[group[0]] = json.loads(kept.read_text())
            continue
        agents = [build_agent(spec, model, replace(settings, seed=seed)) for seed in group]
        for agent in agents:
            agent.set_logger(silent_logger())
        trainer: Any = spec.trainer([OnPolicyAgent(agent) for agent in agents], settings)
        for _ in trainer.rollouts(total):
            pass
        played = trainer.returns(
            trainer.agents, model, replace(settings, num_eval_episodes=100, evaluation_seed=1)
        )
        found.update(zip(group, played.mean(axis=1).tolist(), strict=True))
        if not seed_batched:
            KEPT.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found[group[0]]))
        print(f"{clinic} seed_batched={seed_batched} {group}: done", flush=True)
    return [found[seed] for seed in SEEDS]


def main(arguments: list[str]) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    rows = [
        f"{len(SEEDS)} seeds each, {EPISODES} episodes, {' '.join(SETTINGS[:4])}.",
        "",
        "| clinic | seed-batched: mean (std) | SB3: mean (std) | difference, 95 % interval | bar |",
        "|---|---|---|---|---|",
    ]
    for clinic in CLINICS:
        model = build_clinic(compose("train", [f"experiment={clinic}"]).plain)
        ours, theirs = (np.array(returns(clinic, seed_batched=b)) for b in (True, False))
        low, high = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
        known = reference(model)
        assert known.optimum is not None
        assert known.never is not None
        bar = 0.05 * (known.optimum.value - known.never)
        rows.append(
            f"| {clinic} | {ours.mean():.1f} ({ours.std(ddof=1):.1f}) | {theirs.mean():.1f} "
            f"({theirs.std(ddof=1):.1f}) "
            f"| {ours.mean() - theirs.mean():.1f}, {low:.1f} to {high:.1f} "
            f"| within +-{bar:.1f}: {'yes' if -bar < low and high < bar else 'no'} |"
        )
        print(rows[-1], flush=True)
    return "\n".join(rows)
