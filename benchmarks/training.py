"""Training transitions per second of the defaults, and where the time goes.

Evaluations are also made as the library plays them, in the same run: what compiled play is worth.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest.mock import patch

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
#: Episodes of a training, and how often it is evaluated: as released in 0.1, and as ppo ships.
LENGTHS = ((25, 5), (100, 50))


class Stopwatch:
    """Seconds spent in wrapped functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def wrap(self, thing: Any, name: str, part: str) -> None:
        """Time every call of `thing.name`."""
        function: Callable[..., Any] = getattr(thing, name)

        def timed(*arguments: Any, **keywords: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds[part] += time.process_time() - began

        object.__setattr__(thing, name, timed)


def once(algorithm: str, episodes: int, every: int) -> dict[str, float]:
    """Return processor seconds by part of one training of so many episodes."""
    length = [
        f"training.total_num_training_episodes={episodes}",
        f"training.eval_freq_every_n_episodes={every}",
        f"training.save_freq_every_n_episodes={every}",
    ]
    config = compose("train", [f"agent_algorithm={algorithm}", *length]).plain
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
    began, evaluated = time.process_time(), 0
    for seen in trainer.rollouts(total):
        every = settings.eval_freq_every_n_episodes * model.max_time_steps
        if seen // every > evaluated or seen >= total:
            evaluated = seen // every
            start = time.process_time()
            trainer.publish()
            evaluate_agent(agent, model, settings, per_step=True)
            watch.seconds["evaluation"] += time.process_time() - start
    watch.seconds["total"] = time.process_time() - began
    watch.seconds["policy"] = watch.seconds.pop("rollouts") - watch.seconds["environment"]
    watch.seconds["transitions"] = agent.num_timesteps
    return dict(watch.seconds)


def by_the_library(algorithm: str, episodes: int, every: int) -> dict[str, float]:
    """Return the same with evaluations in which the library's `predict` is asked at every step."""
    with patch("abx_amr.agents.learners.on_policy.policies.quick", lambda trained: trained):
        return once(algorithm, episodes, every)


def main(arguments: list[str]) -> str:
    """Return the table."""
    torch.set_num_threads(1)
    parts = ("environment", "policy", "update", "evaluation")
    rows = [
        "Processor seconds of training and evaluating (500 steps an episode, 8 environments, 10 "
        f"episodes an evaluation) on one thread, medians of {RUNS} runs; each is followed by one "
        "whose evaluations ask the library's `predict` at every step (`before`). `policy` is "
        "everything in a rollout that is not the environment.",
        "",
        "| algorithm | episodes, evaluated every | transitions/s | before | ratio | "
        + " | ".join(parts)
        + " | other | evaluation before | seconds of all evaluations, before / now |",
        "|---|---|---|---|---|" + "---|" * (len(parts) + 3),
    ]
    once("ppo", *LENGTHS[0])  # compiled code and caches warm
    cases = [(a, LENGTHS[0]) for a in ALGORITHMS] + [("ppo", LENGTHS[1])]
    for algorithm, (episodes, every) in cases:
        pairs = [
            (once(algorithm, episodes, every), by_the_library(algorithm, episodes, every))
            for _ in range(RUNS)
        ]
        now, before = ([pair[at] for pair in pairs] for at in (0, 1))
        speed, former = (median(r["transitions"] / r["total"] for r in rs) for rs in (now, before))
        shares = [median(r[p] / r["total"] for r in now) for p in parts]
        asked = median(r["evaluation"] / r["total"] for r in before)
        cells = [f"{100 * s:.1f} %" for s in (*shares, 1 - sum(shares), asked)]
        took = [median(r["evaluation"] for r in rs) for rs in (before, now)]
        rows.append(
            f"| {algorithm} | {episodes}, {every} | {speed:,.0f} | {former:,.0f} | "
            f"{median(b['total'] / n['total'] for n, b in pairs):.1f} | "
            + " | ".join(cells)
            + f" | {took[0]:.2f} / {took[1]:.2f} |"
        )
        print(rows[-1], flush=True)
    return "\n".join(rows)
