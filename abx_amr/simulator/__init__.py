"""The clinic as plain arrays, batch first; no RL, no Hydra, no torch."""

from abx_amr.simulator.clinic import Clinic, ClinicModel, Cohort
from abx_amr.simulator.draws import Draws
from abx_amr.simulator.dynamics import LeakyBalloon, ResistanceModel
from abx_amr.simulator.observation import (
    Decoded,
    ObservationLayout,
    ObservationSettings,
    VisibleAmr,
)
from abx_amr.simulator.patients import (
    ATTRIBUTES,
    PADDING,
    PatientMixture,
    PatientPopulation,
    Patients,
    Population,
)
from abx_amr.simulator.rewards import (
    ClinicalReward,
    LinearReward,
    RewardModel,
    Score,
    TreatedCohort,
)

__all__ = [
    "ATTRIBUTES",
    "PADDING",
    "Clinic",
    "ClinicModel",
    "ClinicalReward",
    "Cohort",
    "Decoded",
    "Draws",
    "LeakyBalloon",
    "LinearReward",
    "ObservationLayout",
    "ObservationSettings",
    "PatientMixture",
    "PatientPopulation",
    "Patients",
    "Population",
    "ResistanceModel",
    "RewardModel",
    "Score",
    "TreatedCohort",
    "VisibleAmr",
]
