"""Who wins on which clinic: rules, every learner and the optimum of all shipped clinics.

python -m benchmarks leaderboard                      (the same command resumes)
python -m benchmarks leaderboard --clinics experiment=paper_two --agents policy_search
python -m benchmarks leaderboard --table              only the table of what is there

Fixed before the runs. Every agent has the shipped setting of its file in conf/agent_algorithm/ and
the length that the file names (policy_search: 76,800 episodes of all candidates together). Where it
names none, since the 25 of abx-train are a first look, ppo trains the 1,000 episodes that its
setting was measured with, recurrent_ppo and hrl_ppo 300, as in their own benchmark. Last weights,
no selection among checkpoints; one thread. Everybody is scored on 200 paired evaluation episodes of
seed 22000, rules exactly where chance does not move them. Tuned rules are those of abx-plan: AMR
threshold, cycling period, threshold and risk, and a level and a price for each antibiotic, tuned on
other episodes; the best is shown. Training seeds from 12000 on: 2 of policy_search with and without
the time, 2 of ppo, 1 of recurrent_ppo and 1 of hrl_ppo, all clinics with the first seed before the
second; what is not begun after 40 minutes of a processor is not begun. Few seeds rank no two agents
that are close: what twenty say stands in the tables of each agent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import abx_amr
from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.planning.rule_values import RULES
from abx_amr.runs.discount_audit import gamma_of
from abx_amr.runs.listening import Advance, RunListener
from benchmarks.optimum import EXPERIMENTS, OTHERS

CLINICS = (*(f"experiment={name}" for name in EXPERIMENTS), *OTHERS)
FIRST_SEED, EVALUATED, EVALUATION_SEED = 12_000, 200, 22_000
LONGEST = 40 * 60.0  # processor seconds of all that is kept
FOLDER = Path("results/benchmarks/leaderboard")
PAGE = Path(__file__).parents[1] / "docs" / "leaderboard.md"
PARTS = ("unseen_time", "discount", "partial_observation", "learning")
_SHOWN_RULES = ("never", "random", "greedy")
_TUNED = "best tuned rule"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A learner in the table.

    Attributes:
        overrides: What is said on the command line.
        seeds: How many seeds it gets.
        episodes: How long it trains; None: as long as its file says.
    """

    overrides: tuple[str, ...]
    seeds: int
    episodes: int | None = 300


CONTENDERS: dict[str, Contender] = {
    "ppo": Contender(overrides=("agent_algorithm=ppo",), seeds=2, episodes=1000),
    "recurrent_ppo": Contender(overrides=("agent_algorithm=recurrent_ppo",), seeds=1),
    "hrl_ppo": Contender(overrides=("agent_algorithm=hrl_ppo",), seeds=1),
    "policy_search": Contender(
        overrides=("agent_algorithm=policy_search",), seeds=2, episodes=None
    ),
    "policy_search, time seen": Contender(
        overrides=("agent_algorithm=policy_search", "environment.include_time_remaining=true"),
        seeds=2,
        episodes=None,
    ),
}


# --- measuring -----------------------------------------------------------------------------------


class Stopwatch(RunListener):
    """Takes the processor time of a training, from its beginning to its last update."""

    seconds = 0.0

    @contextmanager
    def progress(self, run_name: str) -> Iterator[Advance]:
        """Measure until the last call."""
        began = time.process_time()

        def advance(done: int, total: int) -> None:
            self.seconds = time.process_time() - began

        yield advance


def planned(clinic: str) -> dict[str, Any]:
    """Return the optimum or its bounds, never treating and the rules of a clinic.

    What is computed is kept where the summaries of the runs look for it: the discount factors of
    all contenders, and those near 1 among which the best stationary policy is.
    """
    sections = [compose("train", list(c.overrides)).plain["agent_algorithm"] for c in _agents()]
    own = {gamma for section in sections if (gamma := gamma_of(section)) is not None}
    gammas = sorted({*own, 0.99, 0.995, 0.998, 0.999})
    plan = abx_amr.plan(
        clinic,
        f"plan.episodes={EVALUATED}",
        f"plan.seed={EVALUATION_SEED}",
        f"plan.gammas={gammas}".replace(" ", ""),
    )
    if plan.interrupt is not None:
        raise plan.interrupt
    rules = {rule.name: rule.value for rule in plan.rules}
    best = max((name for name in rules if name not in RULES), key=rules.__getitem__)
    found = plan.optimum
    return {
        "never": plan.never,
        "optimum": None if found is None else [found.lower, found.upper],
        "rules": {name: rules[name] for name in _SHOWN_RULES} | {_TUNED: rules[best]},
        "tuned_rule": best,
    }


def _agents() -> tuple[Contender, ...]:
    return tuple(CONTENDERS.values())


def trained(clinic: str, agent: str, seed: int) -> dict[str, Any]:
    """Return what a contender's seed reaches, or why it cannot be trained there."""
    told = [clinic, *CONTENDERS[agent].overrides, f"training.seed={seed}"]
    config = compose("train", told).plain
    episodes = CONTENDERS[agent].episodes or config["training"]["total_num_training_episodes"]
    watch = Stopwatch()
    name = f"{clinic}_{agent}_{seed}".replace("=", "_").replace(", ", "_").replace(" ", "_")
    try:
        run = abx_amr.train(
            *told,
            *(f"training.{key}={episodes}" for key in _EVERY_EPISODES),
            f"training.num_eval_episodes={EVALUATED}",
            f"training.evaluation_seed={EVALUATION_SEED}",
            "training.torch_threads=1",
            "figures=false",
            f"results_dir={FOLDER}",
            f"run_name={name}",
            progress=False,
            listener=watch,
        ).run
    except InputError as error:
        return {"refused": str(error)}
    return {
        "mean": run.mean_return,
        "steps": run.summary["transitions"],
        "gap": run.summary.get("gap"),
        "seconds": watch.seconds,
    }


_EVERY_EPISODES = (
    "total_num_training_episodes",
    "eval_freq_every_n_episodes",
    "save_freq_every_n_episodes",
)


# --- kept ----------------------------------------------------------------------------------------


def kept() -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return what was measured already, by (clinic, what, seed)."""
    file = FOLDER / "measured.jsonl"
    if not file.is_file():
        return {}
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {(row["clinic"], row["what"], row["seed"]): row for row in rows}


def keep(clinic: str, what: str, seed: int, found: Mapping[str, Any]) -> None:
    """Append a measurement."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "measured.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"clinic": clinic, "what": what, "seed": seed, **found}) + "\n")
    print(clinic, what, seed, found.get("mean", ""), f"{found['spent']:.0f} s", flush=True)


def measure(clinics: Sequence[str], agents: Sequence[str]) -> None:
    """Measure what is missing, all clinics of a seed before the next seed, while there is time."""
    wanted = [(clinic, "plan", 0) for clinic in clinics]
    wanted += [
        (clinic, agent, FIRST_SEED + number)
        for number in range(max(CONTENDERS[agent].seeds for agent in agents))
        for clinic in clinics
        for agent in agents
        if number < CONTENDERS[agent].seeds
    ]
    for clinic, what, seed in wanted:
        if (clinic, what, seed) not in kept() and spent() < LONGEST:
            began = time.process_time()
            found = planned(clinic) if what == "plan" else trained(clinic, what, seed)
            keep(clinic, what, seed, {**found, "spent": time.process_time() - began})


def spent() -> float:
    """Return the processor seconds of all that is kept."""
    return float(sum(row["spent"] for row in kept().values()))


# --- the tables ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """What is known of a clinic.

    Attributes:
        clinic: Its overrides.
        plan: Optimum and rules.
        seeds: Contender -> its measurements, those that were trained.
        refused: Contender -> why it was not.
    """

    clinic: str
    plan: Mapping[str, Any]
    seeds: Mapping[str, Sequence[Mapping[str, Any]]]
    refused: Mapping[str, str]

    @property
    def means(self) -> dict[str, float]:
        """The mean return of each prescriber that does not know the parameters."""
        agents = {name: float(np.mean([s["mean"] for s in x])) for name, x in self.seeds.items()}
        return {**self.plan["rules"], **agents}

    @property
    def upper(self) -> float | None:
        """What gaps are measured from."""
        bounds = self.plan["optimum"]
        return None if bounds is None else float(bounds[1])

    @property
    def optimum(self) -> str:
        """The optimum, or its bounds, in words."""
        if self.plan["optimum"] is None:
            return "–"
        lower, upper = self.plan["optimum"]
        return f"{upper:.1f}" if f"{lower:.1f}" == f"{upper:.1f}" else f"{lower:.1f} to {upper:.1f}"


def standings() -> list[Standing]:
    """Return what was measured, clinic by clinic."""
    done, found = kept(), []
    for clinic in CLINICS:
        if (clinic, "plan", 0) not in done:
            continue
        rows = {
            agent: [row for (c, what, _), row in done.items() if (c, what) == (clinic, agent)]
            for agent in CONTENDERS
        }
        trained_ = {name: [r for r in x if "mean" in r] for name, x in rows.items()}
        found.append(
            Standing(
                clinic,
                done[clinic, "plan", 0],
                {name: x for name, x in trained_.items() if x},
                {name: x[0]["refused"] for name, x in rows.items() if x and "refused" in x[0]},
            )
        )
    return found


def overview(found: Sequence[Standing]) -> list[str]:
    """Return the table of mean returns, the best that does not know the parameters in bold."""
    columns = (*_SHOWN_RULES, _TUNED, *CONTENDERS)
    lines = [
        f"| clinic | {' | '.join(columns)} | optimum |",
        "|---|" + "---:|" * (len(columns) + 1),
    ]
    for one in found:
        means = one.means
        best = max(means.values())
        cells = [
            ""
            if name not in means
            else f"**{means[name]:.1f}**" * (means[name] == best) or f"{means[name]:.1f}"
            for name in columns
        ]
        lines.append(f"| `{one.clinic}` | {' | '.join(cells)} | {one.optimum} |")
    return lines


def details(found: Sequence[Standing]) -> list[str]:
    """Return the table of gaps, their parts and what they cost."""
    lines = [
        "| clinic | prescriber | seeds | return | gap | unseen time | discount | "
        "partial observation | learning | CPU s | steps |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        for name, mean in one.means.items():
            shown = one.plan["tuned_rule"] if name == _TUNED else name
            gap = "" if one.upper is None else f"{one.upper - mean:.1f}"
            cells = _costs(one.seeds[name]) if name in one.seeds else [""] * 6
            seeds = len(one.seeds.get(name, ())) or ""
            start = [f"`{one.clinic}`", shown, str(seeds), f"{mean:.1f}", gap]
            lines.append(f"| {' | '.join([*start, *cells])} |")
        lines += [
            f"| `{one.clinic}` | {name} | {why} |" + " |" * 8 for name, why in one.refused.items()
        ]
    return lines


def _costs(seeds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the parts of the gap, mean over seeds, CPU seconds and steps of a seed."""
    parts = []
    for name in PARTS:
        values = [part_of(seed["gap"], name) for seed in seeds]
        told = [value for value in values if value is not None]
        parts.append(f"{np.mean(told):.1f}" if len(told) == len(values) else "")
    seconds = np.mean([seed["seconds"] for seed in seeds])
    steps = np.mean([seed["steps"] for seed in seeds]) / 1e6
    return [*parts, f"{seconds:.1f}", f"{steps:.2f} M"]


def part_of(gap: Mapping[str, Any] | None, name: str) -> float | None:
    """Return a part of a summary's gap, None where the summary does not tell it."""
    for part in (gap or {}).get("parts", ()):
        if part["name"] == name and part["value"] is not None:
            return float(part["value"])
    return None


def table() -> str:
    """Return what was measured as tables."""
    found = standings()
    return "\n".join(
        [
            f"Mean returns in {EVALUATED} paired episodes; in bold the best of those that do not "
            "know the clinic's parameters. Nobody sees the time but who is said to, and the "
            "optimum, which knows the parameters too.",
            "",
            *overview(found),
            "",
            "The gap to the optimum (to its upper bound), and where it comes from: time that is "
            "not seen, the discount factor, what is not observed, and learning, which also holds "
            "whatever is not told apart before it. CPU seconds and environment steps are of one "
            "seed.",
            "",
            *details(found),
            "",
            f"All together {spent() / 60:.0f} minutes of a processor.",
        ]
    )


def main(arguments: Sequence[str] = ()) -> str:
    """Measure what is missing, write the page of docs/ and return the tables."""
    from benchmarks.__main__ import write

    parser = argparse.ArgumentParser(prog="python -m benchmarks leaderboard")
    parser.add_argument("--clinics", nargs="*", choices=CLINICS, default=list(CLINICS))
    parser.add_argument("--agents", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    asked = parser.parse_args(list(arguments))
    torch.set_num_threads(1)
    if not asked.table:
        measure(asked.clinics, asked.agents)
    found = table()
    write("leaderboard", "python -m benchmarks leaderboard", found, file=PAGE)
    return found
