"""abx-evaluate: play a trained agent or a fixed rule through paired episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, guarded
from abx_amr.cli.numbers import figure, interval
from abx_amr.cli.optimality import gap_line
from abx_amr.errors import InputError, counted, did_you_mean, unknown

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.evaluation.episodes import Policy
    from abx_amr.runs.folder import RunFolder
    from abx_amr.simulator.clinic import ClinicModel

HELP = """
abx-evaluate: play a trained agent or a fixed rule through paired episodes: the same evaluation seed
means the same patients and the same luck, whoever prescribes.

  abx-evaluate run=results/base_ppo_20261123_120000
  abx-evaluate run=base_ppo experiment=paper_degraded evaluation.episodes=500
  abx-evaluate agent_algorithm=greedy experiment=paper_two against=never
  abx-evaluate agent_algorithm=amr_threshold agent_algorithm.threshold=0.1 experiment=paper_two

  run                a run folder, or the run_name of the newest one; its own clinic unless told
  agent_algorithm    without run: a rule (never, random, always_best, greedy, myopic, amr_threshold,
                     risk_stratified, cycling), or optimal, which knows the parameters
  against            another run or rule: the paired difference of the two, with its figure
  checkpoint         best (default) or last
  evaluation.episodes, evaluation.seed, evaluation.deterministic
  experiment, antibiotics, patient_generator, environment, reward_calculator: another clinic
  trajectories=true  every step as Parquet
Gives mean, std, IQM and a 95 % bootstrap interval, and a run folder with tables and figures.
"""


def task(config: DictConfig) -> float:
    """Evaluate as composed; return the mean episode return."""
    plain, choices, overrides = composed(config)
    return evaluate_composed(plain, choices=choices, overrides=overrides)


def evaluate_composed(
    config: dict[str, Any], *, choices: Mapping[str, str], overrides: Sequence[str]
) -> float:
    """Evaluate with a resolved configuration; return the mean episode return."""
    from abx_amr.configuration.agent import is_rule
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.configuration.groups import chosen_groups
    from abx_amr.configuration.training import build_training
    from abx_amr.configuration.values import AGENT_SECTIONS, CLINIC_SECTIONS
    from abx_amr.runs.folder import find_run
    from abx_amr.runs.loading import config_of_run
    from abx_amr.simulator.validation import validate_components

    asked = _asked(config["evaluation"])
    origin: dict[str, Any] = {"choices": chosen_groups(choices)}
    if config["run"] is not None:
        _refuse_another_agent(overrides)
        source = find_run(str(config["run"]), results_dir=config["results_dir"])
        own = config_of_run(source)
        clinic = _clinic_of(own, source.read_overrides(), config, overrides)
        model = build_clinic(clinic)
        policy = _policy(own, source.path, model, checkpoint=config["checkpoint"])
        config = {
            **config,
            **{name: clinic[name] for name in CLINIC_SECTIONS},
            **{name: own[name] for name in AGENT_SECTIONS if name in own},
            "training": {
                **own["training"],
                "torch_threads": config["training"]["torch_threads"],
            },
        }
        origin = _origin(source, choices, overrides)
        if not is_rule(own):
            origin |= {
                "trained_with_seed": own["training"]["seed"],
                "best_params_from": own.get("best_params_from"),
            }
        name = source.run_name
    else:
        model = build_clinic(config)
        policy = _policy(config, None, model, checkpoint=config["checkpoint"])
        name = f"{choices['experiment']}_{choices['agent_algorithm']}"
    validate_components(model)
    settings = replace(
        build_training(config),
        num_eval_episodes=asked["episodes"],
        evaluation_seed=asked["seed"],
    )
    from abx_amr.runs.training import (  # with the libraries of agents: after what is refused
        Run,
        run,
    )

    plan = Run(
        run_name=config["run_name"] or f"{name}_evaluated",
        results_dir=config["results_dir"],
        model=model,
        prescriber=policy,
        settings=settings,
        config=config,
        overrides=overrides,
        trajectories=bool(config["trajectories"]),
        figures=bool(config["figures"]),
        deterministic=bool(asked["deterministic"]),
        origin=origin,
    )
    other = None
    if config["against"] is not None:
        other = _other(str(config["against"]), config, model)
    folder = run(plan, against=other)
    summary = folder.read_summary()
    low, high = summary["mean_return_interval_95"]
    print(
        f"{plan.run_name}: mean return {summary['mean_return']:.3f}, "
        f"std {figure(summary['std_return'], 3)}, IQM {summary['iqm_return']:.3f}, "
        f"95 % interval {interval(low, high, 3)} "
        f"({counted(summary['evaluation_episodes'], 'episode')}, seed {settings.evaluation_seed})"
    )
    print(gap_line(summary))
    if getattr(policy, "knows_the_parameters", False):
        print("this policy knows the parameters of the clinic, which no agent does")
    if other is not None:
        paired = summary["against"]
        print(
            f"against {paired['name']}: difference {paired['mean']:.3f}, "
            f"standard error {figure(paired['standard_error'], 3)} paired "
            f"({figure(paired['unpaired_standard_error'], 3)} unpaired)"
        )
    print(f"results: {folder.path}")
    return float(summary["mean_return"])


def _origin(
    source: RunFolder, choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return where an evaluated run comes from: its own choices, another clinic's where chosen."""
    from abx_amr.configuration.groups import chosen_groups
    from abx_amr.configuration.values import CLINIC_SECTIONS

    own = source.read_provenance().get("choices") or {}
    said = {override.lstrip("+~").partition("=")[0] for override in overrides}
    here = chosen_groups(choices)
    if "experiment" in said:
        taken = {g: c for g, c in here.items() if g in ("experiment", *CLINIC_SECTIONS)}
    else:
        taken = {g: c for g, c in here.items() if g in said and g in CLINIC_SECTIONS}
    return {"evaluated_run": str(source.path), "choices": {**own, **taken}}


def _refuse_another_agent(overrides: Sequence[str]) -> None:
    """Refuse settings of an agent beside run=, which brings its own.

    Raises:
        InputError: one is given.
    """
    from abx_amr.configuration.values import AGENT_SECTIONS

    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key.split(".")[0] in AGENT_SECTIONS:
            raise InputError(
                f"run= brings its own agent: '{override}' would not be used; leave one of them out"
                + (f", or compare the two with against={value}" if key == "agent_algorithm" else "")
            )


def _asked(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the evaluation section, checked."""
    known = ("episodes", "seed", "deterministic")
    for key in section:
        if key not in known:
            raise InputError(unknown("evaluation key", key, known))
    for key, low in (("episodes", 1), ("seed", 0)):
        value = section[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(
                f"evaluation.{key} must be a whole number of at least {low}, got {value!r}"
            )
    if not isinstance(section["deterministic"], bool):
        raise InputError(
            f"evaluation.deterministic must be true or false, got {section['deterministic']!r}"
        )
    return section


def _clinic_of(
    own: Mapping[str, Any],
    own_overrides: Sequence[str],
    composed: Mapping[str, Any],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Return the run's clinic, with the sections that the command line touches composed anew."""
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.values import CLINIC_SECTIONS

    def root(override: str) -> str:
        return override.lstrip("+~").partition("=")[0].split(".")[0]

    about = [o for o in overrides if root(o) in (*CLINIC_SECTIONS, "experiment")]
    touched = {root(o) for o in about}
    clinic = {name: own[name] for name in CLINIC_SECTIONS}
    if "experiment" in touched:
        return {name: composed[name] for name in CLINIC_SECTIONS}
    if touched:
        kept = [o for o in own_overrides if root(o) in (*CLINIC_SECTIONS, "experiment")]
        anew = compose("evaluate", [*kept, *about]).plain
        clinic |= {name: anew[name] for name in touched}
    return clinic


def _policy(
    config: Mapping[str, Any], folder: Path | None, model: ClinicModel, *, checkpoint: str
) -> Policy:
    from abx_amr.configuration.agent import build_rule, is_rule
    from abx_amr.runs.loading import load_policy

    if is_rule(config):
        return build_rule(config, model)
    if folder is None:
        raise InputError(
            "nothing to evaluate: train first (abx-train) and give run=RUN_NAME, or choose a rule "
            "such as agent_algorithm=greedy"
        )
    return load_policy(folder, checkpoint=checkpoint, model=model)


def _other(name: str, config: Mapping[str, Any], model: ClinicModel) -> tuple[str, Policy]:
    """Return the rule or run to compare with."""
    from abx_amr.configuration.agent import build_rule, is_rule
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.groups import available
    from abx_amr.runs.folder import find_run
    from abx_amr.runs.loading import config_of_run

    if name in available("agent_algorithm") and not Path(name).is_dir():
        chosen = compose("evaluate", [f"agent_algorithm={name}"]).plain
        if not is_rule(chosen):
            raise InputError(
                f"against={name} has learned nothing yet: give a trained run (against=RUN_NAME) or "
                "a rule such as against=greedy"
            )
        return name, build_rule(chosen, model)
    try:
        source = find_run(name, results_dir=config["results_dir"])
    except InputError as error:
        hint = did_you_mean(name, available("agent_algorithm"))
        raise InputError(f"against={name} is no rule and no run{hint}: {error}") from error
    own = config_of_run(source)
    return name, _policy(own, source.path, model, checkpoint=str(config["checkpoint"]))


def main() -> None:
    """Enter through the command line."""
    enter(
        Command(
            name="abx-evaluate",
            config_name="evaluate",
            help=HELP,
            task=guarded("abx-evaluate", task),
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.evaluate import main as enter_by_name

    enter_by_name()
