"""The prior tool's patient generators as our populations and mixtures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from abx_amr.errors import InputError
from abx_amr.migration.prior_files import (
    Part,
    Umbrella,
    find,
    read_yaml,
    reading,
)
from abx_amr.migration.prior_sections import (
    ATTRIBUTES,
    Notes,
    Plain,
    default_of,
    list_of,
    mapping_of,
    number_of,
    take,
)


def translate_patients(part: Part, umbrella: Umbrella, notes: Notes) -> Plain:
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
        own = dict(mapping_of(entry, f"each of the generators in '{part.file}'"))
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
        if {str(name) for name in list_of(own_visible, f"the mixer's {key}")} != union:
            why = f"a mixture shows what any of its populations shows: {', '.join(sorted(union))}"
            notes.lose(f"{part.file.name}: {key}", own_visible, why)


def _visible(member: Part) -> set[str]:
    """Return what a population shows."""
    key = "visible_patient_attributes"
    given = member.content.get(key, default_of("patient_generator")[key])
    return {str(name) for name in list_of(given, f"{member.file.name}: {key}")}


def _population(content: Mapping[str, Any], where: str, notes: Notes) -> Plain:
    """Return the six attributes in our form, from nested sections or an older flat file."""
    section = dict(content)
    section.pop("type", None)
    ours = default_of("patient_generator")
    visible = take(
        section,
        "visible_patient_attributes",
        ours["visible_patient_attributes"],
        notes,
        where,
    )
    found: Plain = {
        "visible_patient_attributes": list_of(visible, f"{where}visible_patient_attributes")
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
        clip = [None, None] if bounds is None else list_of(bounds, f"{where}.clipping_bounds")
        seen["clip"] = clip
    noise, fraction = entry.pop(_NOISE, None), entry.pop(_FRACTION, None)
    if noise is not None and fraction is not None:
        seen["noise_std"] = number_of(noise, f"{where}.{_NOISE}") * number_of(
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
