"""A clinic as a form holds it, and as sections of a configuration.

Drugs are numbered in a form: drug.0.leak; a share of cross-resistance stands under two numbers,
cross.0.1: what a dose of the first adds to the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from abx_amr.app.clinic.sliders import CROSS, DRUG, OF_THE_CLINIC, Slider
from abx_amr.errors import InputError, first_line

#: More make no formulary that a form can hold.
MOST_DRUGS = 6
#: Own population, made of two groups by sliders.
TWO_GROUPS = "two groups"


@dataclass(frozen=True, kw_only=True)
class Drug:
    """An antibiotic: its name, and the numbers of DRUG by their names."""

    name: str
    values: Mapping[str, float]

    def section(self) -> dict[str, float]:
        """Return it as a configuration has it."""
        return {**self.values, "permanent_residual_volume": 0.0}


def _first_drugs() -> tuple[Drug, ...]:
    """Return three drugs that differ, to begin with."""
    rows = {
        "A": (0.2, 40.0, 0.0, 0.25, -0.8),
        "B": (0.3, 40.0, 0.0, 0.4, -0.5),
        "C": (0.1, 60.0, 0.0, 0.1, -0.5),
    }
    return tuple(
        Drug(name=name, values=dict(zip(DRUG, row, strict=True))) for name, row in rows.items()
    )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A clinic that is being made.

    Attributes:
        name: Of its experiment; "" while it has none.
        drugs: In order.
        cross: (number of a drug, of another) -> share of a dose that counts for the other.
        population: TWO_GROUPS, or a choice of patient_generator.
        sees_time: Whether prescribers see how much of the episode is left.
    """

    name: str = ""
    drugs: Sequence[Drug] = field(default_factory=_first_drugs)
    cross: Mapping[tuple[int, int], float] = field(default_factory=dict)
    patients: float = 5
    steps: float = 200
    delay: float = 1
    noise: float = 0.0
    bias: float = 0.0
    weight: float = 0.0
    population: str = TWO_GROUPS
    high_share: float = 0.5
    high_risk: float = 0.8
    low_risk: float = 0.3
    spread: float = 0.1
    reward: str = "paper"
    sees_time: bool = True

    def sections(self) -> dict[str, Any]:
        """Return the sections of a configuration that it sets, population apart where chosen."""
        names = [drug.name for drug in self.drugs]
        cross: dict[str, dict[str, float]] = {}
        for (i, j), share in self.cross.items():
            if share and i != j and max(i, j) < len(names):
                cross.setdefault(names[i], {})[names[j]] = share
        found: dict[str, Any] = {
            "antibiotics": {
                "drugs": {drug.name: drug.section() for drug in self.drugs},
                "cross_resistance": cross,
            },
            "environment": {
                "num_patients_per_time_step": self.patients,
                "max_time_steps": self.steps,
                "visible_amr": {
                    "update_every_n_time_steps": self.delay,
                    "noise_std": self.noise,
                    "bias": self.bias,
                },
                "include_time_remaining": self.sees_time,
            },
            "reward_calculator": {"lambda_weight": self.weight},
        }
        if self.population == TWO_GROUPS:
            found["patient_generator"] = self.mixture()
        return found

    def mixture(self) -> dict[str, Any]:
        """Return the population of two groups."""
        shares = {"low_risk": 1.0 - self.high_share, "high_risk": self.high_share}
        risks = {"low_risk": self.low_risk, "high_risk": self.high_risk}
        return {
            "_target_": "abx_amr.simulator.patients.PatientMixture",
            "populations": {
                name: {"proportion": round(share, 6), **_population(risks[name], self.spread)}
                for name, share in shares.items()
            },
        }

    @property
    def overrides(self) -> list[str]:
        """The parts that it takes as they are."""
        population = self.population if self.population != TWO_GROUPS else "default"
        return [
            "experiment=base",
            f"reward_calculator={self.reward}",
            f"patient_generator={population}",
        ]


def _population(risk: float, spread: float) -> dict[str, Any]:
    """Return patients who differ in their risk of infection alone, which is seen."""

    def law(kind: Mapping[str, Any], high: float | None) -> dict[str, Any]:
        seen = {"bias_multiplier": 1.0, "noise_std": 0.0, "clip": [0.0, high]}
        return {"distribution": dict(kind), "observation": seen}

    one = {"type": "constant", "value": 1.0}
    gaussian = {"type": "gaussian", "mu": risk, "sigma": spread}
    return {
        "visible_patient_attributes": ["prob_infected"],
        "prob_infected": law(gaussian, 1.0),
        "benefit_value_multiplier": law(one, None),
        "failure_value_multiplier": law(one, None),
        "benefit_probability_multiplier": law(one, None),
        "failure_probability_multiplier": law(one, None),
        "recovery_without_treatment_prob": law({"type": "constant", "value": 0.05}, 1.0),
    }


class DraftError(InputError):
    """What is wrong with a form of a clinic, all of it.

    Attributes:
        mistakes: Key of the form -> what is wrong there, in one line.
        draft: The rest of the form; what is wrong has its first value.
    """

    def __init__(self, mistakes: Mapping[str, str], draft: Draft) -> None:
        """Say the first of them."""
        super().__init__(next(iter(mistakes.values())))
        self.mistakes = mistakes
        self.draft = draft


class _Reading:
    """Values of a form, read one after the other, with what is wrong with them."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self.form = form
        self.mistakes: dict[str, str] = {}

    def number(self, slider: Slider, default: float) -> float:
        """Return the number of a slider, the default where it is none that may be."""
        try:
            return slider.read(self.form, default)
        except InputError as error:
            self.mistakes[slider.key] = first_line(error)
            return default

    def drug(self, number: int, taken: Sequence[str]) -> Drug:
        """Return an antibiotic, by its number in the form."""
        key = f"drug.{number}.name"
        name = self.form.get(key, "").strip()
        if not name:
            self.mistakes[key] = f"antibiotics.drugs: antibiotic {number + 1} has no name"
        elif name in taken:
            self.mistakes[key] = f"antibiotics.drugs: two antibiotics are called {name}"
        values = {
            own: self.number(
                replace(
                    slider,
                    key=f"drug.{number}.{own}",
                    path=f"{own} of antibiotic {name or number + 1}",
                ),
                default,
            )
            for own, (slider, default) in DRUG.items()
        }
        return Drug(name=name, values=values)

    def cross(self, numbers: Sequence[int], names: Sequence[str]) -> dict[tuple[int, int], float]:
        """Return the shares of cross-resistance, by the places of two antibiotics."""
        return {
            (i, j): self.number(
                replace(
                    CROSS,
                    key=f"cross.{a}.{b}",
                    path=f"cross_resistance {names[i]} to {names[j]}",
                ),
                0.0,
            )
            for i, a in enumerate(numbers)
            for j, b in enumerate(numbers)
            if a != b
        }


def read_draft(form: Mapping[str, str]) -> Draft:
    """Return the clinic of a form.

    Raises:
        InputError: it has no antibiotic, or too many.
        DraftError: numbers are none or out of their limits, or a drug has no name of its own.
    """
    plain = Draft()
    numbers = sorted({int(key.split(".")[1]) for key in form if _is_of_drug(key)})
    if not numbers:
        raise InputError("antibiotics.drugs: a clinic needs at least one antibiotic")
    if len(numbers) > MOST_DRUGS:
        raise InputError(f"antibiotics.drugs: at most {MOST_DRUGS} antibiotics fit in this form")
    reading = _Reading(form)
    drugs: list[Drug] = []
    for number in numbers:
        drugs.append(reading.drug(number, [drug.name for drug in drugs]))
    values = {
        slider.key: reading.number(slider, getattr(plain, slider.key)) for slider in OF_THE_CLINIC
    }
    made = Draft(
        name=form.get("name", "").strip(),
        drugs=drugs,
        cross=reading.cross(numbers, [drug.name for drug in drugs]),
        population=form.get("population") or TWO_GROUPS,
        reward=form.get("reward") or plain.reward,
        sees_time="sees_time" in form,
        **values,
    )
    if reading.mistakes:
        raise DraftError(reading.mistakes, made)
    return made


def _is_of_drug(key: str) -> bool:
    parts = key.split(".")
    return len(parts) == 3 and parts[0] == "drug" and parts[1].isascii() and parts[1].isdigit()


def draft_of(config: Mapping[str, Any], *, name: str, choices: Mapping[str, str]) -> Draft:
    """Return the clinic of a configuration as a form can hold it.

    Args:
        config: The resolved configuration of an experiment.
        name: What it is called here.
        choices: Group -> what was chosen in it.
    """
    formulary, place = config["antibiotics"], config["environment"]
    drugs = [
        Drug(name=str(drug), values={key: float(law.get(key, DRUG[key][1])) for key in DRUG})
        for drug, law in formulary["drugs"].items()
    ]
    order = {drug.name: number for number, drug in enumerate(drugs)}
    cross = {
        (order[a], order[b]): float(share)
        for a, others in (formulary.get("cross_resistance") or {}).items()
        for b, share in others.items()
    }
    visible = place["visible_amr"]
    made = Draft(
        name=name,
        drugs=drugs,
        cross=cross,
        patients=place["num_patients_per_time_step"],
        steps=place["max_time_steps"],
        delay=visible["update_every_n_time_steps"],
        noise=visible["noise_std"],
        bias=visible["bias"],
        weight=config["reward_calculator"].get("lambda_weight", 0.0),
        population=choices.get("patient_generator", TWO_GROUPS),
        reward=choices.get("reward_calculator", "paper"),
        sees_time=bool(place.get("include_time_remaining", False)),
    )
    return _with_own_groups(made, config["patient_generator"])


def _with_own_groups(made: Draft, population: Mapping[str, Any]) -> Draft:
    """Return a draft whose sliders are those of its two groups, where it has such groups."""
    groups = population.get("populations")
    if not isinstance(groups, Mapping) or set(groups) != {"low_risk", "high_risk"}:
        return made
    laws = {key: group["prob_infected"]["distribution"] for key, group in groups.items()}
    if any(law["type"] != "gaussian" for law in laws.values()):
        return made
    own = replace(
        made,
        population=TWO_GROUPS,
        high_share=groups["high_risk"]["proportion"],
        high_risk=laws["high_risk"]["mu"],
        low_risk=laws["low_risk"]["mu"],
        spread=laws["high_risk"]["sigma"],
    )
    return own if own.mixture() == population else made
