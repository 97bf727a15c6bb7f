"""The searched network: what it reads of an observation, and where its weights stand.

One network prescribes for every patient. Of the patient it reads the visible attributes, the place
in the cohort from 0 to 1 and the previous action; of the clinic the visible AMR, its logarithm
log(level + 1e-3), and whatever else the observation has. It gives a score to each treatment; the
highest is prescribed.

Shapes: P patients, K antibiotics, V visible attributes, D observation entries, S inputs of the
clinic, U units of the first layer, Q weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.observation import ObservationLayout


import os
OFF,LS,LEV,TS=[float(v) for v in os.environ.get('PSC','0,1,1,1').split(',')]
@dataclass(frozen=True, kw_only=True)
class PolicyNetwork:
    """A network over a clinic's observations; its weights are one vector (Q,).

    Attributes:
        layout: What the observation is made of.
        hidden_units: Units of the hidden layer, tanh; 0: scores are linear in the inputs.
        log_levels: Whether it reads the logarithms of the visible AMR too.
    """

    layout: ObservationLayout
    hidden_units: int = 8
    log_levels: bool = True

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
        o = [OFF if name.startswith("log ") else 0.0 for name in self.clinic_inputs]
        return np.array(o, dtype=np.float32)

    @cached_property
    def scales(self) -> NDArray[np.float32]:
        """What each input of the clinic is multiplied with, (S,): a count becomes a share."""
        scales = [
            1.0 / float(self.layout.high[self.layout.names.index(name)])
            if name == "steps_since_amr_update"
            else (LS if name.startswith("log ") else LEV if name.startswith("visible_amr[") else TS if name=="time_remaining" else 1.0)
            for name in self.clinic_inputs
        ]
        return np.array(scales, dtype=np.float32)

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
