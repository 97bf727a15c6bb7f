"""A user's own resistance model, population and reward: what a class must offer, and no more."""

import numpy as np

from abx_amr.simulator import ATTRIBUTES, PADDING, Patients, Score


class FadingMemory:
    """Resistance that halves in `half_life` steps and grows with each dose; state (E, K)."""

    def __init__(self, *, antibiotics, half_life, growth):
        self.antibiotics = tuple(antibiotics)
        self.keep = 0.5 ** (1.0 / half_life)
        self.growth = growth

    def initial_state(self, num_envs):
        return np.zeros((num_envs, len(self.antibiotics)))

    def level(self, state):
        return 1.0 - np.exp(-state)

    def step(self, state, doses):
        return self.keep * state + self.growth * doses

    def delta(self, visible_level, doses):
        before = -np.log1p(-np.clip(visible_level, 0.0, 1.0 - 1e-9))
        last = np.maximum(doses - 1.0, 0.0)
        return self.level(self.step(before, doses)) - self.level(self.step(before, last))


class Seasons:
    """Patients whose chance of infection is drawn per cohort, in [low, high]."""

    visible_patient_attributes = ("prob_infected",)

    def __init__(self, *, low, high):
        self.low, self.high = low, high

    @property
    def observed_bounds(self):
        low, high = np.full((2, len(ATTRIBUTES)), PADDING)
        low[0], high[0] = self.low, self.high
        return low, high

    def sample(self, draws, num_patients):
        season = self.low + (self.high - self.low) * draws.uniform((1,))
        attributes = np.ones((draws.num_envs, num_patients, len(ATTRIBUTES)))
        attributes[:, :, 0] = season
        attributes[:, :, 5] = np.clip(0.1 + 0.05 * draws.normal((num_patients,)), 0.0, 1.0)
        observed = np.full_like(attributes, PADDING)
        observed[:, :, 0] = season
        group = np.zeros((draws.num_envs, num_patients), dtype=np.int64)
        return Patients(attributes=attributes, observed=observed, group=group)


class CuresOnly:
    """One point for each cured patient, the sick left alone included when they recover."""

    needs_delta = False

    def __init__(self, *, antibiotics):
        self.antibiotics = tuple(antibiotics)

    def score(self, cohort):
        num_antibiotics = len(self.antibiotics)
        treated = cohort.actions < num_antibiotics
        drug = np.where(treated, cohort.actions, 0)
        sensitive = np.take_along_axis(cohort.sensitive, drug[:, :, None], axis=2)[:, :, 0]
        recovered = cohort.uniforms[:, :, 2] < cohort.attributes[:, :, 5]
        benefits = cohort.infected & np.where(treated, sensitive, recovered)
        individual = benefits.mean(axis=1)
        return Score(
            reward=individual,
            individual=individual,
            community=-cohort.visible_amr.mean(axis=1),
            benefits=benefits,
            failures=cohort.infected & ~benefits,
            adverse_events=np.zeros_like(benefits),
        )

    def expected_reward(self, attributes, amr_level, delta=0.0):
        patient, level = np.asarray(attributes), np.asarray(amr_level)
        treat = patient[..., 0, None] * (1.0 - level) - 0.0 * np.asarray(delta)
        none = np.broadcast_to(patient[..., 0, None] * patient[..., 5, None], treat[..., :1].shape)
        return np.concatenate([treat, none], axis=-1)
