"""Direct policy search with its shipped setting against the exact references and every tuned rule.

python -m benchmarks policy_search                 (the same command resumes)
python -m benchmarks policy_search --seeds 10000 10001       a part of it

Fixed before the runs. Twenty fresh training seeds per clinic, the shipped setting of
conf/agent_algorithm/policy_search.yaml with its own length, the mean policy at the end (no
selection among checkpoints), 200 evaluation episodes of a seed that nothing has seen, one thread.
Bars, all reported whether they are met or not:

1. paper_single, paper_two, paper_two_cross_resistant, time seen (reference: the optimum) and not
   seen (reference: the best stationary policy): at least 19 of 20 seeds within 5 % of the range
   from never treating to the reference, the median within 2.5 %; at most 15 CPU seconds a seed.
2. The default clinic, mixed_risk, paper_degraded, the three paper_risk clinics, paper_crowded: the
   median seed beats every tuned rule by more than the paired 95 % interval; at most 60 CPU seconds.
   Rules are tuned on other episodes than those reported.
3. A clinic of three antibiotics, two risk groups, late and noisy reports: the first seed beats the
   best tuned rule.

Exact references are those of abx-plan (optimum, and the best stationary policy over its discount
factors). Seeds come in the order of their numbers, clinic by clinic inside a seed, so that an
interrupted benchmark has all clinics.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from abx_amr.agents.rules import AmrThreshold, Cycling, Greedy, Myopic, RiskStratified, Rule
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.episodes import evaluate
from abx_amr.evaluation.statistics import paired_difference
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel

SEEDS = tuple(range(10_000, 10_020))
EVALUATED, EVALUATION_SEED = 200, 20_000
TUNED_ON, TUNING_SEED = 50, 30_000
TIME = "environment.include_time_remaining=true"
HISTORY = ("environment.temporal_windows=[5,20,100]", "environment.include_previous_action=true")
WINDOWS = ("environment.temporal_windows=[5,20,100]",)
RESULTS = Path("results/benchmarks/policy_search.jsonl")
WITHIN, MEDIAN_WITHIN, MET_BY = 0.05, 0.025, 0.95
NEVER = -281.75  # on the three published clinics
#: Three antibiotics, four patients a step, two risk groups, late and noisy reports.
OWN = (
    "+antibiotics.drugs.C={leak: 0.15, flatness_parameter: 30.0, permanent_residual_volume: 0.0,"
    " initial_amr_level: 0.0, adverse_effect_penalty: -1.0, adverse_effect_probability: 0.2}",
    "patient_generator=mixed_risk",
    "environment.num_patients_per_time_step=4",
    "environment.max_time_steps=200",
    "environment.visible_amr={update_every_n_time_steps: 30, noise_std: 0.1, bias: 0.0}",
    "reward_calculator.lambda_weight=0.1",
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A clinic, what is seen of it, and the bar.

    Attributes:
        overrides: What is said on the command line.
        never: Exact return of never treating; None: no exact reference.
        reference: Exact return of the best that sees as much.
        seconds: CPU seconds that a seed may take.
    """

    overrides: tuple[str, ...]
    seconds: float
    never: float | None = None
    reference: float | None = None


def _published(name: str, *, optimum: float, stationary: float) -> dict[str, Task]:
    clinic = (f"experiment={name}",)
    return {
        f"{name}, time not seen": Task(
            overrides=clinic, seconds=15, never=NEVER, reference=stationary
        ),
        f"{name}, time seen": Task(
            overrides=(*clinic, TIME), seconds=15, never=NEVER, reference=optimum
        ),
    }


TASKS: dict[str, Task] = {
    **_published("paper_single", optimum=-179.563, stationary=-200.775),
    **_published("paper_two", optimum=-51.826, stationary=-79.512),
    **_published("paper_two_cross_resistant", optimum=-84.453, stationary=-110.297),
    "default clinic": Task(overrides=(), seconds=60),
    "default clinic, time seen": Task(overrides=(TIME,), seconds=60),
    "mixed_risk, time seen": Task(overrides=("patient_generator=mixed_risk", TIME), seconds=60),
    "paper_degraded, history seen": Task(
        overrides=("experiment=paper_degraded", *HISTORY), seconds=60
    ),
    "paper_risk_accurate": Task(overrides=("experiment=paper_risk_accurate",), seconds=60),
    "paper_risk_exaggerated": Task(overrides=("experiment=paper_risk_exaggerated",), seconds=60),
    "paper_risk_compressed": Task(overrides=("experiment=paper_risk_compressed",), seconds=60),
    "paper_crowded, windows and time seen": Task(
        overrides=("experiment=paper_crowded", *WINDOWS, TIME), seconds=60
    ),
    "own clinic": Task(overrides=OWN, seconds=60),
    "own clinic, windows and time seen": Task(overrides=(*OWN, *WINDOWS, TIME), seconds=60),
}


# --- measuring -----------------------------------------------------------------------------------


def searched(task: Task, seed: int) -> dict[str, Any]:
    """Return a seed's returns in the evaluation episodes and its CPU seconds."""
    config = compose(
        "train",
        [
            *("agent_algorithm=policy_search", "training.torch_threads=1"),
            *(*task.overrides, f"training.seed={seed}"),
        ],
    ).plain
    model, settings = build_clinic(config), build_training(config)
    agent = build_learner(config).build(model, settings)
    began = time.process_time()
    for _ in agent.learn(settings.total_num_training_episodes * model.max_time_steps):
        pass
    seconds = time.process_time() - began
    return {
        "seconds": seconds,
        "transitions": agent.transitions,
        "returns": _returns(agent.policy(), model),
    }


def _returns(policy: Any, model: ClinicModel) -> list[float]:
    found = evaluate(policy, model, episodes=EVALUATED, seed=EVALUATION_SEED, max_batch=EVALUATED)
    return [float(value) for value in found.returns]


def rules_of(task: Task) -> dict[str, list[float]]:
    """Return the evaluation returns of greedy and myopic and of tuned rules, by name."""
    model = build_clinic(compose("train", list(task.overrides)).plain)

    def score(rule: Rule) -> float:
        return evaluate(
            rule, model, episodes=TUNED_ON, seed=TUNING_SEED, max_batch=TUNED_ON
        ).mean_return

    def best(candidates: Sequence[Rule]) -> Rule:
        return max(candidates, key=score)

    levels = [round(0.02 * i, 2) for i in range(1, 31)]
    threshold = best([AmrThreshold(model, threshold=level) for level in levels])
    assert isinstance(threshold, AmrThreshold)
    near = threshold.threshold
    found: dict[str, Rule] = {
        "greedy": Greedy(model),
        "myopic": Myopic(model),
        f"amr_threshold {near:g}": threshold,
        "cycling, tuned": best([Cycling(model, period=n) for n in (3, 5, 10, 20, 30, 50, 80)]),
    }
    if "prob_infected" in model.layout.attributes:
        risks = [round(0.1 * i, 1) for i in range(10)]
        found["risk_stratified, tuned"] = best([RiskStratified(model, threshold=r) for r in risks])
        found["threshold and risk, tuned"] = best(
            [
                AmrThreshold(model, threshold=level, risk=risk)
                for level in sorted({near / 2, near, min(1.0, 2 * near), 1.0})
                for risk in risks
            ]
        )
    return {name: _returns(rule, model) for name, rule in found.items()}


def speed() -> str:
    """Return steps per second of the search and of the bare simulator, and what threads gain."""
    config = compose("train", ["agent_algorithm=policy_search", "experiment=paper_two"]).plain
    model, learner = build_clinic(config), build_learner(config)
    one, two = (
        learner.build(model, replace(build_training(config), torch_threads=n)) for n in (1, 2)
    )
    spent = {1: [0.0, 0.0], 2: [0.0, 0.0]}
    runs = {n: agent.learn(10**9) for n, agent in ((1, one), (2, two))}
    before = {n: next(run) for n, run in runs.items()}
    for _ in range(30):  # in turn, so that both meet the same other programs
        for n, run in runs.items():
            began = time.process_time(), time.perf_counter()
            next(run)
            spent[n][0] += time.process_time() - began[0]
            spent[n][1] += time.perf_counter() - began[1]
    made = one.transitions - before[1]
    rate = {n: made / processor for n, (processor, _) in spent.items()}
    clinic = Clinic(model, stream_states(0, "bare", count=512))
    actions = np.random.default_rng(0).integers(model.num_treatments, size=(512, 1))
    clinic.reset()
    began = time.process_time()
    for _ in range(model.max_time_steps):
        clinic.step(actions)
    bare = 512 * model.max_time_steps / (time.process_time() - began)
    return (
        f"Environment steps per CPU second on paper_two: {rate[1] / 1e6:.1f} million in the search "
        f"(policies included), {bare / 1e6:.1f} million in the bare simulator of 512 environments. "
        f"Two threads: {rate[2] / 1e6:.1f} million, and {spent[1][1] / spent[2][1]:.2f} times as "
        f"fast by the clock, in turn with one thread, at a load of {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores. The returns are the same to the bit."
    )


# --- the table -----------------------------------------------------------------------------------


def kept() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what was measured already, by (task, rules or seed)."""
    if not RESULTS.is_file():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(row["task"], row["what"]): row for row in rows}


def keep(task: str, what: str, found: Mapping[str, Any]) -> None:
    """Append a measurement."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"task": task, "what": what, **found}) + "\n")


def row_of(name: str, done: Mapping[tuple[str, str], dict[str, Any]]) -> str | None:
    """Return a task's line of the table, None where nothing was measured."""
    task = TASKS[name]
    seeds = [done[name, str(seed)] for seed in SEEDS if (name, str(seed)) in done]
    if not seeds:
        return None
    means = np.array([np.mean(one["returns"]) for one in seeds])
    middle = seeds[int(np.argsort(means)[(len(means) - 1) // 2])]
    seconds = max(one["seconds"] for one in seeds)
    told = f"{means.min():.1f} / {np.median(means):.1f} / {means.max():.1f}"
    if task.reference is not None and task.never is not None:
        behind = (task.reference - means) / (task.reference - task.never)
        within = int((behind <= WITHIN).sum())
        met = (
            within >= MET_BY * len(means)
            and float(np.median(behind)) <= MEDIAN_WITHIN
            and seconds <= task.seconds
        )
        beside = f"reference {task.reference:.1f}"
        bar = f"{within} of {len(means)} within 5 %, median {100 * np.median(behind):.1f} %"
    else:
        rules = done.get((name, "rules"), {}).get("rules", {})
        if not rules:
            return None
        best = max(rules, key=lambda rule: float(np.mean(rules[rule])))
        against = [
            paired_difference(np.array(middle["returns"]), np.array(returns))
            for returns in rules.values()
        ]
        worst = min(against, key=lambda one: one.interval[0])
        met = worst.interval[0] > 0 and seconds <= task.seconds
        beside = f"{best}: {np.mean(rules[best]):.1f}"
        low, high = worst.interval
        bar = f"median seed minus the closest rule {worst.mean:+.1f} ({low:.1f} to {high:.1f})"
    return (
        f"| {name} | {len(means)} | {told} | {beside} | {bar} | {seconds:.0f} | "
        f"{'met' if met else '**not met**'}{'' if len(means) == len(SEEDS) else ' so far'} |"
    )


def table() -> str:
    """Return what was measured as a table."""
    done = kept()
    lines = [
        "Shipped setting, one thread, 200 fresh evaluation episodes; returns are worst / median / "
        "best over seeds, seconds the most that a seed took on a shared machine.",
        "",
        "| clinic | seeds | return | beside | bar | CPU s | |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [line for name in TASKS if (line := row_of(name, done)) is not None]
    return "\n".join([*lines, "", speed()])


def main(arguments: Sequence[str] = ()) -> str:
    """Measure what is missing and return the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks policy_search")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    asked = parser.parse_args(list(arguments))
    done = kept()
    for seed in () if asked.table else asked.seeds:
        for name, task in TASKS.items():
            if (name, str(seed)) not in done:
                keep(name, str(seed), searched(task, seed))
            if task.reference is None and (name, "rules") not in done:
                keep(name, "rules", {"rules": rules_of(task)})
                done = kept()
    return table()
