"""From the prior tool's sections to our configuration groups, with a note of all that is lost.

Each function takes what it knows out of a copy of the section; what is left over is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.folder_names import check_folder_name
from abx_amr.host.locations import packaged
from abx_amr.migration.prior_files import (
    UMBRELLA_KEYS,
    Part,
    Umbrella,
    find,
    read_yaml,
    reading,
)

Plain = dict[str, Any]

ATTRIBUTES = (
    "prob_infected",
    "benefit_value_multiplier",
    "failure_value_multiplier",
    "benefit_probability_multiplier",
    "failure_probability_multiplier",
    "recovery_without_treatment_prob",
)
NO_TREATMENT = "no_treatment"

#: Prior algorithm -> our agent_algorithm, and the section of its hyper-parameters.
ALGORITHMS = {
    "PPO": ("ppo", "ppo"),
    "A2C": ("a2c", "a2c"),
    "RecurrentPPO": ("recurrent_ppo", "recurrent_ppo"),
    "HRL_PPO": ("hrl_ppo", "ppo"),
    "HRL_RPPO": ("hrl_rppo", "recurrent_ppo"),
}
#: What an option's file says for people, or of how the prior tool found the class of its type.
_OF_NO_EFFECT = ("description", "version", "plugin", "loader_module", "loader_function")
#: Those that a file of the prior tool gives; where it does not, ours count, which is said.
_HYPER_PARAMETERS = (
    *("learning_rate", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range"),
    *("ent_coef", "vf_coef", "max_grad_norm"),
)
SAMPLERS = {"tpe": "tpe", "random": "random", "cmaes": "cmaes"}
OPTION_PARAMETERS = {
    "block": ("antibiotic", "duration"),
    "alternation": ("sequence",),
    "heuristic": (
        *("duration", "action_thresholds", "uncertainty_threshold"),
        *("use_relative_uncertainty", "default_recovery_without_treatment_prob"),
    ),
}


@dataclass
class Notes:
    """What was not carried over, what was filled in, and what means something else here."""

    lost: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def lose(self, what: str, value: Any, why: str) -> None:
        """Note a setting that was not carried over."""
        shown = "" if isinstance(value, Mapping | list) and len(str(value)) > 60 else f" = {value}"
        self.lost.append(f"{what}{shown}: {why}")

    def fill(self, what: str, value: Any) -> None:
        """Note a setting that was not given, and what it is here."""
        self.filled.append(f"{what}: not given, {value} is used")

    def lose_rest(self, rest: Mapping[str, Any], where: str) -> None:
        """Note settings for which there is no counterpart."""
        for key, value in rest.items():
            self.lose(f"{where}{key}", value, "there is no such setting here")


@dataclass(frozen=True, kw_only=True)
class Groups:
    """What an umbrella became: group -> content, and values of the experiment itself."""

    members: Mapping[str, Plain]
    values: Plain


def default_of(group: str, name: str = "default") -> Plain:
    """Return the content of a packaged file, without what it inherits."""
    text = (packaged("conf") / group / f"{name}.yaml").read_text(encoding="utf-8")
    content: Plain = yaml.safe_load(text)
    content.pop("defaults", None)
    return content


def translate_umbrella(umbrella: Umbrella, notes: Notes) -> Groups:
    """Return our groups for an umbrella; `notes` takes down the rest."""
    members: dict[str, Plain] = {}
    rest = {k: v for k, v in umbrella.content.items() if k not in UMBRELLA_KEYS}
    notes.lose_rest(rest, "umbrella: ")
    drugs: tuple[str, ...] = ()
    if umbrella.environment is None:
        _fill_group(notes, "environment", "default")
    else:
        with reading(umbrella.environment.file, "--from-umbrella: environment"):
            clinic, antibiotics = _environment(umbrella.environment, notes)
        members["environment"], members["antibiotics"] = clinic, antibiotics
        drugs = tuple(members["antibiotics"]["drugs"])
    if umbrella.reward_calculator is None:
        _fill_group(notes, "reward_calculator", "default")
        effects: Mapping[str, Any] = {}
    else:
        with reading(umbrella.reward_calculator.file, "--from-umbrella: reward_calculator"):
            members["reward_calculator"], effects = _reward(umbrella.reward_calculator, notes)
    if "antibiotics" in members:
        _add_adverse_effects(members, effects, notes)
    elif effects:
        notes.lose("abx_adverse_effects_info", effects, "the umbrella names no antibiotics")
    if umbrella.patient_generator is None:
        _fill_group(notes, "patient_generator", "default")
    else:
        with reading(umbrella.patient_generator.file, "--from-umbrella: patient_generator"):
            members["patient_generator"] = _patients(umbrella.patient_generator, umbrella, notes)
    values = _training(umbrella.training, members, notes)
    if umbrella.agent is None:
        _fill_group(notes, "agent_algorithm", "ppo")
    else:
        with reading(umbrella.agent.file, "--from-umbrella: agent_algorithm"):
            _agent(umbrella, members, drugs, notes)
    return Groups(members=members, values=values)


def _fill_group(notes: Notes, section: str, name: str) -> None:
    notes.filled.append(f"{section}: the umbrella names none, {section}={name} is used")


def _take(section: Plain, key: str, default: Any, notes: Notes, where: str) -> Any:
    """Take a value out of a section, or our default, which is noted."""
    if key in section:
        return section.pop(key)
    notes.fill(f"{where}{key}", default)
    return default


def _take_section(section: Plain, key: str, where: str) -> Plain:
    """Take a section out of a section, an empty one where it is not there.

    Raises:
        InputError: it is something else.
    """
    value = section.pop(key, None)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"--from-umbrella: {where}{key} must be a section, got {value!r}")
    return dict(value)


def _list(value: Any, what: str) -> list[Any]:
    """Return a list that a file must hold.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, list):
        raise InputError(
            f"--from-umbrella: {what} holds a value of the wrong kind: it must be a list, "
            f"got {value!r}"
        )
    return list(value)


def _number(value: Any, what: str) -> float:
    """Return a number that a file must hold.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(
            f"--from-umbrella: {what} holds a value of the wrong kind: it must be a number, "
            f"got {value!r}"
        )
    return float(value)


# --- the clinic ----------------------------------------------------------------------------------


def _environment(part: Part, notes: Notes) -> tuple[Plain, Plain]:
    """Return environment and antibiotics; adverse effects are added later."""
    section = dict(part.content)
    drugs = _antibiotics(_mapping(section.pop("antibiotics_AMR_dict", None), "antibiotics"), notes)
    cross = _cross_resistance(section.pop("crossresistance_matrix", None), list(drugs), notes)
    ours = default_of("environment")
    where = "environment."
    for key in ("num_patients_per_time_step", "max_time_steps"):
        ours[key] = _take(section, key, ours[key], notes, where)
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
    windows = _list(windows, f"{where}temporal_windows")
    ours["temporal_windows"] = windows if is_temporal else []
    notes.lose_rest(section, where)
    return ours, {"drugs": drugs, "cross_resistance": cross}


_EVERY = "update_every_n_time_steps"
_TEMPORAL = "enable_temporal_features"


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"--from-umbrella: {what} must be a section with entries, got {value!r}")
    return value


def _check_name(name: object, where: str) -> None:
    """Refuse an antibiotic's name that YAML has read as something else.

    Raises:
        InputError: it is no text.
    """
    if not isinstance(name, str):
        raise InputError(
            f"--from-umbrella: {where} has the antibiotic {name!r}, which is no text: YAML reads "
            "an unquoted no, on or 1 so; quote it in the file, such as 'no'"
        )


def _antibiotics(given: Mapping[str, Any], notes: Notes) -> dict[str, Plain]:
    ours = next(iter(default_of("antibiotics", "two")["drugs"].values()))
    known = ("leak", "flatness_parameter", "permanent_residual_volume", "initial_amr_level")
    drugs = {}
    for name, parameters in given.items():
        _check_name(name, "antibiotics_AMR_dict")
        where = f"antibiotics_AMR_dict.{name}."
        section = dict(_mapping(parameters, where.rstrip(".")))
        drugs[name] = {key: _take(section, key, ours[key], notes, where) for key in known}
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
    for source, shares in _mapping(given, where).items():
        _check_name(source, where)
        for target, share in _mapping(shares or {"": 0}, where).items():
            _check_name(target, where)
            if source == target:
                if share != 1:
                    where = f"crossresistance_matrix.{source}.{target}"
                    notes.lose(where, share, "an antibiotic's own dose counts in full here")
            elif target != "":
                found.setdefault(str(source), {})[str(target)] = share
    return found


def _reward(part: Part, notes: Notes) -> tuple[Plain, Mapping[str, Any]]:
    """Return reward_calculator and the adverse effects by antibiotic."""
    section = dict(part.content)
    inner = "abx_clinical_reward_penalties_info_dict"
    clinical = _take_section(section, inner, "reward_calculator.")
    effects = {
        **_take_section(clinical, "abx_adverse_effects_info", f"reward_calculator.{inner}."),
        **_take_section(section, "abx_adverse_effects_info", "reward_calculator."),
    }
    for name in effects:
        _check_name(name, "abx_adverse_effects_info")
    ours = default_of("reward_calculator")
    for key in ours:
        if key.startswith("clinical_"):
            ours[key] = _take(clinical, key, ours[key], notes, f"reward_calculator.{inner}.")
        elif key != "_target_":
            ours[key] = _take(section, key, ours[key], notes, "reward_calculator.")
    notes.lose_rest(clinical, f"reward_calculator.{inner}.")
    notes.lose_rest(section, "reward_calculator.")
    return ours, effects


def _add_adverse_effects(
    members: Mapping[str, Plain], effects: Mapping[str, Any], notes: Notes
) -> None:
    drugs = members["antibiotics"]["drugs"]
    reward = members.get("reward_calculator") or default_of("reward_calculator")
    for name, parameters in drugs.items():
        where = f"abx_adverse_effects_info.{name}"
        section = _take_section(dict(effects), name, "abx_adverse_effects_info.")
        if not section:
            # Its probability is 0; its size may not change how rewards are normalised.
            section = {
                "adverse_effect_penalty": reward["clinical_failure_penalty"],
                "adverse_effect_probability": 0.0,
            }
            notes.filled.append(f"{where}: not given, {name} has no adverse effect")
        for key, default in (("adverse_effect_penalty", -1.0), ("adverse_effect_probability", 0.0)):
            parameters[key] = _take(section, key, default, notes, f"{where}.")
        notes.lose_rest(section, f"{where}.")
    for name, value in effects.items():
        if name not in drugs:
            notes.lose(f"abx_adverse_effects_info.{name}", value, "it is no antibiotic here")


# --- patients ------------------------------------------------------------------------------------


def _patients(part: Part, umbrella: Umbrella, notes: Notes) -> Plain:
    """Return a population, or a mixture of those that a mixer names."""
    if not _is_mixer(part.content):
        target = default_of("patient_generator")["_target_"]
        return {"_target_": target, **_population(part.content, "patient_generator.", notes)}
    populations: dict[str, Plain] = {}
    for name, proportion, member in _members(part, umbrella, (), notes):
        unique, number = name, 2
        while unique in populations:
            unique, number = f"{name}_{number}", number + 1
        with reading(member.file, "--from-umbrella: a population"):
            population = _population(member.content, f"{member.file.name}: ", notes)
        populations[unique] = {"proportion": proportion, **population}
    target = default_of("patient_generator", "mixed_risk")["_target_"]
    return {"_target_": target, "populations": populations}


def _is_mixer(content: Mapping[str, Any]) -> bool:
    return content.get("type") == "mixer" or "generators" in content


def _members(
    part: Part, umbrella: Umbrella, above: tuple[Path, ...], notes: Notes
) -> Iterator[tuple[str, float, Part]]:
    """Yield (name, proportion, file) of a mixer's populations, those of mixers in it too."""
    if part.file in above:
        raise InputError(f"--from-umbrella: the mixer '{part.file}' contains itself")
    section = dict(part.content)
    section.pop("type", None)
    generators = section.pop("generators", None)
    place = section.pop("patient_generator_config_folder_location", None)
    folders = [part.folder, umbrella.config_folder, umbrella.config_folder / "patient_generator"]
    if place is not None:
        folders = [part.folder / str(place), umbrella.file.parent / str(place), *folders]
    own_visible = section.pop("visible_patient_attributes", None)
    union: set[str] = set()
    notes.lose_rest(section, "patient_generator.")
    if not isinstance(generators, Sequence) or not generators:
        raise InputError(f"--from-umbrella: the mixer '{part.file}' must list its generators")
    for entry in generators:
        own = dict(_mapping(entry, f"each of the generators in '{part.file}'"))
        reference, proportion = own.pop("config_file", None), own.pop("proportion", None)
        if not isinstance(reference, str) or not isinstance(proportion, int | float):
            raise InputError(
                f"--from-umbrella: each of the generators in '{part.file}' must have config_file "
                f"and proportion, got {dict(entry)}"
            )
        notes.lose_rest(own, f"patient_generator.generators.{reference}.")
        file = find(reference, folders, said_by=f"--from-umbrella: the mixer '{part.file}'")
        member = Part(content=read_yaml(file, said_by="--from-umbrella: generators"), file=file)
        if _is_mixer(member.content):
            for name, share, inner in _members(member, umbrella, (*above, part.file), notes):
                union |= _visible(inner)
                yield name, proportion * share, inner
        else:
            union |= _visible(member)
            yield re.sub(r"\W+", "_", file.stem), proportion, member
    if own_visible is not None:
        key = "visible_patient_attributes"
        if {str(name) for name in _list(own_visible, f"the mixer's {key}")} != union:
            why = f"a mixture shows what any of its populations shows: {', '.join(sorted(union))}"
            notes.lose(f"{part.file.name}: {key}", own_visible, why)


def _visible(member: Part) -> set[str]:
    """Return what a population shows."""
    key = "visible_patient_attributes"
    given = member.content.get(key, default_of("patient_generator")[key])
    return {str(name) for name in _list(given, f"{member.file.name}: {key}")}


def _population(content: Mapping[str, Any], where: str, notes: Notes) -> Plain:
    """Return the six attributes in our form, from nested sections or an older flat file."""
    section = dict(content)
    section.pop("type", None)
    ours = default_of("patient_generator")
    visible = _take(
        section,
        "visible_patient_attributes",
        ours["visible_patient_attributes"],
        notes,
        where,
    )
    found: Plain = {
        "visible_patient_attributes": _list(visible, f"{where}visible_patient_attributes")
    }
    flat = _flat(section)
    for attribute in ATTRIBUTES:
        nested = section.pop(attribute, None)
        entry = dict(nested) if isinstance(nested, Mapping) else {}
        if nested is not None and not entry:
            notes.lose(f"{where}{attribute}", nested, "it is no section with prob_dist")
        entry |= flat.pop(attribute, {})
        found[attribute] = _attribute(entry, ours[attribute], f"{where}{attribute}", notes)
    notes.lose_rest(section, where)
    return found


def _flat(section: Plain) -> dict[str, Plain]:
    """Take ATTRIBUTE_dist and numbers per attribute out of a section: attribute -> its entries."""
    found: dict[str, Plain] = {}
    for key, value in list(section.items()):
        attribute = next((a for a in ATTRIBUTES if str(key).startswith(f"{a}_")), None)
        if attribute is not None:
            name = key.removeprefix(f"{attribute}_")
            found.setdefault(attribute, {})[_FLAT_NAMES.get(name, name)] = section.pop(key)
        elif isinstance(value, Mapping) and value and set(value) <= set(ATTRIBUTES):
            del section[key]
            for name, number in value.items():
                found.setdefault(str(name), {})[key] = number
    return found


_FLAT_NAMES = {"dist": "prob_dist", "distribution": "prob_dist", "clip": "clipping_bounds"}


def _attribute(entry: Plain, ours: Plain, where: str, notes: Notes) -> Plain:
    distribution = dict(ours["distribution"])
    given = entry.pop("prob_dist", None)
    if given is None:
        notes.filled.append(f"{where}: not given, {distribution} is used")
    else:
        distribution = _distribution(given, distribution, where, notes)
    seen = dict(ours["observation"])
    if "clipping_bounds" in entry:
        bounds = entry.pop("clipping_bounds")
        # null: no bound on either side.
        clip = [None, None] if bounds is None else _list(bounds, f"{where}.clipping_bounds")
        seen["clip"] = clip
    noise, fraction = entry.pop(_NOISE, None), entry.pop(_FRACTION, None)
    if noise is not None and fraction is not None:
        seen["noise_std"] = _number(noise, f"{where}.{_NOISE}") * _number(
            fraction, f"{where}.{_FRACTION}"
        )
    elif noise or fraction:
        name, value = (_NOISE, noise) if fraction is None else (_FRACTION, fraction)
        notes.lose(f"{where}.{name}", value, "the noise is the product of two numbers, one missing")
    for key, value in list(entry.items()):
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if re.search(r"bias\w*multiplier|multiplier\w*bias", key):
            seen["bias_multiplier"] = entry.pop(key)
        elif re.search(r"noise\w*std|std\w*noise", key) and "fraction" not in key:
            seen["noise_std"] = entry.pop(key)
        elif ("noise" in key or "bias" in key) and value == 0:
            del entry[key]  # none of it, whatever its unit
        elif "bias" in key or "noise" in key:
            why = "its unit cannot be told from its name (a factor, a sum, a share?)"
            notes.lose(f"{where}.{key}", entry.pop(key), why)
    notes.lose_rest(entry, f"{where}.")
    return {"distribution": distribution, "observation": seen}


_NOISE, _FRACTION = "obs_noise_one_std_dev", "obs_noise_std_dev_fraction"


def _distribution(given: Any, ours: Plain, where: str, notes: Notes) -> Plain:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"type": "constant", "value": given}
    section = dict(given) if isinstance(given, Mapping) else {}
    kind = section.pop("type", None)
    known = {"constant": ("value",), "gaussian": ("mu", "sigma")}.get(str(kind))
    if known is None or any(key not in section for key in known):
        why = f"a distribution is constant (value) or gaussian (mu, sigma) here; {ours} is used"
        notes.lose(f"{where}.prob_dist", given, why)
        return ours
    taken = {key: section.pop(key) for key in known}
    # The other kind's numbers may stand there as null.
    notes.lose_rest({k: v for k, v in section.items() if v is not None}, f"{where}.prob_dist.")
    return {"type": str(kind), **taken}


# --- the agent -----------------------------------------------------------------------------------


def _agent(
    umbrella: Umbrella, members: dict[str, Plain], drugs: Sequence[str], notes: Notes
) -> None:
    """Add agent_algorithm, and for a manager hrl and option_library."""
    assert umbrella.agent is not None
    section = {k: v for k, v in umbrella.agent.content.items() if k not in ("hrl", "training")}
    algorithm = section.pop("algorithm", None)
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        notes.lose("algorithm", algorithm, f"there is none here (there are: {known}); ppo is used")
        algorithm = "PPO"
    name, own_section = ALGORITHMS[algorithm]
    packaged_agent = default_of("agent_algorithm", name)
    ours: Plain = {"defaults": [name]}
    refused: set[str] = set()
    for key, value in _take_section(section, own_section, "").items():
        where = f"{own_section}.{key}"
        if key in ("policy_kwargs", "lstm_kwargs"):
            section.setdefault(key, value)
        elif key not in packaged_agent or key in ("policy", "_target_"):
            notes.lose(where, value, f"{name} has no such hyper-parameter that can be set")
        elif isinstance(value, str) and not isinstance(packaged_agent[key], str):
            refused.add(key)
            notes.lose(
                where,
                value,
                "it must be a number; schedules: agent_algorithm/ppo_linear; "
                f"{packaged_agent[key]} is used",
            )
        else:
            ours[key] = value
    for key in _HYPER_PARAMETERS:
        if key in packaged_agent and key not in ours and key not in refused:
            notes.fill(f"{own_section}.{key}", packaged_agent[key])
    network = {
        **_policy_arguments(_take_section(section, "policy_kwargs", ""), packaged_agent, notes),
        **_memory(_take_section(section, "lstm_kwargs", ""), packaged_agent, name, notes),
    }
    for key in ("net_arch", "lstm_hidden_size", "n_lstm_layers"):
        default = packaged_agent["policy_kwargs"].get(key)
        if default is not None and key not in network:
            notes.fill(f"{'policy' if key == 'net_arch' else 'lstm'}_kwargs.{key}", default)
    if network:
        ours["policy_kwargs"] = network
    if section.get("policy") in (None, packaged_agent["policy"]):
        section.pop("policy", None)
    for key, value in section.items():
        of_another = key in {s for _, s in ALGORITHMS.values()}
        why = f"{algorithm} does not read it" if of_another else "there is no such setting here"
        notes.lose(str(key), value, why)
    members["agent_algorithm"] = ours
    if name.startswith("hrl_"):
        _manager(umbrella, members, drugs, notes)
        decisions = "n_steps: counts the manager's decisions over all clinics here"
        notes.changed.append(f"{decisions}; the number was carried over")
    else:
        for key, value in umbrella.hrl.items():
            notes.lose(f"hrl.{key}", value, f"{algorithm} chooses no options")
        if "n_steps" in ours:
            notes.changed.append(
                "n_steps: counted the steps of one clinic, counts the transitions of one update "
                "over all clinics here; the number was carried over"
            )


def _policy_arguments(given: Plain, ours: Plain, notes: Notes) -> Plain:
    found: Plain = {}
    where = "policy_kwargs."
    if (architecture := given.pop("net_arch", None)) is not None:
        if (
            isinstance(architecture, list)
            and len(architecture) == 1
            and isinstance(architecture[0], Mapping)
        ):
            architecture = dict(architecture[0])  # as older versions of the library wrote it
        apart = architecture if isinstance(architecture, Mapping) else {"pi": architecture}
        found["net_arch"] = apart.get("pi")
        if apart.get("vf") is not None:
            found["value_net_arch"] = apart["vf"]
    if (activation := given.pop("activation_fn", None)) is not None:
        known = {name.lower(): name for name in ("Tanh", "ReLU", "ELU", "GELU", "LeakyReLU")}
        name = known.get(str(activation).rpartition(".")[2].lower())
        if name is None:
            notes.lose(f"{where}activation_fn", activation, f"known: {', '.join(known.values())}")
        else:
            found["activation_fn"] = f"torch.nn.{name}"
    for key in list(given):
        if key in ours["policy_kwargs"]:
            found[key] = given.pop(key)
    notes.lose_rest(given, where)
    return found


def _memory(given: Plain, ours: Plain, name: str, notes: Notes) -> Plain:
    """Return what lstm_kwargs says, for an algorithm with an LSTM."""
    if "lstm_hidden_size" not in ours["policy_kwargs"]:
        for key, value in given.items():
            notes.lose(f"lstm_kwargs.{key}", value, f"{name} has no LSTM")
        return {}
    found = {key: given.pop(key) for key in list(given) if key in ours["policy_kwargs"]}
    notes.lose_rest(given, "lstm_kwargs.")
    return found


def _manager(
    umbrella: Umbrella, members: dict[str, Plain], drugs: Sequence[str], notes: Notes
) -> None:
    section = dict(umbrella.hrl)
    reference = section.pop("option_library", None)
    ours = default_of("hrl")
    for key in ours:
        if key in section:
            ours[key] = section.pop(key)
    notes.lose_rest(section, "hrl.")
    members["hrl"] = ours
    options: dict[str, Plain] = {}
    if reference is None:
        notes.filled.append("hrl.option_library: not given, option_library=heuristic is used")
    else:
        options = _options(_library(reference, umbrella), umbrella, drugs, notes)
        if not options:
            notes.filled.append(
                "hrl.option_library: no option of it is left, option_library=heuristic is used"
            )
    if options:
        members["option_library"] = {"options": options}


def _old_places(umbrella: Umbrella) -> list[Path]:
    """Return where the prior tool was called, as far as can be guessed: its project lies there."""
    return [umbrella.file.parent, Path.cwd(), *umbrella.file.parent.parents]


def _library(reference: Any, umbrella: Umbrella) -> Part:
    if isinstance(reference, Mapping):
        return Part(content=reference, file=umbrella.file)
    message = f"--from-umbrella: hrl.option_library in '{umbrella.file}'"
    folders = [umbrella.options_folder, umbrella.config_folder, *_old_places(umbrella)]
    file = find(str(reference), folders, said_by=message)
    return Part(content=read_yaml(file, said_by=message), file=file)


def _options(
    library: Part, umbrella: Umbrella, drugs: Sequence[str], notes: Notes
) -> dict[str, Plain]:
    """Return name -> option for those that have a counterpart."""
    section = dict(library.content)
    for of_the_file in ("library_name", *_OF_NO_EFFECT):
        section.pop(of_the_file, None)
    entries = section.pop("options", None)
    notes.lose_rest(section, f"{library.file.name}: ")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise InputError(f"--from-umbrella: '{library.file}' must list its options, got {entries}")
    found: dict[str, Plain] = {}
    for entry in entries:
        own = dict(_mapping(entry, f"each of the options in '{library.file}'"))
        name, kind = str(own.pop("option_name", "")), own.pop("option_type", None)
        where = f"option {name}"
        if not isinstance(kind, str) or kind not in OPTION_PARAMETERS:
            why = "its class must be rewritten, see the example in components/options.py"
            notes.lose(where, kind, why if kind == "custom" else "no such type of option")
            continue
        if name in found:
            notes.lose(where, kind, "a second option of this name")
            continue
        parameters: Plain = {}
        if (reference := own.pop("option_subconfig_file", None)) is not None:
            folders = [library.folder, umbrella.options_folder, umbrella.config_folder]
            folders += _old_places(umbrella)
            file = find(str(reference), folders, said_by=f"--from-umbrella: '{library.file}'")
            parameters |= read_yaml(file, said_by=f"--from-umbrella: {where}")
        parameters |= _take_section(own, "config_params_override", f"{where}: ")
        for said_before in ("option_name", "option_type", "name", "type", *_OF_NO_EFFECT):
            parameters.pop(said_before, None)
            own.pop(said_before, None)
        notes.lose_rest(own, f"{where}: ")
        known = OPTION_PARAMETERS[kind]
        taken = {key: parameters.pop(key) for key in known if key in parameters}
        notes.lose_rest(parameters, f"{where}: ")
        fitting = _fitting(kind, taken, drugs, where, notes)
        if fitting is not None:
            found[name] = {"type": kind, **fitting}
    return found


def _fitting(
    kind: str, taken: Plain, drugs: Sequence[str], where: str, notes: Notes
) -> Plain | None:
    """Return an option's parameters in our words, None where it is none for this formulary."""
    required = {"block": ("antibiotic", "duration"), "alternation": ("sequence",)}
    for key in required.get(kind, ("duration", "action_thresholds")):
        if key not in taken:
            notes.lose(where, kind, f"it has no {key}")
            return None
    if kind == "heuristic":
        thresholds = dict(_mapping(taken["action_thresholds"], f"{where}: action_thresholds"))
        known = {f"prescribe_{drug}": drug for drug in drugs}
        for key in [k for k in thresholds if k not in known and k != "prescribe_*"]:
            notes.lose(f"{where}: action_thresholds.{key}", thresholds.pop(key), "no antibiotic")
        if not thresholds:
            notes.lose(where, kind, "no threshold of it is left")
            return None
        return {**taken, "action_thresholds": thresholds}
    key = "antibiotic" if kind == "block" else "sequence"
    given = [taken[key]] if kind == "block" else _list(taken[key], f"{where}: {key}")
    words = [NO_TREATMENT if str(g).lower() == NO_TREATMENT else str(g) for g in given]
    strange = [word for word in words if word not in (*drugs, NO_TREATMENT)]
    if strange:
        notes.lose(where, kind, f"'{strange[0]}' is no antibiotic of the environment")
        return None
    return {**taken, key: words[0] if kind == "block" else words}


# --- training and tuning -------------------------------------------------------------------------


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
    stopping = _take_section(section, "early_stopping", "training.")
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


def translate_tuning(given: Mapping[str, Any], *, agent: str, notes: Notes) -> Plain:
    """Return our tuning file for a prior one, for the agent that the umbrella trains."""
    rest = {k: v for k, v in given.items() if k not in ("optimization", "search_space")}
    notes.lose_rest(rest, "tuning: ")
    section = _take_section(dict(given), "optimization", "tuning: ")
    ours: Plain = {"defaults": ["base"]}
    if "n_trials" in section:
        notes.changed.append(
            "n_trials: was counted for each worker, is the budget of the whole study here"
        )
    base = default_of("tuning", "base")
    for key in ("n_trials", "n_seeds_per_trial", "truncated_episodes", "direction"):
        ours[key] = _take(section, key, base[key], notes, "optimization.")
    # A manager's returns vary more from seed to seed: its own studies weigh that more.
    weight = "stability_penalty_weight"
    default = default_of("tuning", f"{agent}_default").get(weight, base[weight])
    ours[weight] = _take(section, weight, default, notes, "optimization.")
    sampler = section.pop("sampler", None)
    if sampler is not None:
        name = re.sub(r"[^a-z]", "", str(sampler).lower())
        if name not in SAMPLERS:
            known = ", ".join(SAMPLERS)
            notes.lose("optimization.sampler", sampler, f"tpe is used (known: {known}, gp, qmc)")
        ours["sampler"] = SAMPLERS.get(name, "tpe")
    _tpe(_take_section(section, "tpe_config", "optimization."), ours, notes)
    notes.lose_rest(section, "optimization.")
    ours["search_space"] = _search_space(given.get("search_space") or {}, agent, notes)
    return ours


def _tpe(given: Plain, ours: Plain, notes: Notes) -> None:
    if given and ours.get("sampler", "tpe") != "tpe":
        notes.lose("optimization.tpe_config", given, f"the sampler is {ours['sampler']}")
        return
    options: Plain = {}
    if "n_startup_trials" in given:
        options["n_startup_trials"] = given.pop("n_startup_trials")
    liar = given.pop("constant_liar", "auto")
    # YAML reads a bare on or off as true or false.
    known = {"on": True, "true": True, "off": False, "false": False, "auto": None}
    if str(liar).lower() not in known:
        notes.lose("optimization.tpe_config.constant_liar", liar, "it must be auto, on or off")
    elif (is_on := known[str(liar).lower()]) is not None:
        options["constant_liar"] = is_on
    notes.lose_rest(given, "optimization.tpe_config.")
    if options:
        ours["sampler_options"] = options


def _search_space(given: Any, agent: str, notes: Notes) -> Plain:
    values = default_of("agent_algorithm", agent)
    found: Plain = {}
    for key, entry in _mapping(given, "search_space").items():
        name = re.sub(r"^(ppo|a2c|recurrent_ppo|agent_algorithm)\.", "", str(key))
        where = f"search_space.{key}"
        if name in ("option_gamma", "hrl.option_gamma"):
            path = "hrl.option_gamma" if agent.startswith("hrl_") else None
        else:
            path = f"agent_algorithm.{name}" if name in values else None
        if path is None or name in ("policy", "_target_", "policy_kwargs"):
            notes.lose(where, entry, f"{agent} has no such hyper-parameter")
            continue
        fields = dict(_mapping(entry, where))
        known = ("type", "low", "high", "step", "log", "choices")
        found[path] = {k: fields.pop(k) for k in known if k in fields}
        notes.lose_rest(fields, f"{where}.")
    if found:
        notes.changed.append(
            "search_space: its names reached no agent in the prior tool; here each searched value "
            "is read back from the built agent"
        )
    return found
