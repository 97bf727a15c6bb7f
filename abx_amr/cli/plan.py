"""abx-plan: how well a clinic can be treated at all, and how far rules and agents are from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, task_of_command
from abx_amr.cli.numbers import figure
from abx_amr.cli.written_report import print_report

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.planning.service import Plan
    from abx_amr.planning.stationary import Audit
    from abx_amr.reports.subjects import Subject

HELP = """
abx-plan: the optimum of a clinic, exact where the lattice of pressures holds it, else between two
bounds; tuned rules, and what the agent's discount factor costs even a perfect learner.

  abx-plan                                              the default clinic
  abx-plan experiment=paper_two 'plan.runs=[base_ppo]'  with the gap of a trained agent
  abx-plan patient_generator=mixed_risk plan.tolerance=0.005    closer bounds
  abx-plan experiment=paper_single plan.front=true plan.information=true
  abx-evaluate agent_algorithm=optimal experiment=paper_two     play the optimal policy

  plan.tolerance     how wide bounds may be, as a share of the range from never treating
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
Results: results/<experiment>_plan_<timestamp>/ (plan.json, figures, report.html, a page to send).
"""


def task(config: DictConfig) -> float | None:
    """Plan as composed; return the optimum."""
    plain, choices, _ = composed(config)
    return plan(plain, name=choices["experiment"], choices=choices)


def plan(
    config: dict[str, Any], *, name: str, choices: Mapping[str, str] | None = None
) -> float | None:
    """Plan with a resolved configuration; return the optimum, None where there is none.

    Args:
        config: The configuration.
        name: Of the clinic.
        choices: Group -> what was chosen in it.
    """
    from abx_amr.comparison.planned import planned
    from abx_amr.configuration.values import CLINIC_SECTIONS
    from abx_amr.host.atomic_files import claim_folder, write_json
    from abx_amr.host.progress import phase_display
    from abx_amr.runs.provenance import provenance

    with phase_display() as on_progress:
        found = planned(config, name=name, say=_say, on_part=_print_part, on_progress=on_progress)
    if found.interrupt is not None:
        if not found.is_valued:
            _print_values(found)
        raise found.interrupt
    folder = claim_folder(config["results_dir"], f"{name}_plan")
    clinic = {section: config[section] for section in CLINIC_SECTIONS if section in config}
    write_json(folder / "plan.json", {**found.to_dict(), "configuration": clinic})
    facts = provenance(seeds={"evaluation": config["plan"]["seed"]})
    write_json(folder / "provenance.json", {**facts, "choices": choices or {}})
    if config["figures"] and found.optimum is not None:
        from abx_amr.planning.drawing import draw_plan

        (folder / "figures").mkdir()
        asked = config["plan"]
        with phase_display() as on_progress:
            missing = draw_plan(
                found,
                folder / "figures",
                episodes=asked["episodes"],
                seed=asked["seed"],
                on_progress=on_progress,
            )
        if missing is not None:
            print(f"no figure of the optimal policy: {missing}")
    print_report(
        lambda: _page_of(folder, has_figures=config["figures"]),
        is_wanted=config.get("report", True),
    )
    print(f"results: {folder}")
    return None if found.optimum is None else found.optimum.value


def _page_of(folder: Path, *, has_figures: bool) -> Subject:
    """Return what the page is about."""
    from abx_amr.reports.subjects import PlanSubject

    return PlanSubject(folder, has_figures=has_figures)


def _say(line: str) -> None:
    print(line, flush=True)


def _print_part(plan: Plan, part: str) -> None:
    if part == "values":
        _print_values(plan)
    elif part == "discount audit" and plan.audit is not None:
        print_audit(plan.audit)
    elif part == "value of information":
        _print_information(plan)


def _print_values(plan: Plan) -> None:
    found, rows = plan.optimum, plan.policies
    if found is None and not rows:
        return
    print(f"{'policy':<44} {'return':>10} {'+-':>6} {'gap':>9} {'of range':>9} {'sees time':>10}")
    if found is not None:
        if found.is_exact:
            print(
                f"{found.name:<44} {found.value:>10.3f} {'exact':>6} {0.0:>9.3f} {1:>9.1%}"
                f" {'yes':>10}"
            )
        else:
            sure = "" if found.confidence is None else f", {found.confidence:.0%} sure"
            print(f"{'upper bound' + sure:<44} {found.upper:>10.3f} {'yes':>37}")
            known = "reached by a policy that knows all" + sure
            print(f"{known:<44} {found.lower:>10.3f} {'yes':>37}")
        if found.caveats:
            print(f"  agents may see too little to reach it: {'; '.join(found.caveats)}")
    for row in sorted(rows, key=lambda row: -row["value"]):
        error = "exact" if row["standard_error"] == 0 else figure(row["standard_error"])
        gap, share = row["optimality_gap"], row["share_of_range"]
        gap_said = "" if gap is None else f"{gap:.3f}"
        share_said = "" if share is None else f"{share:.1%}"
        sees = "yes" if row["sees_time"] else "no"
        print(
            f"{row['name']:<44} {row['value']:>10.3f} {error:>6} {gap_said:>9} {share_said:>9}"
            f" {sees:>10}"
        )
    if plan.agents:
        print(
            "agents play their best weights, as in abx-evaluate; episodes of their training's "
            "evaluation seed have chosen these: plan.seed=1 plays others"
        )
    if found is not None:
        if not found.is_exact:
            print(
                f"optimum between {found.lower:.2f} and {found.upper:.2f}; gaps are to the latter"
            )
        if found.shortfall:
            print(f"  not as close as asked: {found.shortfall}")
        print(f"{found.method}; {found.programme}; {found.seconds:.1f} s")


def _print_information(plan: Plan) -> None:
    if not plan.information:
        return
    print(f"{'what is seen':<34} {'return':>10}  policy")
    for row in plan.information:
        print(f"{row.name:<34} {row.value:>10.3f}  {row.policy}")


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
