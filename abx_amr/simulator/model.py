"""A clinic as a model: its parts put together and checked, for any number of environments.

Shapes: P patients, K antibiotics, D observation entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abx_amr.checks import antibiotic_names, number, whole_number
from abx_amr.errors import InputError, did_you_mean
from abx_amr.simulator.dynamics import ResistanceModel
from abx_amr.simulator.memory import needed_bytes, refuse_beyond_memory
from abx_amr.simulator.observation import (
    ObservationLayout,
    ObservationSettings,
    VisibleAmr,
    visible_columns,
)
from abx_amr.simulator.patients import Population
from abx_amr.simulator.rewards import RewardModel

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Streams = NDArray[np.uint64]
_INT64 = np.dtype(np.int64)  # one object: `is` is the quick comparison


@dataclass(frozen=True, kw_only=True)
class ClinicModel:
    """Everything that defines a clinic; checked when made.

    Attributes:
        antibiotics: The K antibiotics, in the order of the actions.
        dynamics: How AMR answers to doses.
        cross_resistance: antibiotic -> other antibiotic -> share of a dose in [0, 1] that also
            reaches the other; what is not named is 0.
        population: Who comes.
        reward: What a treated cohort is worth.
        visible_amr: How AMR is seen.
        observation: What is seen besides.
        num_patients_per_time_step: P.
        max_time_steps: Length of an episode.
    """

    antibiotics: tuple[str, ...]
    dynamics: ResistanceModel
    cross_resistance: Mapping[str, Mapping[str, float]]
    population: Population
    reward: RewardModel
    visible_amr: VisibleAmr
    observation: ObservationSettings
    num_patients_per_time_step: int
    max_time_steps: int

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            InputError: They do not.
        """
        object.__setattr__(self, "antibiotics", antibiotic_names(list(self.antibiotics)))
        whole_number("num_patients_per_time_step", self.num_patients_per_time_step, 1)
        whole_number("max_time_steps", self.max_time_steps, 1)
        self.check_memory(clinics=1, what="one clinic")
        for part in ("dynamics", "reward"):
            named = tuple(getattr(self, part).antibiotics)
            if named != self.antibiotics:
                raise InputError(
                    f"antibiotics of {part} must be {list(self.antibiotics)}, got {list(named)}"
                )
        self.cross_resistance_matrix.flags.writeable = False

    def check_memory(self, *, clinics: int, what: str, steps: int = 0) -> None:
        """Refuse so many clinics side by side, with a record of so many steps, beyond the memory.

        Raises:
            InputError: with the estimate and what the machine has.
        """
        patients = self.num_patients_per_time_step
        size = needed_bytes(
            clinics=clinics, patients=patients, steps=steps, antibiotics=len(self.antibiotics)
        )
        of_steps = f" over {steps} steps" if steps else ""
        refuse_beyond_memory(
            size, what=f"{what} with num_patients_per_time_step={patients}{of_steps}"
        )

    @property
    def num_treatments(self) -> int:
        """The number of actions per patient, K+1; the last is no treatment."""
        return len(self.antibiotics) + 1

    @cached_property
    def cross_resistance_matrix(self) -> Floats:
        """Share of a dose of antibiotic i that reaches antibiotic j, shape (K, K), diagonal 1."""
        matrix = np.eye(len(self.antibiotics))
        if not isinstance(self.cross_resistance, Mapping):
            raise InputError(
                f"cross_resistance must map antibiotics to shares, got {self.cross_resistance!r}"
            )
        for source, shares in self.cross_resistance.items():
            i = self._index("cross_resistance", source)
            if not isinstance(shares, Mapping):
                raise InputError(
                    f"cross_resistance.{source} must map antibiotics to shares, got {shares!r}"
                )
            for target, share in shares.items():
                j = self._index(f"cross_resistance.{source}", target)
                if i == j:
                    raise InputError(
                        f"cross_resistance.{source}.{target} must not be given:"
                        " an antibiotic's own dose counts in full"
                    )
                matrix[i, j] = number(f"cross_resistance.{source}.{target}", share, 0, 1)
        return matrix

    def _index(self, key: str, name: str) -> int:
        if name not in self.antibiotics:
            hint = did_you_mean(name, self.antibiotics)
            raise InputError(
                f"{key} must name antibiotics of {list(self.antibiotics)}, got {name!r}{hint}"
            )
        return self.antibiotics.index(name)

    @cached_property
    def layout(self) -> ObservationLayout:
        """The meaning and bounds of every observation entry."""
        visible = tuple(self.population.visible_patient_attributes)
        low, high = self.population.observed_bounds
        columns = visible_columns(visible)
        counter = min(self.visible_amr.update_every_n_time_steps - 1, self.max_time_steps)
        settings = self.observation
        return ObservationLayout(
            antibiotics=self.antibiotics,
            attributes=visible,
            num_patients=self.num_patients_per_time_step,
            temporal_windows=settings.temporal_windows,
            steps_since_amr_update=counter if settings.include_steps_since_amr_update else None,
            previous_action=settings.include_previous_action,
            time_remaining=settings.include_time_remaining,
            attribute_low=tuple(float(low[a]) for a in columns),
            attribute_high=tuple(float(high[a]) for a in columns),
        )


def treatment_names(antibiotics: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the K+1 actions, in order.

    >>> treatment_names(["A", "B"])
    ('A', 'B', 'no_treatment')
    """
    return (*antibiotics, "no_treatment")
