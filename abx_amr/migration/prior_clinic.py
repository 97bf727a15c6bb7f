"""The prior tool's environment, antibiotics and reward as our groups.

Each function takes what it knows out of a copy of the section; what is left over is noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.errors import InputError
from abx_amr.migration.prior_files import (
    Part,
)
from abx_amr.migration.prior_sections import (
    Notes,
    Plain,
    check_name,
    default_of,
    list_of,
    mapping_of,
    take,
    take_section,
)


def translate_environment(part: Part, notes: Notes) -> tuple[Plain, Plain]:
    """Return environment and antibiotics; adverse effects are added later."""
    section = dict(part.content)
    drugs = _antibiotics(
        mapping_of(section.pop("antibiotics_AMR_dict", None), "antibiotics"), notes
    )
    cross = _cross_resistance(section.pop("crossresistance_matrix", None), list(drugs), notes)
    ours = default_of("environment")
    where = "environment."
    for key in ("num_patients_per_time_step", "max_time_steps"):
        ours[key] = take(section, key, ours[key], notes, where)
    visible = ours["visible_amr"]
    for prior, key in (
        ("update_visible_AMR_levels_every_n_timesteps", "update_every_n_time_steps"),
        ("add_noise_to_visible_AMR_levels", "noise_std"),
        ("add_bias_to_visible_AMR_levels", "bias"),
    ):
        value = section.pop(prior, visible[key])
        if isinstance(value, bool) and value:
            notes.lose(f"{where}{prior}", value, f"environment.visible_amr.{key} is a number")
        else:
            visible[key] = value if value else type(visible[key])(0) if key != _EVERY else value
    ours["include_steps_since_amr_update"] = bool(
        section.pop("include_steps_since_amr_update_in_obs", False)
    )
    windows = section.pop("temporal_windows", None) or []
    is_temporal = section.pop(_TEMPORAL, False)
    if is_temporal and not windows:
        why = "no temporal_windows are given, so that there are no temporal features here"
        notes.lose(f"{where}{_TEMPORAL}", is_temporal, why)
    windows = list_of(windows, f"{where}temporal_windows")
    ours["temporal_windows"] = windows if is_temporal else []
    notes.lose_rest(section, where)
    return ours, {"drugs": drugs, "cross_resistance": cross}


_EVERY = "update_every_n_time_steps"


_TEMPORAL = "enable_temporal_features"


def _antibiotics(given: Mapping[str, Any], notes: Notes) -> dict[str, Plain]:
    ours = next(iter(default_of("antibiotics", "two")["drugs"].values()))
    known = ("leak", "flatness_parameter", "permanent_residual_volume", "initial_amr_level")
    drugs = {}
    for name, parameters in given.items():
        check_name(name, "antibiotics_AMR_dict")
        where = f"antibiotics_AMR_dict.{name}."
        section = dict(mapping_of(parameters, where.rstrip(".")))
        drugs[name] = {key: take(section, key, ours[key], notes, where) for key in known}
        notes.lose_rest(section, where)
    return drugs


def _cross_resistance(given: Any, names: Sequence[str], notes: Notes) -> dict[str, Plain]:
    """Return antibiotic -> other antibiotic -> share; an antibiotic's own dose counts in full."""
    where = "crossresistance_matrix"
    if not given:
        return {}
    if isinstance(given, list):
        n = len(names)
        sizes = [len(row) if isinstance(row, list) else 0 for row in given]
        if sizes != [n] * n:
            raise InputError(
                f"--from-umbrella: {where} must have a row of {n} numbers for each of the {n} "
                f"antibiotics ({', '.join(names)}), got {given}"
            )
        given = {
            source: dict(zip(names, row, strict=True))
            for source, row in zip(names, given, strict=True)
        }
    found: dict[str, Plain] = {}
    for source, shares in mapping_of(given, where).items():
        check_name(source, where)
        for target, share in mapping_of(shares or {"": 0}, where).items():
            check_name(target, where)
            if source == target:
                if share != 1:
                    where = f"crossresistance_matrix.{source}.{target}"
                    notes.lose(where, share, "an antibiotic's own dose counts in full here")
            elif target != "":
                found.setdefault(str(source), {})[str(target)] = share
    return found


def translate_reward(part: Part, notes: Notes) -> tuple[Plain, Mapping[str, Any]]:
    """Return reward_calculator and the adverse effects by antibiotic."""
    section = dict(part.content)
    inner = "abx_clinical_reward_penalties_info_dict"
    clinical = take_section(section, inner, "reward_calculator.")
    effects = {
        **take_section(clinical, "abx_adverse_effects_info", f"reward_calculator.{inner}."),
        **take_section(section, "abx_adverse_effects_info", "reward_calculator."),
    }
    for name in effects:
        check_name(name, "abx_adverse_effects_info")
    ours = default_of("reward_calculator")
    for key in ours:
        if key.startswith("clinical_"):
            ours[key] = take(clinical, key, ours[key], notes, f"reward_calculator.{inner}.")
        elif key != "_target_":
            ours[key] = take(section, key, ours[key], notes, "reward_calculator.")
    notes.lose_rest(clinical, f"reward_calculator.{inner}.")
    notes.lose_rest(section, "reward_calculator.")
    return ours, effects


def add_adverse_effects(
    members: Mapping[str, Plain], effects: Mapping[str, Any], notes: Notes
) -> None:
    """Give every antibiotic its adverse effects, which the prior tool kept with the reward."""
    drugs = members["antibiotics"]["drugs"]
    reward = members.get("reward_calculator") or default_of("reward_calculator")
    for name, parameters in drugs.items():
        where = f"abx_adverse_effects_info.{name}"
        section = take_section(dict(effects), name, "abx_adverse_effects_info.")
        if not section:
            # Its probability is 0; its size may not change how rewards are normalised.
            section = {
                "adverse_effect_penalty": reward["clinical_failure_penalty"],
                "adverse_effect_probability": 0.0,
            }
            notes.filled.append(f"{where}: not given, {name} has no adverse effect")
        for key, default in (("adverse_effect_penalty", -1.0), ("adverse_effect_probability", 0.0)):
            parameters[key] = take(section, key, default, notes, f"{where}.")
        notes.lose_rest(section, f"{where}.")
    for name, value in effects.items():
        if name not in drugs:
            notes.lose(f"abx_adverse_effects_info.{name}", value, "it is no antibiotic here")
