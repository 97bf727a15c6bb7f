"""A clinic in one sentence: its antibiotics, patients and steps, and what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.errors import counted


def clinic_in_words(
    config: Mapping[str, Any], *, others: Sequence[Mapping[str, Any]] = ()
) -> str | None:
    """Return what a configuration's clinic is; None where it does not say.

    Args:
        config: A run's, a study's or a plan's.
        others: Those of other agents in the same clinic, who may see more of it, or less.

    >>> clinic_in_words({"environment": {"num_patients_per_time_step": 2, "max_time_steps": 9},
    ...                  "antibiotics": {"drugs": {"A": {}, "B": {}}}})
    'The clinic: antibiotics A and B, 2 patients at each of 9 steps; the true resistance is seen.'
    """
    environment = config.get("environment") or {}
    drugs = (config.get("antibiotics") or {}).get("drugs") or {}
    patients, steps = (
        environment.get(key) for key in ("num_patients_per_time_step", "max_time_steps")
    )
    if not drugs or patients is None or steps is None:
        return None
    *most, last = map(str, drugs)
    seen = _seen(environment, [other.get("environment") or {} for other in others])
    names = f"antibiotics {', '.join(most)} and {last}" if most else f"the antibiotic {last}"
    return (
        f"The clinic: {names}, {counted(int(patients), 'patient')} at each of {steps} steps"
        f"{_groups(config.get('patient_generator') or {})}; {seen}."
    )


def _groups(generator: Mapping[str, Any]) -> str:
    """Return of which groups the patients are, where they are of several."""
    groups = generator.get("populations")
    if not isinstance(groups, Mapping) or len(groups) < 2:
        return ""
    *most, last = map(str, groups)
    return f", of the groups {', '.join(most)} and {last}"


def _seen(environment: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    seen = list(dict.fromkeys(_sees(each) for each in (environment, *others)))
    if len(seen) > 1:
        return f"the agents differ in what they see: {', or '.join(seen)}"
    return f"{seen[0]} {'are' if ' and ' in seen[0] else 'is'} seen"


def _sees(environment: Mapping[str, Any]) -> str:
    visible = environment.get("visible_amr") or {}
    every = int(visible.get("update_every_n_time_steps", 1))
    is_exact = every == 1 and not visible.get("noise_std") and not visible.get("bias")
    late = "" if every == 1 else f" of every {every} steps"
    resistance = "the true resistance" if is_exact else f"a report of resistance{late}"
    has_time = environment.get("include_time_remaining")
    return f"{resistance} and the time that is left" if has_time else resistance
