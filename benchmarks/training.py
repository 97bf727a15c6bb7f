"""Training transitions per second of the defaults, and where the time goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from abx_amr.agents.learners.on_policy.building import clinic_env
from abx_amr.agents.learners.on_policy.policies import evaluate_agent
from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO
from abx_amr.agents.settings import transitions_of
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.hierarchy.manager_env import ManagerVecEnv

RUNS = 3
ALGORITHMS = ("ppo", "a2c", "recurrent_ppo")
LENGTH = (
    "training.total_num_training_episodes=25",
    "training.eval_freq_every_n_episodes=5",
    "training.save_freq_every_n_episodes=5",
)


class Stopwatch:
    """Seconds spent in wrapped functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, thing: Any, name: str, part: str) -> None:
        """Time every call of `thing.name`."""
        function: Callable[..., Any] = getattr(thing, name)

        def timed(*arguments: Any, **keywords: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds[part] += time.perf_counter() - began

        object.__setattr__(thing, name, timed)


def once(algorithm: str, *overrides: str) -> dict[str, float]:
    """Return seconds by part of one short training: 25 episodes, 5 evaluations."""
    config = compose("train", [f"agent_algorithm={algorithm}", *LENGTH, *overrides]).plain
    model = build_clinic(config)
    settings = build_training(config)
    learner = build_learner(config)
    built: Any = learner.build(model, settings)
    built.log_to(None)
    agent = built.algorithm
    trainer = learner.trainer([built], settings)
    ppo = getattr(trainer, "ppo", None)
    watch = Stopwatch()
    if isinstance(env := clinic_env(agent), ManagerVecEnv):
        watch.wrap(env.clinics, "step", "clinic")
    if isinstance(ppo, SeedBatchedPPO):
        watch.wrap(ppo, "_collect", "rollouts")
        watch.wrap(ppo, "_update", "update")
        assemble = ppo._assemble

        def assembled(*arguments: Any) -> None:
            assemble(*arguments)
            watch.wrap(ppo._simulation, "step", "environment")

        ppo._assemble = assembled  # type: ignore[method-assign]
    else:
        watch.wrap(env, "step", "environment")
        watch.wrap(agent, "collect_rollouts", "rollouts")
        watch.wrap(agent, "train", "update")
    total = transitions_of(
        settings.total_num_training_episodes, model.max_time_steps, settings.n_envs
    )
    began, evaluated = time.perf_counter(), 0
    for seen in trainer.rollouts(total):
        every = settings.eval_freq_every_n_episodes * model.max_time_steps
        if seen // every > evaluated or seen >= total:
            evaluated = seen // every
            start = time.perf_counter()
            trainer.publish()
            evaluate_agent(agent, model, settings, per_step=True)
            watch.seconds["evaluation"] += time.perf_counter() - start
    watch.seconds["total"] = time.perf_counter() - began
    watch.seconds["policy"] = watch.seconds.pop("rollouts") - watch.seconds["environment"]
    watch.seconds["transitions"] = agent.num_timesteps
    return dict(watch.seconds)


def main(arguments: list[str]) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    parts = ("environment", "policy", "update", "evaluation")
    rows = [
        "`abx-train`, 25 episodes (of 500 steps, 8 environments, 5 evaluations of 10 "
        f"episodes), one thread, medians of {RUNS} runs. `policy` is everything in a rollout that "
        "is not the environment.",
        "",
        "| algorithm | transitions/s | " + " | ".join(parts) + " | other |",
        "|---|---|" + "---|" * (len(parts) + 1),
    ]
    once("ppo")  # compiled code and caches warm
    for algorithm in ALGORITHMS:
        runs = [once(algorithm) for _ in range(RUNS)]
        speed = median(r["transitions"] / r["total"] for r in runs)
        shares = [median(r[p] / r["total"] for r in runs) for p in parts]
        cells = [f"{100 * s:.1f} %" for s in (*shares, 1 - sum(shares))]
        rows.append(f"| {algorithm} | {speed:,.0f} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return "\n".join(rows)
