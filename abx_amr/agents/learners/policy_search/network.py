"""The searched network: what it reads of an observation, and where its weights stand.

One network prescribes for every patient. Of the patient it reads the visible attributes, the place
in the cohort from 0 to 1 and the previous action; of the clinic the visible AMR, its logarithm
log(level + 1e-3), and whatever else the observation has. It gives a score to each treatment; the
highest is prescribed. What is between 0 and 1 is stretched to a width of 2, the logarithm to 4, and
attributes are standardised, so that weights of the same size mean about as much everywhere.

Shapes: P patients, K antibiotics, V visible attributes, D observation entries, S inputs of the
clinic, U units of the first layer, Q weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import ObservationLayout

FLOOR = 1e-3
_WIDTH = 2.0
_CENTRE = math.log(FLOOR) / 2.0
_COHORTS = 256
_SAME = 1e-6


@dataclass(frozen=True, kw_only=True)
class PolicyNetwork:
    """A network over a clinic's observations; its weights are one vector (Q,).

    Attributes:
        layout: What the observation is made of.
        hidden_units: Units of the hidden layer, tanh; 0: scores are linear in the inputs.
        log_levels: Whether it reads the logarithms of the visible AMR too.
        centres: What is subtracted from each visible attribute, (V,).
        spreads: What the rest is divided by, (V,).
    """

    layout: ObservationLayout
    hidden_units: int
    log_levels: bool
    centres: tuple[float, ...]
    spreads: tuple[float, ...]

    @property
    def num_treatments(self) -> int:
        """The number of scores, K+1; the last is no treatment."""
        return len(self.layout.antibiotics) + 1

    @property
    def first_units(self) -> int:
        """The units U of the first layer: the hidden ones, or the scores themselves."""
        return self.hidden_units or self.num_treatments

    @cached_property
    def clinic_inputs(self) -> tuple[str, ...]:
        """The names of the S inputs that all patients share."""
        layout = self.layout
        first = layout.num_patients * len(layout.attributes)
        last = layout.size - int(layout.time_remaining)
        if layout.previous_action:
            last -= layout.num_patients * self.num_treatments
        names = [*layout.names[first:last]]
        if layout.time_remaining:
            names.append("time_remaining")
        if self.log_levels:
            names += [f"log visible_amr[{drug}]" for drug in layout.antibiotics]
        return tuple(names)

    @cached_property
    def patient_inputs(self) -> tuple[str, ...]:
        """The names of the inputs of one patient."""
        names = ["place", *self.layout.attributes]
        if self.layout.previous_action:
            treatments = (*self.layout.antibiotics, "no_treatment")
            names += [f"previous_action[{treatment}]" for treatment in treatments]
        return tuple(names)

    @cached_property
    def size(self) -> int:
        """The number of weights Q."""
        inputs = 1 + len(self.clinic_inputs) + len(self.patient_inputs)
        scores = self.num_treatments * (1 + self.hidden_units) if self.hidden_units else 0
        return inputs * self.first_units + scores

    @cached_property
    def reads(self) -> NDArray[np.int64]:
        """Per input of the clinic its entry in the observation and 1 for its logarithm, (S, 2)."""
        names = self.layout.names
        entries = [
            (names.index(name.removeprefix("log ")), int(name.startswith("log ")))
            for name in self.clinic_inputs
        ]
        return np.array(entries, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def offsets(self) -> NDArray[np.float32]:
        """What is added to each input of the clinic and to each attribute, (S + V,)."""
        shared = [-_CENTRE if name.startswith("log ") else 0.0 for name in self.clinic_inputs]
        return np.array([*shared, *(-centre for centre in self.centres)], dtype=np.float32)

    @cached_property
    def scales(self) -> NDArray[np.float32]:
        """What the sum is multiplied with, (S + V,)."""
        shared = [self._scale(name) for name in self.clinic_inputs]
        return np.array([*shared, *(1.0 / spread for spread in self.spreads)], dtype=np.float32)

    def _scale(self, name: str) -> float:
        if name.startswith("log "):
            return 2.0 * _WIDTH / -math.log(FLOOR)
        if name == "steps_since_amr_update":
            return _WIDTH / float(self.layout.high[self.layout.names.index(name)])
        return _WIDTH

    @cached_property
    def shape(self) -> NDArray[np.int64]:
        """What compiled code needs to know: P, V, K+1, hidden units, entry of previous actions."""
        layout = self.layout
        previous = -1
        if layout.previous_action:
            previous = layout.size - int(layout.time_remaining)
            previous -= layout.num_patients * self.num_treatments
        return np.array(
            [
                layout.num_patients,
                len(layout.attributes),
                self.num_treatments,
                self.hidden_units,
                previous,
            ],
            dtype=np.int64,
        )


def attribute_scales(model: ClinicModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each visible attribute as seen in the clinic's first cohorts.

    The deviation of one that is always the same is 1.
    """
    clinic = Clinic(model, stream_states(0, "policy_search", "cohorts", count=_COHORTS))
    seen = model.layout.decode(clinic.reset()).attributes
    values = [seen[name].astype(np.float64) for name in model.layout.attributes]
    spreads = [float(value.std()) for value in values]
    return (
        tuple(float(value.mean()) for value in values),
        tuple(spread if spread > _SAME else 1.0 for spread in spreads),
    )
