"""What a policy card owes a clinician: what was known, where it was trained and tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.errors import counted

#: Attribute of a patient -> in words.
ATTRIBUTES = {
    "prob_infected": "probability of an infection",
    "benefit_value_multiplier": "gain from a cure",
    "failure_value_multiplier": "harm from a failure",
    "benefit_probability_multiplier": "chance that a cure helps",
    "failure_probability_multiplier": "chance that a failure harms",
    "recovery_without_treatment_prob": "chance to recover without an antibiotic",
}
_CLINIC = (
    *("antibiotics", "amr_dynamics", "environment", "patient_generator", "reward_calculator"),
)
#: Rules that go by the clinic's reward.
_KNOW_THE_REWARD = ("Greedy", "Myopic", "AlwaysBest", "RiskStratified")


def known_to(config: Mapping[str, Any]) -> list[str]:
    """Return what a prescriber was told that a clinic may not know, a sentence each."""
    environment = config.get("environment") or {}
    known = [_resistance(environment.get("visible_amr") or {})]
    known += _patients(config.get("patient_generator") or {})
    if environment.get("include_time_remaining"):
        known.append(
            "How much of the simulated episode is left: a real clinic does not end, and what is "
            "done shortly before the end must not be copied."
        )
    if environment.get("include_steps_since_amr_update"):
        known.append("How old the report of resistance is.")
    if environment.get("include_previous_action"):
        known.append("What was prescribed in the step before, to each patient.")
    windows = environment.get("temporal_windows") or ()
    if windows:
        steps = ", ".join(map(str, windows))
        known.append(f"How often each antibiotic was given in the last {steps} steps.")
    name = str((config.get("agent_algorithm") or {}).get("_target_")).rsplit(".", 1)[-1]
    if name == "Optimal":
        known.append("Every parameter of the simulation: no agent and no clinic knows these.")
    elif name in _KNOW_THE_REWARD:
        known.append("The values that the simulation gives to cures, failures and adverse events.")
    return known


def _resistance(visible: Mapping[str, Any]) -> str:
    """Return how resistance is reported."""
    every = int(visible.get("update_every_n_time_steps", 1))
    noise, bias = float(visible.get("noise_std", 0.0)), float(visible.get("bias", 0.0))
    if every == 1 and noise == bias == 0:
        return (
            "The true share of resistant infections for each antibiotic, without error and at every"
            " step: a laboratory's report is late, and an estimate."
        )
    when = "at every step" if every == 1 else f"every {every} steps"
    faults = [f"a random error of {100 * noise:g} points (standard deviation)"] if noise else []
    faults += [f"{100 * abs(bias):g} points too {'low' if bias < 0 else 'high'}"] if bias else []
    with_faults = f", with {' and '.join(faults)}" if faults else ", without error"
    return f"A report of the share of resistant infections, renewed {when}{with_faults}."


def _patients(generator: Mapping[str, Any]) -> list[str]:
    """Return what is seen of the patients."""
    groups = generator.get("populations")
    populations = list(groups.values()) if isinstance(groups, Mapping) else [generator]
    names = {name for one in populations for name in one.get("visible_patient_attributes") or ()}
    said = []
    for name, words in ATTRIBUTES.items():
        if name not in names:
            continue
        laws = [one.get(name) or {} for one in populations]
        if len(laws) == 1 and (laws[0].get("distribution") or {}).get("type") == "constant":
            continue  # known of everybody, and the same
        faults = [_faults(law.get("observation") or {}) for law in laws]
        if any(faults):
            worst = max(faults, key=len)
            said.append(f"An estimate of each patient's {words} ({worst}).")
        else:
            said.append(f"Each patient's exact {words}: a clinic estimates it.")
    return said


def _faults(observation: Mapping[str, Any]) -> str:
    bias, noise = observation.get("bias_multiplier", 1.0), observation.get("noise_std", 0.0)
    faults = [f"times {bias:g}"] if bias != 1 else []
    faults += [f"with a random error of {noise:g}"] if noise else []
    return ", ".join(faults)


def limits_of(
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    provenance: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
) -> list[str]:
    """Return where a prescriber comes from and was played, and what nobody tried.

    Args:
        config: Of the run that is evaluated, or of the evaluation.
        summary: Its summary.
        provenance: Its provenance.
        trained: The configuration that it was trained with; None where that is not at hand.
    """
    environment = config.get("environment") or {}
    patients = counted(int(environment.get("num_patients_per_time_step") or 0), "patient")
    count = counted(int(summary.get("evaluation_episodes") or 0), "episode")
    said = [
        f"Simulated patients only: {count} of {environment.get('max_time_steps', '?')} steps with "
        f"{patients} each. No real patient was treated, and no record of real patients was used."
    ]
    said += _training(config, summary, provenance, trained)
    is_learned = bool(summary.get("transitions")) or "trained_with_seed" in provenance
    if is_learned and trained is None:
        said.append(
            "The run that it comes from is not at hand: whether it was trained in this clinic, and "
            f"whether these episodes (evaluation seed {summary.get('evaluation_seed')}) chose its "
            "checkpoint, cannot be said."
        )
        return said
    said.append(_episodes(config, summary, trained))
    changed = differing(trained, config) if trained is not None else None
    if changed:
        said.append(f"Played in another clinic than it was trained in: {', '.join(changed)}.")
    elif trained is not None:
        said.append(
            "Played in the very clinic that it was trained in. Not varied: how resistance grows "
            "and fades, cross-resistance, the report of resistance, the mix of patients and their "
            "number, the length of an episode, the values of cures and harms."
        )
    return said


def _training(
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    provenance: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
) -> list[str]:
    seed = provenance.get("trained_with_seed")
    if seed is None and summary.get("transitions"):
        seed = summary.get("seed")
    if seed is None:
        return ["It is a fixed rule: nothing was learned."]
    training = (trained or config).get("training") or {}
    episodes = training.get("total_num_training_episodes", "?")
    said = [
        f"One agent, trained once (seed {seed}, at most {episodes} episodes): the intervals hold "
        "for this agent and other patients; another training seed may give another policy."
    ]
    study = provenance.get("best_params_from") or (trained or config).get("best_params_from")
    if study:
        said.append(f"Its settings were chosen by the study {study}.")
    return said


def _episodes(
    config: Mapping[str, Any], summary: Mapping[str, Any], trained: Mapping[str, Any] | None
) -> str:
    seed = summary.get("evaluation_seed")
    chosen_by = ((trained or {}).get("training") or {}).get("evaluation_seed")
    if trained is not None and chosen_by == seed:
        if summary.get("transitions") or config.get("checkpoint") == "last":
            return (
                f"The episodes (evaluation seed {seed}) were played all along its training; its "
                "last weights, which these figures are of, were chosen by none of them."
            )
        return (
            f"The episodes (evaluation seed {seed}) are those by which the best checkpoint was "
            "chosen: the figures may flatter it. An evaluation with another seed does not."
        )
    return f"The episodes (evaluation seed {seed}) were not used to choose anything."


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return 'path old -> new' for every setting of the clinic that differs."""
    here, there = (_leaves({name: c.get(name) for name in _CLINIC}) for c in (first, second))
    return [
        f"{path} {here.get(path)} -> {there.get(path)}"
        for path in sorted({*here, *there})
        if here.get(path) != there.get(path)
    ]


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        parts: Sequence[dict[str, Any]] = [
            _leaves(inner, f"{path}.{key}" if path else str(key)) for key, inner in value.items()
        ]
        return {key: leaf for part in parts for key, leaf in part.items()}
    return {path: value}
