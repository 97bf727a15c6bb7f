"""abx-plan: how well a clinic can be treated at all, and how far rules and agents are from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, task_of_command
from abx_amr.cli.numbers import figure
from abx_amr.errors import InputError
from abx_amr.runs.discount_audit import gamma_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.planning.cache import PlanCache
    from abx_amr.planning.optimum import Optimum
    from abx_amr.planning.problem import Posed
    from abx_amr.planning.progress import OnProgress
    from abx_amr.planning.rule_values import RuleValue
    from abx_amr.planning.stationary import Audit
    from abx_amr.simulator.clinic import ClinicModel

log = logging.getLogger(__name__)

HELP = """
abx-plan: the exact optimum of a clinic by dynamic programming, its bounds, tuned rules, and what
the agent's discount factor costs even a perfect learner.

  abx-plan                                              the default clinic: some minutes
  abx-plan experiment=paper_two 'plan.runs=[base_ppo]'  with the gap of a trained agent
  abx-plan experiment=paper_single plan.front=true plan.information=true
  abx-evaluate agent_algorithm=optimal experiment=paper_two     play the optimal policy

  plan.rules         value and tune the fixed rules (default true)
  plan.audit         the discount audit for plan.gammas and the agent's own gamma (default true)
  plan.front         sweep plan.lambda_weights: clinical benefit against AMR at the horizon
  plan.information   what seeing patients, and a timely report of AMR, are worth
  plan.runs          run folders or run_names of agents: their gap, their place in the front
  plan.episodes, plan.seed   paired episodes for what chance decides
  plan_cache         optima by the fingerprint of the clinic (default .abx/plans)
  experiment, antibiotics, patient_generator, environment, reward_calculator: the clinic
  agent_algorithm    its gamma is audited
The tutorial's -s GROUP-subconfig=FILE and -p KEY=VALUE work too.
  abx-plan --cfg job                                    show the composed configuration
Results: results/<experiment>_plan_<timestamp>/ (plan.json, tables, figures).
"""


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """The section plan: of the configuration."""

    episodes: int
    seed: int
    rules: bool
    audit: bool
    gammas: list[float]
    front: bool
    lambda_weights: list[float]
    information: bool
    runs: list[str]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: A value is out of its range.
        """
        from abx_amr import checks

        checks.whole_number("plan.episodes", self.episodes, 2)
        checks.whole_number("plan.seed", self.seed, 0)
        for name in ("rules", "audit", "front", "information"):
            checks.flag(f"plan.{name}", getattr(self, name))
        for name in ("gammas", "lambda_weights", "runs"):
            if not isinstance(getattr(self, name), list):
                value = getattr(self, name)
                raise InputError(f"plan.{name} must be a list: write plan.{name}=[{value}]")
        for gamma in self.gammas:
            checks.number("plan.gammas", gamma, 0, 1, open_low=True, open_high=True)
        for weight in self.lambda_weights:
            checks.number("plan.lambda_weights", weight, 0, 1)
        if self.audit and not self.gammas:
            raise InputError("plan.gammas must hold at least one discount factor")
        if self.front and not self.lambda_weights:
            raise InputError("plan.lambda_weights must hold at least one weight")


def task(config: DictConfig) -> float | None:
    """Plan as composed; return the optimum."""
    plain, choices, _ = composed(config)
    return plan(plain, name=choices["experiment"])


def plan(config: dict[str, Any], *, name: str) -> float | None:
    """Plan with a resolved configuration; return the optimum, None where there is none."""
    from abx_amr.configuration.classes import check_arguments
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.host.atomic_files import claim_folder, write_json
    from abx_amr.host.progress import phase_display
    from abx_amr.planning.cache import PlanCache
    from abx_amr.planning.play import never
    from abx_amr.planning.problem import NotComputable, pose

    if not isinstance(config.get("plan"), Mapping):
        raise InputError(f"plan must be a section of the configuration, got {config.get('plan')!r}")
    check_arguments(PlanSettings, config["plan"], key="plan")
    asked = PlanSettings(**config["plan"])
    if not isinstance(config["plan_cache"], str) or not config["plan_cache"]:
        raise InputError(f"plan_cache must be a folder, got {config['plan_cache']!r}")
    model = build_clinic(config)
    cache = PlanCache(Path(config["plan_cache"]))
    posed, found, reason = None, None, None
    with phase_display() as on_progress:
        agents = _agents(config, asked.runs, model, on_progress)
        try:
            posed = pose(model)
            found = cache.known(posed)
            if found is None:
                found = cache.optimum(posed, say=_say, on_progress=on_progress)
        except NotComputable as error:
            reason = str(error)
            print(f"no optimum: {reason}")
        values = _rules(model, posed, asked, on_progress) if asked.rules else ()
    floor = never(posed.problem) if posed is not None else None
    content: dict[str, Any] = {
        "clinic": name,
        "optimum": None if found is None else asdict(found) | {"is_exact": found.is_exact},
        "why_no_optimum": reason,
        "never": floor,
    }
    rows = [asdict(v) | {"kind": "rule"} for v in values]
    rows += [asdict(v) | {"kind": "agent"} for v in agents]
    for row in rows:
        row |= _gap(row["value"], found, floor)
    _print_values(found, rows)
    content["policies"] = rows
    if posed is not None and found is not None:
        content |= _extras(config, asked, model, posed, found, cache)
    folder = claim_folder(config["results_dir"], f"{name}_plan")
    write_json(folder / "plan.json", content)
    if config["figures"] and posed is not None and found is not None:
        _draw(folder, model, posed, found, content, asked)
    print(f"results: {folder}")
    return None if found is None else found.value


def _say(line: str) -> None:
    print(line, flush=True)


def _agents(
    config: Mapping[str, Any],
    runs: Sequence[str],
    model: ClinicModel,
    on_progress: OnProgress | None,
) -> tuple[RuleValue, ...]:
    """Return what trained agents are worth in this clinic, on paired episodes."""
    if not runs:
        return ()
    import math

    import numpy as np
    import torch

    from abx_amr.evaluation.episodes import evaluate
    from abx_amr.planning.progress import counting
    from abx_amr.planning.rule_values import RuleValue
    from abx_amr.runs.folder import find_run
    from abx_amr.runs.loading import load_policy

    torch.set_num_threads(config["training"]["torch_threads"] or 1)
    found = []
    for run in counting(on_progress, "agents", runs):
        source = find_run(str(run), results_dir=config["results_dir"])
        policy = load_policy(source.path, model=model)
        asked = config["plan"]
        played = evaluate(policy, model, episodes=asked["episodes"], seed=asked["seed"])
        finals = [played.episodes[f"final_true_amr_{a}"].mean() for a in model.antibiotics]
        found.append(
            RuleValue(
                name=source.run_name,
                value=played.mean_return,
                standard_error=float(played.returns.std(ddof=1)) / math.sqrt(asked["episodes"]),
                individual=float(played.episodes["individual_return"].mean()),
                final_amr=float(np.mean(finals)),
            )
        )
    return tuple(found)


def _rules(
    model: ClinicModel, posed: Posed | None, asked: PlanSettings, on_progress: OnProgress | None
) -> tuple[RuleValue, ...]:
    from abx_amr.planning.rule_values import rule_values, tuned_values

    played: Any = {"episodes": asked.episodes, "seed": asked.seed, "on_progress": on_progress}
    return (*rule_values(model, posed, **played), *tuned_values(model, posed, **played))


def _gap(value: float, found: Optimum | None, floor: float | None) -> dict[str, Any]:
    from abx_amr.planning.cache import Reference

    gap = Reference(optimum=found, never=floor, reason=None).gap(value)
    return {key: gap[key] for key in ("optimality_gap", "share_of_range")}


def _print_values(found: Optimum | None, rows: Sequence[Mapping[str, Any]]) -> None:
    print(f"{'policy':<44} {'return':>10} {'+-':>6} {'gap':>9} {'of range':>9}")
    if found is not None:
        if found.is_exact:
            print(f"{found.name:<44} {found.value:>10.3f} {'exact':>6} {0.0:>9.3f} {1:>9.1%}")
        else:
            print(f"{found.name:<44} {found.upper:>10.3f}")
            print(f"{'reached by a policy that knows all':<44} {found.lower:>10.3f}")
        if found.caveats:
            print(f"  agents may see too little to reach it: {'; '.join(found.caveats)}")
    for row in sorted(rows, key=lambda row: -row["value"]):
        error = "exact" if row["standard_error"] == 0 else figure(row["standard_error"])
        gap, share = row["optimality_gap"], row["share_of_range"]
        gap_said = "" if gap is None else f"{gap:.3f}"
        share_said = "" if share is None else f"{share:.1%}"
        print(f"{row['name']:<44} {row['value']:>10.3f} {error:>6} {gap_said:>9} {share_said:>9}")
    if found is not None:
        print(f"{found.method}; {found.programme}; {found.seconds:.1f} s")


def _extras(
    config: Mapping[str, Any],
    asked: PlanSettings,
    model: ClinicModel,
    posed: Posed,
    found: Optimum,
    cache: PlanCache,
) -> dict[str, Any]:
    """Return audit, front and value of information, as far as they were asked for."""
    from abx_amr.host.progress import phase_display
    from abx_amr.planning.front import front, information
    from abx_amr.planning.problem import NotComputable

    content: dict[str, Any] = {}
    if asked.audit:
        try:
            gamma = gamma_of(config.get("agent_algorithm"))
            with phase_display() as on_progress:
                audited = cache.audit(
                    posed,
                    found,
                    gammas=asked.gammas,
                    gamma=gamma,
                    say=_say,
                    on_progress=on_progress,
                )
        except NotComputable as error:
            print(f"no discount audit: {error}")
        else:
            print_audit(audited)
            content["audit"] = {
                "rows": [
                    asdict(row) | {"loss": audited.loss(row), "share_of_range": audited.share(row)}
                    for row in audited.rows
                ],
                "spend_down": audited.spend_down,
                "agent_gamma": gamma,
                "warning": audited.warning,
            }
    if asked.front:
        print("stewardship front:")
        try:
            with phase_display() as on_progress:
                points = front(
                    model,
                    posed,
                    weights=asked.lambda_weights,
                    cache=cache,
                    episodes=asked.episodes,
                    seed=asked.seed,
                    say=_say,
                    on_progress=on_progress,
                )
        except NotComputable as error:
            print(f"no front: {error}")
        else:
            content["front"] = [asdict(point) for point in points]
    if asked.information:
        try:
            with phase_display() as on_progress:
                rows = information(
                    model,
                    posed,
                    cache=cache,
                    episodes=asked.episodes,
                    seed=asked.seed,
                    on_progress=on_progress,
                )
        except NotComputable as error:
            print(f"no value of information: {error}")
        else:
            print(f"{'what is seen':<34} {'return':>10}  policy")
            for row in rows:
                print(f"{row.name:<34} {row.value:>10.3f}  {row.policy}")
            content["information"] = [asdict(row) for row in rows]
    return content


def print_audit(audited: Audit) -> None:
    """Print the table of the discount audit and its warning."""
    print("discount audit: what a perfect learner does, by its discount factor")
    print(f"{'gamma':>8} {'equilibrium AMR':>16} {'return':>10} {'loss':>9} {'of range':>9}")
    for row in audited.rows:
        share = audited.share(row)
        own = "  <- the agent's" if row.gamma == audited.gamma else ""
        print(
            f"{row.gamma:>8g} {row.equilibrium_amr:>16.3f} {row.episode_return:>10.3f}"
            f" {audited.loss(row):>9.3f} {'' if share is None else f'{share:.1%}':>9}{own}"
        )
    print(
        f"spent down before the end of the episode, by the optimum alone: {audited.spend_down:.3f}"
    )
    if audited.warning is not None:
        print(f"warning: {audited.warning}")


def _draw(
    folder: Path,
    model: ClinicModel,
    posed: Posed,
    found: Optimum,
    content: Mapping[str, Any],
    asked: PlanSettings,
) -> None:
    import pandas as pd

    from abx_amr.host.progress import phase_display
    from abx_amr.planning.front import optimal_episode
    from abx_amr.planning.problem import NotComputable
    from abx_amr.plots import canvas, optimal_policy, stewardship_front

    figures = folder / "figures"
    figures.mkdir()
    try:
        with phase_display() as on_progress:
            given, level, _ = optimal_episode(
                model,
                posed,
                found.given,
                episodes=asked.episodes,
                seed=asked.seed,
                on_progress=on_progress,
            )
    except NotComputable as error:
        print(f"no figure of the optimal policy: {error}")
    else:
        figure = optimal_policy.draw(
            given,
            level,
            antibiotics=model.antibiotics,
            num_patients=model.num_patients_per_time_step,
            title=f"{content['clinic']}\nthe optimal policy, return {found.lower:.2f}",
        )
        canvas.save(figure, figures / "optimal_policy.png")
    if "front" in content:
        points = [
            {
                "kind": "optimum",
                "name": f"{p['lambda_weight']:g}",
                "individual": p["individual"],
                "final_amr": p["final_amr"],
            }
            for p in content["front"]
        ]
        points += [{k: row[k] for k in stewardship_front.COLUMNS} for row in content["policies"]]
        title = f"{content['clinic']}\nstewardship front"
        figure = stewardship_front.draw(pd.DataFrame(points), title=title)
        canvas.save(figure, figures / "stewardship_front.png")


def main() -> None:
    """Enter through the command line."""
    enter(
        Command(
            name="abx-plan", config_name="plan", help=HELP, task=task_of_command("abx-plan", task)
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.plan import main as enter_by_name

    enter_by_name()
