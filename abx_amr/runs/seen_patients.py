"""Whether the patients of a clinic differ in what a prescriber sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What is kept of each patient for figures.
KEPT = ("episode", "step", "treatment", "group", "observed_prob_infected")
#: Patients of an evaluation above which they are kept only where that is asked for.
MOST = 300_000


def risk_is_seen(config: Mapping[str, Any]) -> bool:
    """Return whether the risk of infection is seen and differs between a clinic's patients.

    >>> varying = {"distribution": {"type": "beta"}}
    >>> risk_is_seen({"patient_generator": {
    ...     "visible_patient_attributes": ["prob_infected"], "prob_infected": varying}})
    True
    >>> risk_is_seen({"patient_generator": {"visible_patient_attributes": []}})
    False
    """
    patients = config.get("patient_generator")
    if not isinstance(patients, Mapping):
        return False
    groups = patients.get("populations")
    if isinstance(groups, Mapping):
        seen = [_sees_risk(group) for group in groups.values() if isinstance(group, Mapping)]
        return bool(seen) and all(seen)
    return _sees_risk(patients) and not _is_constant(patients)


def _sees_risk(patients: Mapping[str, Any]) -> bool:
    return "prob_infected" in (patients.get("visible_patient_attributes") or ())


def _is_constant(patients: Mapping[str, Any]) -> bool:
    risk = patients.get("prob_infected")
    distribution = risk.get("distribution") if isinstance(risk, Mapping) else None
    return isinstance(distribution, Mapping) and distribution.get("type") == "constant"
