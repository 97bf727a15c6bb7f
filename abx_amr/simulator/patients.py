"""Who comes to the clinic: the family's Protocol and its members.

Shapes: E environments, P patients, V visible attributes; the six attributes in the order of
ATTRIBUTES.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from abx_amr.checks import known_keys, number, unique_names
from abx_amr.errors import InputError, did_you_mean
from abx_amr.simulator.draws import Draws
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.cohorts import complete_groups, sample_patient_rows

Floats = NDArray[np.float64]

ATTRIBUTES = (
    "prob_infected",
    "benefit_value_multiplier",
    "failure_value_multiplier",
    "benefit_probability_multiplier",
    "failure_probability_multiplier",
    "recovery_without_treatment_prob",
)
PADDING = layout.PADDING
_PROBABILITIES = ("prob_infected", "recovery_without_treatment_prob")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patients:
    """A cohort as it is drawn.

    Attributes:
        attributes: True values, shape (E, P, 6).
        observed: What is seen of them, shape (E, P, 6); PADDING where an attribute is hidden.
        group: Index of the patient's sub-population, shape (E, P).
    """

    attributes: Floats
    observed: Floats
    group: NDArray[np.int64]


class Population(Protocol):
    """What a clinic asks of a population of patients."""

    @property
    def visible_patient_attributes(self) -> tuple[str, ...]:
        """The attributes that the agent sees, in order, of ATTRIBUTES."""
        ...

    @property
    def observed_bounds(self) -> tuple[Floats, Floats]:
        """The lowest and highest observed value of each attribute, shapes (6,)."""
        ...

    def sample(self, draws: Draws, num_patients: int) -> Patients:
        """Return a cohort per environment; the number of draws depends on `draws` alone."""
        ...


def _attribute_law(name: str, value: Any) -> list[float]:
    """Return the eight numbers of an attribute's law, as the compiled table begins."""
    entry = known_keys(name, value, ("distribution", "observation"))
    path = f"{name}.distribution"
    kind = entry["distribution"]
    highest = 1.0 if name in _PROBABILITIES else math.inf
    if not isinstance(kind, Mapping) or kind.get("type") not in ("constant", "gaussian"):
        got = kind.get("type") if isinstance(kind, Mapping) else kind
        hint = did_you_mean(got, ("constant", "gaussian"))
        raise InputError(f"{path}.type must be constant or gaussian, got {got!r}{hint}")
    if kind["type"] == "constant":
        known_keys(path, kind, ("type", "value"))
        mean, sigma = number(f"{path}.value", kind["value"], 0, highest), 0.0
    else:
        known_keys(path, kind, ("type", "mu", "sigma"))
        mean = number(f"{path}.mu", kind["mu"], 0, highest)
        sigma = number(f"{path}.sigma", kind["sigma"], 0)
    path = f"{name}.observation"
    seen = known_keys(path, entry["observation"], ("bias_multiplier", "noise_std", "clip"))
    bias = number(f"{path}.bias_multiplier", seen["bias_multiplier"], 0, open_low=True)
    noise = number(f"{path}.noise_std", seen["noise_std"], 0)
    clip = seen["clip"]
    if isinstance(clip, str) or not isinstance(clip, Sequence) or len(clip) != 2:
        raise InputError(f"{path}.clip must be [low, high], null for unbounded, got {clip!r}")
    low = -math.inf if clip[0] is None else number(f"{path}.clip[0]", clip[0])
    high = math.inf if clip[1] is None else number(f"{path}.clip[1]", clip[1])
    if low > high:
        raise InputError(f"{path}.clip must be [low, high] with low <= high, got {list(clip)!r}")
    return [mean, sigma, 0.0, highest, bias, noise, low, high]


class PatientPopulation:
    """Patients whose attributes are independent, each constant or Gaussian.

    A true value is clipped to its sampling bounds: [0, 1] for the two probabilities, [0, inf) for
    the multipliers. The observed value is clip(true * bias_multiplier + N(0, noise_std), clip).
    """

    def __init__(
        self,
        *,
        visible_patient_attributes: Sequence[str],
        prob_infected: Mapping[str, Any],
        benefit_value_multiplier: Mapping[str, Any],
        failure_value_multiplier: Mapping[str, Any],
        benefit_probability_multiplier: Mapping[str, Any],
        failure_probability_multiplier: Mapping[str, Any],
        recovery_without_treatment_prob: Mapping[str, Any],
    ) -> None:
        """Check the laws of the six attributes.

        Args:
            visible_patient_attributes: What the agent sees, in order.
            prob_infected: Probability of an infection. As the other five: {distribution:
                {type: constant, value} or {type: gaussian, mu, sigma}, observation:
                {bias_multiplier, noise_std, clip}}.
            benefit_value_multiplier: Scales the value of a benefit.
            failure_value_multiplier: Scales the value of a failure.
            benefit_probability_multiplier: Scales the probability of a benefit.
            failure_probability_multiplier: Scales the probability of a failure.
            recovery_without_treatment_prob: Chance of an infected, untreated patient.

        Raises:
            InputError: A key is unknown or a value out of its range.
        """
        self.visible_patient_attributes = _visible(visible_patient_attributes)
        laws = (
            prob_infected,
            benefit_value_multiplier,
            failure_value_multiplier,
            benefit_probability_multiplier,
            failure_probability_multiplier,
            recovery_without_treatment_prob,
        )
        self.groups: Floats = np.zeros((1, *layout.GROUP_SHAPE))
        for a, (name, law) in enumerate(zip(ATTRIBUTES, laws, strict=True)):
            self.groups[0, a, : layout.SHOWN] = _attribute_law(name, law)
            self.groups[0, a, layout.SHOWN] = name in self.visible_patient_attributes
        self.groups[0, layout.PROPORTION_ROW, layout.PROPORTION] = 1.0
        complete_groups.py_func(self.groups)  # nothing is compiled to make a population
        self.groups.flags.writeable = False

    @property
    def observed_bounds(self) -> tuple[Floats, Floats]:
        """The lowest and highest observed value of each attribute, shapes (6,)."""
        return _bounds(self.groups)

    def sample(self, draws: Draws, num_patients: int) -> Patients:
        """Return a cohort per environment."""
        return _sample(self.groups, draws, num_patients)


class PatientMixture:
    """Sub-populations: each patient's group is drawn independently, by the proportions.

    The visible attributes are the order-preserving union of the members'; an attribute that a
    member hides is observed as PADDING.
    """

    def __init__(self, *, populations: Mapping[str, tuple[float, Population]]) -> None:
        """Check the proportions.

        Args:
            populations: Name -> (proportion, population); proportions are >= 0 and sum to 1.

        Raises:
            InputError: No member, a proportion out of range, or proportions that do not sum to 1.
        """
        if not isinstance(populations, Mapping) or not populations:
            raise InputError(f"populations must name at least one, got {populations!r}")
        self.names = tuple(populations)
        self.members = tuple(member for _, member in populations.values())
        self.proportions = np.array(
            [
                number(f"populations.{name}.proportion", proportion, 0)
                for name, (proportion, _) in populations.items()
            ]
        )
        total = float(self.proportions.sum())
        if abs(total - 1.0) > 1e-6:
            shares = ", ".join(
                f"{name} {proportion:g}"
                for name, proportion in zip(self.names, self.proportions, strict=True)
            )
            raise InputError(f"proportions must sum to 1, got {total:g} ({shares})")
        self.proportions.flags.writeable = False
        seen = [a for member in self.members for a in member.visible_patient_attributes]
        self.visible_patient_attributes = _visible(list(dict.fromkeys(seen)))
        self.groups = self._table()

    def _table(self) -> Floats | None:
        """Return the table of the groups, (G, 7, 13), or None if a member has none."""
        plain = [member for member in self.members if type(member) is PatientPopulation]
        if len(plain) != len(self.members):
            return None
        table = np.concatenate([member.groups for member in plain])
        table[:, layout.PROPORTION_ROW, layout.PROPORTION] = (
            self.proportions.cumsum() / self.proportions.sum()
        )
        table.flags.writeable = False
        return table

    @property
    def observed_bounds(self) -> tuple[Floats, Floats]:
        """The lowest and highest observed value of each attribute, PADDING included, (6,)."""
        lows, highs = zip(*(member.observed_bounds for member in self.members), strict=True)
        low, high = np.min(lows, axis=0), np.max(highs, axis=0)
        for a, name in enumerate(ATTRIBUTES):
            if any(name not in member.visible_patient_attributes for member in self.members):
                low[a], high[a] = min(low[a], PADDING), max(high[a], PADDING)
        return low, high

    def sample(self, draws: Draws, num_patients: int) -> Patients:
        """Return a cohort per environment; `group` counts the members in order."""
        if self.groups is not None:
            return _sample(self.groups, draws, num_patients)
        cumulative = self.proportions.cumsum() / self.proportions.sum()
        chosen = draws.uniform((num_patients,))
        group = np.searchsorted(cumulative[:-1], chosen, side="right").astype(np.int64)
        cohorts = [member.sample(draws, num_patients) for member in self.members]
        attributes = np.empty((draws.num_envs, num_patients, len(ATTRIBUTES)))
        observed = np.full_like(attributes, PADDING)
        for g, (member, cohort) in enumerate(zip(self.members, cohorts, strict=True)):
            here = group == g
            attributes[here] = cohort.attributes[here]
            for name in member.visible_patient_attributes:
                a = ATTRIBUTES.index(name)
                observed[here, a] = cohort.observed[here, a]
        return Patients(attributes=attributes, observed=observed, group=group)


def _visible(value: Any) -> tuple[str, ...]:
    """Return the visible attributes when all are known names, else raise."""
    names = unique_names("visible_patient_attributes", value)
    for name in names:
        if name not in ATTRIBUTES:
            hint = did_you_mean(name, ATTRIBUTES)
            known = ", ".join(ATTRIBUTES)
            raise InputError(
                f"visible_patient_attributes must name patient attributes, got {name!r}{hint}"
                f" (known: {known})"
            )
    return names


def _bounds(groups: Floats) -> tuple[Floats, Floats]:
    low = groups[:, : layout.PROPORTION_ROW, layout.OBSERVED_LOW].min(axis=0)
    high = groups[:, : layout.PROPORTION_ROW, layout.OBSERVED_HIGH].max(axis=0)
    return low, high


def _sample(groups: Floats, draws: Draws, num_patients: int) -> Patients:
    patients = np.empty((draws.num_envs, num_patients, layout.GROUP + 1))
    observed = np.empty((draws.num_envs, num_patients, len(ATTRIBUTES)))
    sample_patient_rows(draws.rows, groups, patients, observed)
    return Patients(
        attributes=patients[:, :, : layout.GROUP],
        observed=observed,
        group=patients[:, :, layout.GROUP].astype(np.int64),
    )
