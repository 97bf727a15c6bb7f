"""A reward of your own: what a treated cohort is worth.

Chosen with reward_calculator=cures_only.
Shapes: E clinics side by side, P patients, K antibiotics.
"""

import numpy as np

from abx_amr.simulator import ATTRIBUTES, Score

PROB_INFECTED = ATTRIBUTES.index("prob_infected")
RECOVERY = ATTRIBUTES.index("recovery_without_treatment_prob")


class CuresOnly:
    """The share of patients who are cured, less `amr_weight` times the mean visible AMR."""

    needs_delta = False  # true: cohort.delta is computed, see resistance.py

    def __init__(
        self, *, antibiotics, amr_weight, adverse_effect_penalty, adverse_effect_probability
    ):
        """Take the weight of resistance.

        Args:
            antibiotics: Names, in order; every reward is given them.
            amr_weight: At least 0.
            adverse_effect_penalty: By antibiotic, from antibiotics/; this reward leaves it out.
            adverse_effect_probability: Likewise.
        """
        if amr_weight < 0:
            raise ValueError(f"amr_weight must be at least 0, got {amr_weight}")
        self.antibiotics = tuple(antibiotics)
        self.amr_weight = amr_weight

    def score(self, cohort):
        """Return the reward of each clinic and what happened to each patient.

        cohort.actions is the index of the antibiotic that was given, K for none;
        cohort.uniforms holds three for each patient, from which all chance comes.
        """
        num_antibiotics = len(self.antibiotics)
        treated = cohort.actions < num_antibiotics
        drug = np.where(treated, cohort.actions, 0)
        works = np.take_along_axis(cohort.sensitive, drug[:, :, None], axis=2)[:, :, 0]
        recovers = cohort.uniforms[:, :, 2] < cohort.attributes[:, :, RECOVERY]
        cured = cohort.infected & np.where(treated, works, recovers)
        individual = cured.mean(axis=1)
        community = -cohort.visible_amr.mean(axis=1)
        return Score(
            reward=individual + self.amr_weight * community,
            individual=individual,
            community=community,
            benefits=cured,
            failures=cohort.infected & ~cured,
            adverse_events=np.zeros_like(cured),
        )

    def expected_reward(self, attributes, amr_level, delta=0.0):
        """Return the expected individual reward of each treatment, (..., K+1), the last is none.

        Fixed rules and heuristic options decide by it.
        """
        patient, level = np.asarray(attributes), np.asarray(amr_level)
        infected = patient[..., PROB_INFECTED, None]
        treat = infected * (1.0 - level) - 0.0 * np.asarray(delta)
        none = np.broadcast_to(infected * patient[..., RECOVERY, None], treat[..., :1].shape)
        return np.concatenate([treat, none], axis=-1)
