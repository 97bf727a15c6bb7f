"""A population of your own: who comes to the clinic.

Chosen with patient_generator=seasons.
Shapes: E clinics side by side, P patients; six attributes a patient, in the order of ATTRIBUTES.
"""

import numpy as np

from abx_amr.simulator import ATTRIBUTES, PADDING, Patients

PROB_INFECTED = ATTRIBUTES.index("prob_infected")
RECOVERY = ATTRIBUTES.index("recovery_without_treatment_prob")


class Seasons:
    """Patients whose chance of infection is the same for a whole cohort, drawn in [low, high]."""

    visible_patient_attributes = ("prob_infected",)

    def __init__(self, *, low, high, recovery):
        """Take the range of the chance of infection, and the chance to recover untreated."""
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"low and high must satisfy 0 <= low <= high <= 1, got {low}, {high}")
        if not 0.0 <= recovery <= 1.0:
            raise ValueError(f"recovery must be in [0, 1], got {recovery}")
        self.low, self.high, self.recovery = low, high, recovery

    @property
    def observed_bounds(self):
        """The lowest and highest observed value of each attribute; PADDING where it is hidden."""
        low, high = np.full((2, len(ATTRIBUTES)), PADDING)
        low[PROB_INFECTED], high[PROB_INFECTED] = self.low, self.high
        return low, high

    def sample(self, draws, num_patients):
        """Return a cohort for each clinic. All chance comes from `draws`, never from numpy.random.

        draws.uniform(shape) and draws.normal(shape) give arrays of shape (E, *shape).
        """
        season = self.low + (self.high - self.low) * draws.uniform((1,))
        attributes = np.ones((draws.num_envs, num_patients, len(ATTRIBUTES)))
        attributes[:, :, PROB_INFECTED] = season
        attributes[:, :, RECOVERY] = self.recovery
        observed = np.full_like(attributes, PADDING)
        observed[:, :, PROB_INFECTED] = season
        group = np.zeros((draws.num_envs, num_patients), dtype=np.int64)
        return Patients(attributes=attributes, observed=observed, group=group)
