"""Evaluate as composed: a run or a rule, in its own clinic or another, alone or against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.checks import Count, Index, fits
from abx_amr.configuration.agent import build_rule, learns
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import available, chosen_groups
from abx_amr.configuration.overrides import key_of, keys_of, section_of_key
from abx_amr.configuration.training import build_training
from abx_amr.configuration.values import AGENT_SECTIONS, CLINIC_SECTIONS, Plain
from abx_amr.errors import InputError, did_you_mean, unknown
from abx_amr.runs.finished import EvaluateResult
from abx_amr.runs.folder import RunFolder, find_run
from abx_amr.runs.loading import config_of_run, load_policy
from abx_amr.runs.train_service import check_memory, default_run_name
from abx_amr.runs.trust import check_named_classes, named_classes, without_trust

if TYPE_CHECKING:
    from abx_amr.evaluation.episodes import Policy
    from abx_amr.runs.training import Opponent
    from abx_amr.simulator.model import ClinicModel

#: What a clinic is composed of on a command line.
_OF_A_CLINIC = (*CLINIC_SECTIONS, "experiment")


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is to be played.

    Args:
        name: Of the run or the rule.
        config: The configuration that the evaluation's folder keeps.
        model: The clinic.
        policy: Who prescribes in it.
        origin: What provenance.json says beside the usual.
        clinic_overrides: What the clinic was composed with.
        weights: Which weights of a trained agent it plays; None for a rule.
    """

    name: str
    config: Plain
    model: ClinicModel
    policy: Policy
    origin: Mapping[str, Any]
    clinic_overrides: Sequence[str]
    weights: Mapping[str, Any] | None = None


def evaluate(
    config: Plain, *, choices: Mapping[str, str], overrides: Sequence[str]
) -> EvaluateResult:
    """Evaluate with a resolved configuration; return what was played.

    Args:
        config: The configuration.
        choices: Group -> what was chosen in it.
        overrides: What was said on the command line.

    Raises:
        InputError: the user's mistake, before anything is written.
    """
    config, trust = without_trust(config)
    asked = _asked(config["evaluation"])
    fits("card", config["card"], bool)
    if config["run"] is None:
        request = _of_a_rule(config, choices, overrides)
    else:
        request = _of_a_run(config, choices=choices, overrides=overrides, trust=trust)
    from abx_amr.simulator.validation import validate_components

    config, model = request.config, request.model
    validate_components(model)
    settings = replace(
        build_training(config),
        num_eval_episodes=asked["episodes"],
        evaluation_seed=asked["seed"],
    )
    check_memory(model, settings)
    # With the libraries of agents: after what is refused.
    from abx_amr.runs.run import Run
    from abx_amr.runs.training import execute, play

    has_card = config["card"]
    run = Run(
        run_name=config["run_name"] or f"{request.name}_evaluated",
        results_dir=config["results_dir"],
        model=model,
        prescriber=request.policy,
        settings=settings,
        config=config,
        overrides=overrides,
        trajectories=bool(config["trajectories"]) or has_card,
        figures=bool(config["figures"]),
        report=bool(config.get("report", True)),
        deterministic=bool(asked["deterministic"]),
        origin=request.origin,
        clinic_overrides=request.clinic_overrides,
        weights=request.weights,
    )
    other = None
    if config["against"] is not None:
        other = _other(config["against"], config, model, trust=trust)
    folder = execute(run, against=other)
    best_rule = folder.read_summary().get("best_rule") if has_card else None
    if best_rule is not None:
        chosen = compose("evaluate", best_rule["overrides"]).plain
        folder.add_compared(best_rule["name"], play(run, build_rule(chosen, model)).to_frame())
    return EvaluateResult(
        folder=folder.path,
        summary=folder.read_summary(),
        knows_the_parameters=bool(getattr(request.policy, "knows_the_parameters", False)),
    )


def _of_a_rule(config: Plain, choices: Mapping[str, str], overrides: Sequence[str]) -> _Request:
    """Return the rule that is chosen, in the clinic that is composed."""
    model = build_clinic(config)
    policy = _policy(config, None, model, checkpoint=config["checkpoint"])
    return _Request(
        name=config["run_name"] or default_run_name(choices),
        config=config,
        model=model,
        policy=policy,
        origin={"choices": chosen_groups(choices)},
        clinic_overrides=overrides,
    )


def _of_a_run(
    config: Plain, *, choices: Mapping[str, str], overrides: Sequence[str], trust: bool
) -> _Request:
    """Return a run's agent, in the run's clinic with the sections that are given composed anew."""
    _refuse_another_agent(overrides)
    source = find_run(str(config["run"]), results_dir=config["results_dir"])
    own = config_of_run(source, trust=trust)
    clinic = _clinic_of(source, own, config, overrides, trust=trust)
    model = build_clinic(clinic)
    policy = _policy(own, source.path, model, checkpoint=config["checkpoint"], trust=trust)
    origin = _origin(source, choices, overrides)
    if learns(own):
        origin |= {
            "trained_with_seed": own["training"].get("seed"),
            "best_params_from": own.get("best_params_from"),
        }
    kept = {
        **config,
        **{name: clinic[name] for name in CLINIC_SECTIONS},
        **{name: own[name] for name in AGENT_SECTIONS if name in own},
        "training": {
            **own["training"],
            "torch_threads": config["training"]["torch_threads"],
        },
    }
    return _Request(
        name=source.run_name,
        config=kept,
        model=model,
        policy=policy,
        origin=origin,
        clinic_overrides=[*source.read_overrides(), *overrides],
        weights=_weights(source, config["checkpoint"]) if learns(own) else None,
    )


def _weights(source: RunFolder, checkpoint: str) -> dict[str, Any]:
    """Return which weights a checkpoint of a run holds, as far as the run's summary says it."""
    summary = source.read_summary() if source.is_complete else {}
    key = "transitions" if checkpoint == "last" else "best_transitions"
    return {"checkpoint": checkpoint, "transitions": summary.get(key)}


def _origin(
    source: RunFolder, choices: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return where an evaluated run comes from: its own choices, another clinic's where chosen."""
    own = source.read_provenance().get("choices") or {}
    text = keys_of(overrides)
    here = chosen_groups(choices)
    if "experiment" in text:
        taken = {g: c for g, c in here.items() if g in ("experiment", *CLINIC_SECTIONS)}
    else:
        taken = {g: c for g, c in here.items() if g in text and g in CLINIC_SECTIONS}
    return {"evaluated_run": str(source.path), "choices": {**own, **taken}}


def _refuse_another_agent(overrides: Sequence[str]) -> None:
    """Refuse settings of an agent beside run=, which brings its own.

    Raises:
        InputError: one is given.
    """
    for override in overrides:
        if section_of_key(override) in AGENT_SECTIONS:
            value = override.partition("=")[2]
            raise InputError(
                f"run= brings its own agent: '{override}' would not be used; leave one of them out"
                + (
                    f", or compare the two with against={value}"
                    if key_of(override) == "agent_algorithm"
                    else ""
                )
            )


_EVALUATION = {"episodes": Count, "seed": Index, "deterministic": bool}


def _asked(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the evaluation section, checked."""
    for key, value in section.items():
        if key not in _EVALUATION:
            raise InputError(unknown("evaluation key", key, _EVALUATION))
        fits(f"evaluation.{key}", value, _EVALUATION[key])
    return section


def _clinic_of(
    source: RunFolder,
    own: Mapping[str, Any],
    composed: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    trust: bool,
) -> dict[str, Any]:
    """Return the run's clinic, with the sections that the command line touches composed anew.

    What the run's own overrides then name is limited as its configuration is.
    """
    about = [o for o in overrides if section_of_key(o) in _OF_A_CLINIC]
    touched = {section_of_key(o) for o in about}
    clinic = {name: own[name] for name in CLINIC_SECTIONS}
    if "experiment" in touched:
        return {name: composed[name] for name in CLINIC_SECTIONS}
    if touched:
        kept = [o for o in source.read_overrides() if section_of_key(o) in _OF_A_CLINIC]
        anew = compose("evaluate", [*kept, *about]).plain
        clinic |= {name: anew[name] for name in touched}
        known = {*named_classes(own), *named_classes(composed)}
        is_known = known.issuperset(named_classes(clinic))
        check_named_classes(clinic, where=source.path, trust=trust or is_known)
    return clinic


def _policy(
    config: Mapping[str, Any],
    folder: Path | None,
    model: ClinicModel,
    *,
    checkpoint: str,
    trust: bool = False,
) -> Policy:
    if not learns(config):
        return build_rule(config, model)
    if folder is None:
        raise InputError(
            "nothing to evaluate: train first (abx-train) and give run=RUN_NAME, or choose a rule "
            "such as agent_algorithm=greedy"
        )
    return load_policy(folder, checkpoint=checkpoint, model=model, trust=trust)


def _other(
    asked: object, config: Mapping[str, Any], model: ClinicModel, *, trust: bool
) -> Opponent:
    """Return the rule or run to compare with."""
    if isinstance(asked, Mapping):
        return _rule_with_parameters(asked, model)
    name = str(asked)
    if name in available("agent_algorithm") and not Path(name).is_dir():
        return _rule_with_parameters({"rule": name}, model)
    try:
        source = find_run(name, results_dir=config["results_dir"])
    except InputError as error:
        hint = did_you_mean(name, available("agent_algorithm"))
        raise InputError(f"against={name} is no rule and no run{hint}: {error}") from error
    own = config_of_run(source, trust=trust)
    # It sees what it has learned to see, of the same patients and the same luck.
    sees = replace(model, observation=build_clinic(own).observation)
    chosen_checkpoint = str(config["checkpoint"])
    policy = _policy(own, source.path, sees, checkpoint=chosen_checkpoint, trust=trust)
    other = _opponent(name, policy, own, sees)
    return replace(other, checkpoint=chosen_checkpoint) if learns(own) else other


def _rule_with_parameters(asked: Mapping[str, Any], model: ClinicModel) -> Opponent:
    """Return a rule by its name and, if it has any, its parameters.

    Raises:
        InputError: no such rule, or it has no such parameter.
    """
    example = "'against={rule: amr_threshold, threshold: 0.1}'"
    given = {str(key): value for key, value in asked.items()}
    name = given.pop("rule", None)
    if not isinstance(name, str):
        raise InputError(f"against takes a run, a rule, or a rule with its parameters: {example}")
    if name not in available("agent_algorithm"):
        raise InputError(f"against: {unknown('rule', name, available('agent_algorithm'))}")
    chosen = compose("evaluate", [f"agent_algorithm={name}"]).plain
    if learns(chosen):
        raise InputError(
            f"against={name} has learned nothing yet: give a trained run (against=RUN_NAME) or "
            "a rule such as against=greedy"
        )
    section = chosen["agent_algorithm"]
    for key in given:
        if key not in section or key.startswith("_"):
            own = [one for one in section if not one.startswith("_")]
            raise InputError(f"against: {unknown(f'parameter of {name}', key, own)}")
    config = {**chosen, "agent_algorithm": {**section, **given}}
    policy = build_rule(config, model)
    from abx_amr.planning.rule_values import rule_label  # with the planner: after what is refused

    return _opponent(rule_label(name, given), policy, config, model)


def _opponent(name: str, policy: Policy, config: Mapping[str, Any], model: ClinicModel) -> Opponent:
    # With the libraries of agents: after what is refused.
    from abx_amr.runs.optimality import prescribing_of
    from abx_amr.runs.training import Opponent

    who = prescribing_of(config, model, policy)
    return Opponent(name=name, policy=policy, model=model, prescribing=who)
