"""PPO's shipped setting on fresh seeds, and what each part of it is worth.

python -m benchmarks ppo_ablation                (the same command resumes)
python -m benchmarks ppo_ablation --phase bar    one phase: bar, broad, finalists, kin or levers
python -m benchmarks ppo_ablation --table        only the table of what is there

Fixed before the runs. Seeds are trained five at once by the seed-batched trainer on one thread
(which gives each seed the bits that it has alone), last weights, no selection among checkpoints,
and are scored on 200 evaluation episodes of a seed that nothing has seen. The setting was chosen by
short runs on the training seeds 900 to 907 and 50 other episodes; none of these seeds is used here.

bar        The shipped setting (conf/agent_algorithm/ppo.yaml), 1,000 episodes, seeds 10300 to
           10319, on paper_single, paper_two and paper_two_cross_resistant. A seed ends in the first
           place (every antibiotic of the formulary sparingly; the other places are one antibiotic,
           never, always) when its mean return is above -225, -120 and -150. The bar: at least 19 of
           20 seeds on each clinic, and the mean over seeds above `greedy` (same episodes) by more
           than its 95 % interval. The goal: the mean within 5 % of the range from never treating to
           the best stationary policy. The default clinic is reported without a bar.
broad      300 episodes, seeds 10100 to 10119, one thing changed at a time (ARMS), the default
           clinic too. Rows come arm by arm and clinic by clinic inside an arm.
finalists  1,000 episodes, seeds 10200 to 10219: the three arms other than the shipped setting with
           most seeds in the first place over the three published clinics in `broad`; of equals, the
           higher mean of the share of range. A finalist that is above the shipped setting's bar row
           on all three clinics takes its place, and the bar is run again on seeds 10400 to 10419.
kin        300 episodes, seeds 10500 to 10509: recurrent_ppo and hrl_ppo (heuristic library) with
           the same techniques beside the flat agent, paper_single and paper_two; lowest priority.

levers     1,000 episodes, seeds 10200 to 10219, what was written later (LEVERS): levels seen on a
           log scale too, value targets normalised by themselves (rewards are), environments that
           begin at different steps of their first episode, one network shared by the patients of a
           cohort (the default clinic alone: with one patient it is today's). On the published
           clinics an arm is better than the shipped setting when it keeps 19 of 20 seeds in the
           first place and its mean is above the shipped setting's on the same seeds, the 95 %
           interval of the paired difference above 0, on at least two of the three and below it on
           none; the goal of 5 % stands. On the default clinic the bar is `greedy`: the mean over
           seeds above it by more than its 95 % interval. Time seen is an arm of `broad`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from abx_amr.agents.rules import Greedy
from abx_amr.agents.settings import transitions_of
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.collapse import kind_of_treatments
from abx_amr.evaluation.episodes import evaluate
from abx_amr.evaluation.statistics import t_interval

EVALUATED, EVALUATION_SEED = 200, 20_000
RESULTS = Path("results/benchmarks/ppo_ablation.jsonl")
FIRST_PLACE = {"paper_single": -225.0, "paper_two": -120.0, "paper_two_cross_resistant": -150.0}
NEVER = -281.75  # exact, on the three published clinics
STATIONARY = {  # exact return of the best stationary policy
    "paper_single": -200.775,
    "paper_two": -79.512,
    "paper_two_cross_resistant": -110.297,
}
DEFAULT = "default clinic"
MET_BY, GOAL = 19, 0.05
BLOCK = 5  # seeds that are trained at once


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Rows of one purpose: as many seeds from the first on, each trained for so many episodes."""

    first_seed: int
    episodes: int
    clinics: tuple[str, ...]
    num_seeds: int = 20

    @property
    def seeds(self) -> range:
        """The training seeds."""
        return range(self.first_seed, self.first_seed + self.num_seeds)


PUBLISHED = tuple(FIRST_PLACE)
PHASES = {
    "bar": Phase(first_seed=10_300, episodes=1000, clinics=(*PUBLISHED, DEFAULT)),
    "broad": Phase(first_seed=10_100, episodes=300, clinics=(*PUBLISHED, DEFAULT)),
    "finalists": Phase(first_seed=10_200, episodes=1000, clinics=PUBLISHED),
    "levers": Phase(first_seed=10_200, episodes=1000, clinics=(*PUBLISHED, DEFAULT)),
    "kin": Phase(
        first_seed=10_500, episodes=300, clinics=("paper_two", "paper_single"), num_seeds=10
    ),
}
_A = "agent_algorithm"
SHIPPED = "shipped"
#: Name -> overrides of the shipped setting.
ARMS: dict[str, tuple[str, ...]] = {
    SHIPPED: (),
    "ppo_tutorial (release 0.1)": (f"{_A}=ppo_tutorial",),
    "rewards not normalised": (f"{_A}.normalize_reward=false",),
    "no exploring starts": (f"{_A}.exploring_starts=0",),
    "gae_lambda 0.95": (f"{_A}.gae_lambda=0.95",),
    "gamma 0.99": (f"{_A}.gamma=0.99",),
    "gamma 0.998": (f"{_A}.gamma=0.998",),
    "gamma 0.9995": (f"{_A}.gamma=0.9995",),
    "gamma raised to 0.9995": (f"{_A}.final_gamma=0.9995",),
    "ent_coef 0.02 throughout": (f"{_A}.ent_coef=0.02", f"{_A}.final_ent_coef=null"),
    "ent_coef 0.1 falling to 0": (f"{_A}.ent_coef=0.1", f"{_A}.final_ent_coef=0.0"),
    "learning rate from 1e-3": (f"{_A}.learning_rate=1e-3",),
    "gradients clipped separately": (f"{_A}.clip_gradients_separately=true",),
    "64 environments": ("training.n_envs=64", f"{_A}.n_steps=4032"),
    "rollouts of half an episode": (f"{_A}.n_steps=2000",),
    "networks 128-128": (f"{_A}.policy_kwargs.net_arch=[128,128]",),
    "time seen": ("environment.include_time_remaining=true",),
}
_COHORT = (f"{_A}.patients_share_network=true", f"{_A}.sees_log_levels=true")
_FASTER = (f"{_A}.learning_rate=1e-3", f"{_A}.final_ent_coef=0.0")
#: What was written later: name -> its clinics, overrides of the shipped setting.
LEVERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    SHIPPED: ((*PUBLISHED, DEFAULT), ()),
    "log levels": ((*PUBLISHED, DEFAULT), (f"{_A}.sees_log_levels=true",)),
    "value targets normalised": (
        (*PUBLISHED, DEFAULT),
        (f"{_A}.normalize_value_targets=true",),
    ),
    "staggered starts": (PUBLISHED, (f"{_A}.staggered_starts=true",)),
    "one network for patients": ((DEFAULT,), (f"{_A}.patients_share_network=true",)),
    "one network, log levels": ((DEFAULT,), _COHORT),
    "one network, log levels, faster": ((DEFAULT,), (*_COHORT, *_FASTER)),
    "one network, log levels, faster, value targets": (
        (DEFAULT,),
        (*_COHORT, *_FASTER, f"{_A}.normalize_value_targets=true"),
    ),
    "faster": ((DEFAULT,), _FASTER),
}
KIN: dict[str, tuple[str, ...]] = {
    "ppo": (),
    "recurrent_ppo": (f"{_A}=recurrent_ppo",),
    "hrl_ppo": (f"{_A}=hrl_ppo", "option_library=heuristic"),
}
#: What the kin take over from the shipped setting.
_TAKEN_OVER = (
    *("learning_rate", "final_learning_rate", "gamma", "final_gamma", "gae_lambda"),
    *("ent_coef", "final_ent_coef", "normalize_reward", "exploring_starts", "exploring_doses"),
    *("n_epochs", "batch_size"),
)


# --- measuring -----------------------------------------------------------------------------------


def composed(clinic: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a clinic and an agent."""
    chosen = () if clinic == DEFAULT else (f"experiment={clinic}",)
    return compose("train", [*chosen, *overrides]).plain


def trained(
    clinic: str, overrides: Sequence[str], seeds: Sequence[int], episodes: int
) -> dict[str, Any]:
    """Return every seed's mean return, kind of collapse, and CPU seconds a seed."""
    config = composed(clinic, overrides)
    model, learner = build_clinic(config), build_learner(config)
    settings = replace(
        build_training(config), num_eval_episodes=EVALUATED, evaluation_seed=EVALUATION_SEED
    )
    began = time.process_time()
    agents = [learner.build(model, replace(settings, seed=seed)) for seed in seeds]
    for agent in agents:
        agent.log_to(None)
    transitions = transitions_of(episodes, model.max_time_steps, settings.n_envs)
    groups = [agents]
    if not (learner.keeps_pace and learner.can_learn_together(agents[0], settings)):
        groups = [[agent] for agent in agents]
    treatments = np.zeros((len(agents), model.num_treatments), np.int64)
    returns: list[float] = []
    for group in groups:
        trainer = learner.trainer(group, settings)
        for _ in trainer.rollouts(transitions):
            pass
        trainer.publish()
        at = len(returns)
        means = trainer.returns(
            group, model, settings, treatments=treatments[at : at + len(group)]
        ).mean(axis=1)
        returns += [float(mean) for mean in means]
    return {
        "seconds": (time.process_time() - began) / len(agents),
        "returns": returns,
        "collapsed": [kind_of_treatments(row) for row in treatments],
    }


def greedy(clinic: str) -> float:
    """Return the mean return of the greedy rule in the evaluation episodes."""
    model = build_clinic(composed(clinic, ()))
    found = evaluate(Greedy(model), model, episodes=EVALUATED, seed=EVALUATION_SEED)
    return found.mean_return


def kin_overrides(name: str) -> tuple[str, ...]:
    """Return the overrides of a kin: the techniques of the shipped setting."""
    if name == "ppo":
        return ()
    shipped = composed("paper_two", ())["agent_algorithm"]
    taken = tuple(
        f"{_A}.{key}={'null' if shipped[key] is None else shipped[key]}" for key in _TAKEN_OVER
    )
    return (*KIN[name], *taken)


# --- the rows ------------------------------------------------------------------------------------


def blocks() -> list[dict[str, Any]]:
    """Return what was measured already, a block of seeds each."""
    if not RESULTS.is_file():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def kept() -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return what was measured already by (phase, clinic, arm), the seeds in their order."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for block in sorted(blocks(), key=lambda one: one["seeds"]):
        key = (block["phase"], block["clinic"], block["arm"])
        row = found.setdefault(key, {"returns": [], "collapsed": [], "seconds": []})
        for name, values in row.items():
            values += block[name] if isinstance(block[name], list) else [block[name]]
    return found


def keep(phase: str, clinic: str, arm: str, seeds: Sequence[int], found: dict[str, Any]) -> None:
    """Append a measurement."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    row = {"phase": phase, "clinic": clinic, "arm": arm, "seeds": list(seeds), **found}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def finalists(done: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> list[str]:
    """Return the three arms that go on, best first; none before `broad` is complete."""
    rows = {
        arm: [done.get(("broad", clinic, arm)) for clinic in PUBLISHED]
        for arm in ARMS
        if arm != SHIPPED
    }
    whole = PHASES["broad"].num_seeds
    if any(row is None or len(row["returns"]) < whole for each in rows.values() for row in each):
        return []

    def worth(arm: str) -> tuple[int, float]:
        found = [(clinic, np.array(done["broad", clinic, arm]["returns"])) for clinic in PUBLISHED]
        first = sum(int((returns > FIRST_PLACE[clinic]).sum()) for clinic, returns in found)
        share = [
            float((returns.mean() - NEVER) / (STATIONARY[clinic] - NEVER))
            for clinic, returns in found
        ]
        return first, float(np.mean(share))

    return sorted(rows, key=worth, reverse=True)[:3]


def rows_of(phase: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (clinic, arm, overrides) of a phase in the order in which they are measured."""
    clinics = PHASES[phase].clinics
    if phase == "levers":
        for arm, (chosen, overrides) in LEVERS.items():
            yield from ((clinic, arm, overrides) for clinic in chosen)
        return
    if phase == "bar":
        arms: dict[str, tuple[str, ...]] = {SHIPPED: ()}
    elif phase == "broad":
        arms = ARMS
    elif phase == "finalists":
        arms = {arm: ARMS[arm] for arm in finalists(kept())}
    else:
        arms = {name: kin_overrides(name) for name in KIN}
    for arm, overrides in arms.items():
        for clinic in clinics:
            yield clinic, arm, overrides


def measure(phase: str, clinics: Sequence[str] | None = None, block: int | None = None) -> None:
    """Measure what is missing of a phase, in some clinics or blocks of seeds (None: all)."""
    plan = PHASES[phase]
    for clinic, arm, overrides in rows_of(phase):
        if clinics is not None and clinic not in clinics:
            continue
        if ("rule", clinic, "greedy") not in kept():
            rule = {"returns": [greedy(clinic)], "collapsed": [], "seconds": []}
            keep("rule", clinic, "greedy", [], rule)
        for at in range(0, plan.num_seeds, BLOCK):
            seeds = list(plan.seeds)[at : at + BLOCK]
            done = [(one["phase"], one["clinic"], one["arm"], one["seeds"]) for one in blocks()]
            if block in (None, at // BLOCK) and (phase, clinic, arm, seeds) not in done:
                keep(phase, clinic, arm, seeds, trained(clinic, overrides, seeds, plan.episodes))


# --- the table -----------------------------------------------------------------------------------


def line_of(phase: str, clinic: str, arm: str) -> str | None:
    """Return a row's line of the table, None where it is not measured."""
    done = kept()
    row = done.get((phase, clinic, arm))
    if row is None:
        return None
    returns = np.array(row["returns"])
    low, high = t_interval(returns)
    rule = done["rule", clinic, "greedy"]["returns"][0]
    told = f"{returns.min():.1f} / {np.median(returns):.1f} / {returns.max():.1f}"
    place, share, verdict = "", "", ""
    if clinic in FIRST_PLACE:
        first = int((returns > FIRST_PLACE[clinic]).sum())
        behind = float((STATIONARY[clinic] - returns.mean()) / (STATIONARY[clinic] - NEVER))
        place, share = f"{first} of {len(returns)}", f"{100 * behind:.1f} %"
        if phase == "bar":
            met = first >= MET_BY and low > rule
            verdict = "met" if met else "**not met**"
            verdict += ", goal met" if met and behind <= GOAL else ""
    beside = done.get((phase, clinic, SHIPPED))
    if phase == "levers" and arm != SHIPPED and beside is not None:
        pairs = min(len(returns), len(beside["returns"]))
        difference = returns[:pairs] - np.array(beside["returns"])[:pairs]
        least, most = t_interval(difference)
        verdict = f"{difference.mean():+.1f} ({least:+.1f} to {most:+.1f}) to shipped"
    if phase == "levers" and clinic == DEFAULT:
        verdict += ", above greedy" if low > rule else ", not above greedy"
    seconds = float(np.mean(row["seconds"]))
    collapsed = sum(kind is not None for kind in row["collapsed"])
    return (
        f"| {arm} | {clinic} | {told} | {returns.mean():.1f} ({low:.1f} to {high:.1f}) | "
        f"{rule:.1f} | {place} | {share} | {collapsed} | {seconds:.1f} | {verdict} |"
    )


def table() -> str:
    """Return what was measured as tables."""
    parts = [
        "Returns are worst / median / best over seeds and the mean with its 95 % interval; behind "
        "is the mean's distance from the best stationary policy as a share of the range from never "
        "treating to it; seconds are CPU seconds a seed."
    ]
    titles = {
        "bar": "The bar: shipped setting, 1,000 episodes, 20 fresh seeds",
        "broad": "Broad ablation: 300 episodes, 20 seeds, one thing changed",
        "finalists": "Finalists: 1,000 episodes, 20 fresh seeds",
        "kin": "Kin: 300 episodes, 10 seeds",
        "levers": "Levers written later: 1,000 episodes, 20 fresh seeds",
    }
    for phase, title in titles.items():
        lines = [line_of(phase, clinic, arm) for clinic, arm, _ in rows_of(phase)]
        if any(line is not None for line in lines):
            parts += [
                f"**{title}**",
                "\n".join(
                    [
                        "| arm | clinic | return | mean | greedy | first place | behind | "
                        "collapsed | CPU s | |",
                        "|---|---|---|---|---|---|---|---|---|---|",
                        *(line for line in lines if line is not None),
                    ]
                ),
            ]
    return "\n\n".join(parts)


def main(arguments: Sequence[str] = ()) -> str:
    """Measure what is missing and return the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ppo_ablation")
    parser.add_argument("--phase", choices=tuple(PHASES))
    parser.add_argument("--clinics", nargs="*", help="only these of the phase's clinics")
    parser.add_argument("--block", type=int, help="only this block of five seeds, from 0")
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    asked = parser.parse_args(list(arguments))
    if not asked.table:
        for phase in [asked.phase] if asked.phase else PHASES:
            measure(phase, asked.clinics, asked.block)
    return table()
