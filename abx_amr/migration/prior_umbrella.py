"""From an umbrella of the prior tool to our groups, with a note of all that is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.errors import InputError
from abx_amr.host.folder_names import check_folder_name
from abx_amr.migration.prior_agents import translate_agent
from abx_amr.migration.prior_clinic import (
    add_adverse_effects,
    translate_environment,
    translate_reward,
)
from abx_amr.migration.prior_files import (
    PRIOR_PPO,
    UMBRELLA_KEYS,
    Umbrella,
    reading,
)
from abx_amr.migration.prior_patients import translate_patients
from abx_amr.migration.prior_sections import (
    Groups,
    Notes,
    Plain,
    default_of,
    fill_group,
    take_section,
)


def translate_umbrella(umbrella: Umbrella, notes: Notes) -> Groups:
    """Return our groups for an umbrella; `notes` takes down the rest."""
    members: dict[str, Plain] = {}
    rest = {k: v for k, v in umbrella.content.items() if k not in UMBRELLA_KEYS}
    notes.lose_rest(rest, "umbrella: ")
    drugs: tuple[str, ...] = ()
    if umbrella.environment is None:
        fill_group(notes, "environment", "default")
    else:
        with reading(umbrella.environment.file, "--from-umbrella: environment"):
            clinic, antibiotics = translate_environment(umbrella.environment, notes)
        members["environment"], members["antibiotics"] = clinic, antibiotics
        drugs = tuple(members["antibiotics"]["drugs"])
    if umbrella.reward_calculator is None:
        fill_group(notes, "reward_calculator", "default")
        effects: Mapping[str, Any] = {}
    else:
        with reading(umbrella.reward_calculator.file, "--from-umbrella: reward_calculator"):
            members["reward_calculator"], effects = translate_reward(
                umbrella.reward_calculator, notes
            )
    if "antibiotics" in members:
        add_adverse_effects(members, effects, notes)
    elif effects:
        notes.lose("abx_adverse_effects_info", effects, "the umbrella names no antibiotics")
    if umbrella.patient_generator is None:
        fill_group(notes, "patient_generator", "default")
    else:
        with reading(umbrella.patient_generator.file, "--from-umbrella: patient_generator"):
            members["patient_generator"] = translate_patients(
                umbrella.patient_generator, umbrella, notes
            )
    values = _training(umbrella.training, members, notes)
    if umbrella.agent is None:
        fill_group(notes, "agent_algorithm", PRIOR_PPO)
        members["agent_algorithm"] = {"defaults": [PRIOR_PPO]}
    else:
        with reading(umbrella.agent.file, "--from-umbrella: agent_algorithm"):
            translate_agent(umbrella, members, drugs, notes)
    return Groups(members=members, values=values)


def _training(given: Mapping[str, Any], members: dict[str, Plain], notes: Notes) -> Plain:
    """Add the training group; return what belongs to the experiment itself."""
    section = dict(given)
    values: Plain = {}
    if (run_name := section.pop("run_name", None)) is not None:
        notes.changed.append(_run_name(run_name))
    if "log_patient_trajectories" in section:
        values["trajectories"] = bool(section.pop("log_patient_trajectories"))
    ours: Plain = {"defaults": ["default"]}
    packaged_plan = default_of("training")
    for key in (
        "total_num_training_episodes",
        "save_freq_every_n_episodes",
        "eval_freq_every_n_episodes",
        "num_eval_episodes",
    ):
        if key in section:
            ours[key] = section.pop(key)
        else:
            notes.fill(f"training.{key}", packaged_plan[key])
    if (seed := section.pop("seed", None)) is None:
        notes.fill("training.seed", packaged_plan["seed"])
    else:
        is_whole = isinstance(seed, int) and not isinstance(seed, bool)
        if is_whole and (1 <= seed <= 999 or seed >= 10_000):
            ours["seed"] = seed
        else:
            why = "training seeds are 1-999, 1000-9999 belong to tuning; the default 42 is used"
            notes.lose("training.seed", seed, why)
    stopping = take_section(section, "early_stopping", "training.")
    kept = {k: stopping.pop(k) for k in ("enabled", "patience", "min_delta") if k in stopping}
    if kept:
        ours["early_stopping"] = kept
    metric = stopping.pop("metric_name", None)
    if metric not in (None, "eval/mean_reward"):
        why = "stopping goes by the mean evaluation return here"
        notes.lose("training.early_stopping.metric_name", metric, why)
    notes.lose_rest(stopping, "training.early_stopping.")
    notes.lose_rest(section, "training.")
    if len(ours) > 1:
        members["training"] = ours
    return values


def _run_name(given: Any) -> str:
    """Return what to say of a name that every training and every study would share."""
    message = (
        f"training.run_name = {given}: named one run, and would name every run and every study"
    )
    try:
        name = check_folder_name("run_name", str(given))
    except InputError as error:
        return f"{message} of the experiment; it was left out (no name here: {error})"
    return (
        f"{message} of the experiment; it was left out, write run_name={name} on the command line"
    )
