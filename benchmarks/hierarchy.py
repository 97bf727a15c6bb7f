"""Flat, recurrent and hierarchical prescribers on the published clinics, beside the rules.

python -m benchmarks hierarchy           (the same command resumes)
python -m benchmarks hierarchy --only hrl_ppo --seeds 1 2        train a part of it

Runs are kept in results/; one that is there already under its name is not trained again.

Every agent has the shipped defaults (flat PPO those of release 0.1, `ppo_tutorial`) but for what
its name says, 300 episodes (150,000 primitive steps), last weights, and is scored on 100 evaluation
episodes of a seed that nothing has seen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from abx_amr.configuration.agent import build_rule
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.evaluation.episodes import Policy, evaluate
from abx_amr.evaluation.statistics import t_interval
from abx_amr.host import atomic_files
from abx_amr.planning.optimum import optimum
from abx_amr.planning.views import view
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.loading import load_policy
from abx_amr.runs.registry import completed_run
from benchmarks.training import RUNS, once

CLINICS = ("paper_single", "paper_two", "paper_two_cross_resistant")
SEEDS = (1, 2, 3, 4, 5)
EPISODES, EVALUATED, EVALUATION_SEED = 300, 100, 10_000
BASELINE = "ppo, gamma 0.99"
RULES = {
    "never": (),
    "random": (),
    "always_best": (),
    "greedy": (),
    "myopic": (),
    "cycling": (),
    "amr_threshold 0.322": ("agent_algorithm.threshold=0.322",),
    "amr_threshold 0.10": ("agent_algorithm.threshold=0.10",),
}


@dataclass(frozen=True)
class Arm:
    """One way of prescribing, trained with every seed.

    Attributes:
        name: Says it in the table.
        stem: Names its runs: <clinic>_<stem>_seed<seed>.
        overrides: What differs from the shipped defaults.
        alias: Another name of its runs, {seed} in it, under which they are taken over.
    """

    name: str
    stem: str
    overrides: tuple[str, ...]
    alias: str | None = None


def ppo(gamma: float) -> Arm:
    """Return flat PPO with a discount factor."""
    return Arm(f"ppo, gamma {gamma:g}", f"ppo_{gamma:g}", (f"agent_algorithm.gamma={gamma:g}",))


HRL = Arm(
    "hrl_ppo, heuristic library",
    "hrl_ppo",
    ("agent_algorithm=hrl_ppo", "option_library=heuristic"),
)
FLAT = (ppo(0.99), ppo(0.999), ppo(0.9995))
RECURRENT = tuple(
    Arm(
        f"recurrent_ppo, previous action {'seen' if seen == 'true' else 'not seen'}",
        f"recurrent_ppo_previous_{seen}",
        ("agent_algorithm=recurrent_ppo", f"environment.include_previous_action={seen}"),
        alias=f"rppo_prev_{seen}_s{{seed}}",
    )
    for seen in ("false", "true")
)

#: What flat PPO needs at gamma 0.999: one thing changed at a time, then together. Other seeds.
EXPLORATION_SEEDS = (11, 12, 13, 14, 15)
_LONG = "agent_algorithm.gamma=0.999"
_LAMBDA = "agent_algorithm.gae_lambda=0.99"
_REWARD = ("training.vec_normalize.enabled=true", "training.vec_normalize.norm_obs=false")
EXPLORATION = (
    Arm("gamma 0.99 (shipped)", "explore_099", ()),
    Arm("gamma 0.999", "explore_0999", (_LONG,)),
    Arm("gamma 0.999, rewards normalised", "explore_0999_reward", (_LONG, *_REWARD)),
    Arm("gamma 0.999, gae_lambda 0.99", "explore_0999_lambda", (_LONG, _LAMBDA)),
    Arm(
        "gamma 0.999, network 32-32",
        "explore_0999_net",
        (_LONG, "agent_algorithm.policy_kwargs.net_arch=[32,32]"),
    ),
    Arm(
        "gamma 0.999, rewards normalised, gae_lambda 0.99",
        "explore_0999_reward_lambda",
        (_LONG, *_REWARD, _LAMBDA),
    ),
)


def arms_of(clinic: str) -> tuple[Arm, ...]:
    """Return what is compared in a clinic."""
    return (*FLAT, *(RECURRENT if clinic == "paper_two" else ()), HRL)


@dataclass(frozen=True)
class Bench:
    """The runs and scores that are kept in a folder."""

    results: Path

    @cached_property
    def models(self) -> dict[str, Any]:
        """The clinics."""
        return {
            clinic: build_clinic(compose("train", [f"experiment={clinic}"]).plain)
            for clinic in CLINICS
        }

    def find(self, clinic: str, arm: Arm, seed: int) -> RunFolder | None:
        """Return the finished run of an arm and a seed, under either name, or None."""
        names = [f"{clinic}_{arm.stem}_seed{seed}"]
        if arm.alias is not None:
            names.append(arm.alias.format(seed=seed))
        for name in names:
            done = completed_run(self.results, name)
            if done is not None and done.is_complete:
                return done
        return None

    def train(self, clinic: str, arm: Arm, seeds: Sequence[int]) -> None:
        """Train the seeds whose runs are missing."""
        missing = [seed for seed in seeds if self.find(clinic, arm, seed) is None]
        if not missing:
            return
        print(f"training {clinic}: {arm.name}, seeds {missing}", flush=True)
        is_flat = not any(one.startswith("agent_algorithm=") for one in arm.overrides)
        agent = ("agent_algorithm=ppo_tutorial",) if is_flat else ()
        command = [
            *(sys.executable, "-m", "abx_amr.cli.train", f"experiment={clinic}"),
            *(*agent, *arm.overrides),
            f"training.seeds={list(missing)}".replace(" ", ""),
            f"training.total_num_training_episodes={EPISODES}",
            f"training.eval_freq_every_n_episodes={EPISODES}",
            f"training.save_freq_every_n_episodes={EPISODES}",
            "figures=false",
            f"results_dir={self.results}",
            f"run_name={clinic}_{arm.stem}",
        ]
        if len(missing) == 1:  # one seed alone is a run without the seed in its name
            command[-1] += f"_seed{missing[0]}"
            command[command.index(f"training.seeds=[{missing[0]}]")] = f"training.seed={missing[0]}"
        subprocess.run(command, check=True)

    def score(self, clinic: str, arm: Arm, seed: int) -> float | None:
        """Return the mean return of a run's last weights, None where there is no run yet."""
        run = self.find(clinic, arm, seed)
        if run is None:
            return None
        kept = self.results / ".scores" / f"{run.path.name}_{EVALUATION_SEED}.json"
        if kept.is_file():
            return float(json.loads(kept.read_text())["mean_return"])
        model = build_clinic(run.read_config())
        found = played(load_policy(run.path, checkpoint="last"), model)
        kept.parent.mkdir(exist_ok=True)
        atomic_files.write_json(kept, {"mean_return": found})
        print(f"{run.path.name}: {found:.2f}", flush=True)
        return found

    def rule(self, clinic: str, name: str) -> float:
        """Return the mean return of a rule on the same episodes."""
        kept = self.results / ".scores" / f"{clinic}_{name.replace(' ', '_')}.json"
        if not kept.is_file():
            overrides = [f"experiment={clinic}", f"agent_algorithm={name.split()[0]}", *RULES[name]]
            chosen = compose("train", overrides).plain
            model = self.models[clinic]
            kept.parent.mkdir(exist_ok=True)
            found = played(build_rule(chosen, model), model)
            atomic_files.write_json(kept, {"mean_return": found})
        return float(json.loads(kept.read_text())["mean_return"])


def played(policy: Policy, model: Any) -> float:
    """Return the mean return over the final test episodes."""
    return evaluate(policy, model, episodes=EVALUATED, seed=EVALUATION_SEED).mean_return


def interval(values: Sequence[float]) -> str:
    """Return a 95 % interval over seeds, in words."""
    if len(values) < 2:
        return ""
    low, high = t_interval(values)
    return f"{low:.1f} to {high:.1f}"


def row(clinic: str, arm: Arm, scores: dict[int, float], baseline: dict[int, float]) -> str:
    """Return an arm's line of the table."""
    values = list(scores.values())
    shared = [seed for seed in scores if seed in baseline]
    paired = [scores[seed] - baseline[seed] for seed in shared]
    difference = ""
    if len(paired) > 1 and any(paired):
        difference = f"{np.mean(paired):+.1f} ({interval(paired)})"
    each = ", ".join(f"{value:.1f}" for value in values)
    mean = f"{np.mean(values):.1f}"
    return f"| {clinic} | {arm.name} | {mean} | {interval(values)} | {difference} | {each} |"


def comparison(bench: Bench) -> list[str]:
    """Return the table of the published clinics."""
    rows = [
        f"{EPISODES} episodes (150,000 primitive steps) each, seeds {SEEDS[0]} to {SEEDS[-1]}, "
        f"shipped defaults, last weights, {EVALUATED} fresh evaluation episodes "
        f"(seed {EVALUATION_SEED}). The difference is paired by training seed.",
        "",
        f"| clinic | policy | mean return | 95 % interval over seeds | minus {BASELINE} | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for clinic in CLINICS:
        best = optimum(view(bench.models[clinic])).value
        rows.append(f"| {clinic} | optimum (knows the parameters) | {best:.1f} | | | |")
        rows += [f"| {clinic} | {name} | {bench.rule(clinic, name):.1f} | | | |" for name in RULES]
        found = {arm: scores_of(bench, clinic, arm, SEEDS) for arm in arms_of(clinic)}
        for arm, scores in found.items():
            if scores:
                rows.append(row(clinic, arm, scores, found[FLAT[0]]))
    return rows


def exploration(bench: Bench) -> list[str]:
    """Return the table of what flat PPO needs at gamma 0.999."""
    found = {arm: scores_of(bench, "paper_two", arm, EXPLORATION_SEEDS) for arm in EXPLORATION}
    if not any(found.values()):
        return []
    rows = [
        "",
        "Exploration, apart from the comparison: flat PPO on paper_two at gamma 0.999, seeds "
        f"{EXPLORATION_SEEDS[0]} to {EXPLORATION_SEEDS[-1]}, everything else as above.",
        "",
        "| clinic | setting | mean return | 95 % interval over seeds | minus shipped | seeds |",
        "|---|---|---|---|---|---|",
    ]
    shipped = found[EXPLORATION[0]]
    return rows + [
        row("paper_two", arm, scores, shipped) for arm, scores in found.items() if scores
    ]


def throughput() -> list[str]:
    """Return how fast a manager learns in primitive steps, and where the time goes."""
    rows = [
        "",
        "Throughput of hrl_ppo: as in the table of training above, in primitive steps, medians of "
        f"{RUNS} runs. `options` is what they and the manager's view take beside the clinics.",
        "",
        "| library | primitive steps/s | clinics | options | policy | update | evaluation |",
        "|---|---|---|---|---|---|---|",
    ]
    once("hrl_ppo")  # compiled code and caches warm
    for library in ("default_deterministic", "heuristic"):
        runs = [once("hrl_ppo", f"option_library={library}") for _ in range(RUNS)]
        for run in runs:
            run["options"] = run["environment"] - run["clinic"]
        speed = median(run["transitions"] / run["total"] for run in runs)
        parts = ("clinic", "options", "policy", "update", "evaluation")
        shares = [median(run[part] / run["total"] for run in runs) for part in parts]
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        rows.append(f"| {library} | {speed:,.0f} | {cells} |")
    return rows


def scores_of(bench: Bench, clinic: str, arm: Arm, seeds: Sequence[int]) -> dict[int, float]:
    """Return seed -> score of the runs that exist."""
    scores = {seed: bench.score(clinic, arm, seed) for seed in seeds}
    return {seed: score for seed, score in scores.items() if score is not None}


def main(arguments: list[str]) -> str:
    """Train what is missing, evaluate, and return the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--clinics", nargs="*", choices=CLINICS, default=list(CLINICS))
    parser.add_argument("--only", help="train only the arms whose stem begins with this")
    parser.add_argument("--seeds", type=int, nargs="*", default=None)
    parser.add_argument("--no-training", action="store_true", help="only what is there already")
    parser.add_argument("--explore", action="store_true", help="train the exploration too")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    bench = Bench(asked.results)
    planned = [(c, arm, asked.seeds or SEEDS) for c in asked.clinics for arm in arms_of(c)]
    if asked.explore:
        planned += [("paper_two", arm, asked.seeds or EXPLORATION_SEEDS) for arm in EXPLORATION]
    for clinic, arm, seeds in planned:
        if asked.no_training or (asked.only and not arm.stem.startswith(asked.only)):
            continue
        bench.train(clinic, arm, seeds)
    return "\n".join([*comparison(bench), *exploration(bench), *throughput()])
