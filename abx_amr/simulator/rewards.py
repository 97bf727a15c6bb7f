"""What a treated cohort is worth: the family's Protocol and its members.

Shapes: E environments, P patients, K antibiotics; the six attributes in the order of ATTRIBUTES.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.checks import antibiotic_names, number, one_each
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.rewards import cohort_rewards

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatedCohort:
    """Patients with what they were given and the uniforms that decide what follows.

    Attributes:
        actions: Index of the antibiotic given, K for none, shape (E, P).
        attributes: True attributes, shape (E, P, 6).
        infected: Shape (E, P).
        sensitive: Whether the infection answers to each antibiotic, shape (E, P, K).
        uniforms: For outcome, adverse event and recovery, shape (E, P, 3).
        visible_amr: Visible levels after this step's refresh, shape (E, K).
        delta: Marginal effect of the last dose, shape (E, K); zeros unless `needs_delta`.
    """

    actions: NDArray[np.int64]
    attributes: Floats
    infected: Bools
    sensitive: Bools
    uniforms: Floats
    visible_amr: Floats
    delta: Floats

    @property
    def luck(self) -> Floats:
        """The uniforms, as classes written for release 0.1 read them."""
        return self.uniforms


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Rewards (E,) of treated cohorts and what happened to each patient (E, P)."""

    reward: Floats
    individual: Floats
    community: Floats
    benefits: Bools
    failures: Bools
    adverse_events: Bools


class RewardModel(Protocol):
    """What a clinic asks of a reward."""

    @property
    def antibiotics(self) -> tuple[str, ...]:
        """The K antibiotics, in order."""
        ...

    @property
    def needs_delta(self) -> bool:
        """Whether `score` reads the marginal effect of the last dose."""
        ...

    def score(self, cohort: TreatedCohort) -> Score:
        """Return the rewards of the treatment; chance comes from `cohort.uniforms` alone."""
        ...

    def expected_reward(
        self, attributes: ArrayLike, amr_level: ArrayLike, delta: ArrayLike = 0.0
    ) -> Floats:
        """Return the expected individual reward of each treatment, (..., K+1), last = none."""
        ...


class LinearReward(RewardModel, Protocol):
    """A reward that the planner takes: it declares that its expected values are all of it.

        reward = lambda_weight * -mean visible AMR + (1 - lambda_weight) * mean over patients

    Of each patient `expected_reward` is the expectation of `score`, and linear in the AMR level and
    in each attribute up to its cap, the others fixed: treating with j is worth intercept - slope *
    level. That is checked over the attributes that occur. A subclass with a `score` or an
    `expected_reward` of its own declares it anew.
    """

    is_linear: ClassVar[bool]

    @property
    def lambda_weight(self) -> float:
        """The weight of community AMR, in [0, 1]."""
        ...

    @property
    def epsilon(self) -> float:
        """The price of the marginal effect of the last dose; 0 unless `needs_delta`."""
        ...

    @property
    def attribute_caps(self) -> Sequence[float]:
        """Where more of an attribute has no further effect, (6,); inf: nowhere."""
        ...


class ClinicalReward:
    """Benefit, failure and adverse effects of treated patients, weighed against community AMR.

        reward = lambda_weight * community + (1 - lambda_weight) * individual

    Rewards and penalties are divided by the largest absolute value among them.
    """

    def __init__(
        self,
        *,
        antibiotics: Sequence[str],
        clinical_benefit_reward: float,
        clinical_benefit_probability: float,
        clinical_failure_penalty: float,
        clinical_failure_probability: float,
        adverse_effect_penalty: Mapping[str, float],
        adverse_effect_probability: Mapping[str, float],
        lambda_weight: float,
        epsilon: float,
    ) -> None:
        """Check and normalise the parameters.

        Args:
            antibiotics: Names, in order.
            clinical_benefit_reward: > 0, for an infection cured or overcome.
            clinical_benefit_probability: In [0, 1], of a benefit when the drug works.
            clinical_failure_penalty: < 0, for an infection that goes on.
            clinical_failure_probability: In [0, 1], of a failure when nothing works.
            adverse_effect_penalty: Per antibiotic, < 0.
            adverse_effect_probability: Per antibiotic, in [0, 1].
            lambda_weight: Weight of community AMR, in [0, 1].
            epsilon: Price of the marginal effect of the last dose, in [0, 0.1].

        Raises:
            InputError: A name is missing or unknown, or a value is out of its range.
        """
        self.antibiotics = names = antibiotic_names(antibiotics)
        one_each("adverse_effect_penalty", adverse_effect_penalty, names)
        one_each("adverse_effect_probability", adverse_effect_probability, names)
        benefit = number("clinical_benefit_reward", clinical_benefit_reward, 0, open_low=True)
        failure = number(
            "clinical_failure_penalty", clinical_failure_penalty, high=0, open_high=True
        )
        adverse = np.array(
            [
                number(
                    f"adverse_effect_penalty of antibiotic {name}",
                    adverse_effect_penalty[name],
                    high=0,
                    open_high=True,
                )
                for name in names
            ]
        )
        chance = [
            number(
                f"adverse_effect_probability of antibiotic {name}",
                adverse_effect_probability[name],
                0,
                1,
            )
            for name in names
        ]
        self.scale = max(benefit, -failure, float(-adverse.min()))
        self.harms: Floats = np.stack([np.array(chance), adverse / self.scale], axis=1)
        # the first six of the compiled clinic's numbers; the last two are the visible AMR's
        self.numbers: Floats = np.array(
            [
                benefit / self.scale,
                failure / self.scale,
                number("clinical_benefit_probability", clinical_benefit_probability, 0, 1),
                number("clinical_failure_probability", clinical_failure_probability, 0, 1),
                number("lambda_weight", lambda_weight, 0, 1),
                number("epsilon", epsilon, 0, 0.1),
                0.0,
                0.0,
            ]
        )
        self.harms.flags.writeable = False
        self.numbers.flags.writeable = False

    @property
    def benefit_value(self) -> float:
        """What a benefit is worth, normalised."""
        return float(self.numbers[layout.BENEFIT_VALUE])

    @property
    def failure_value(self) -> float:
        """What a failure costs, normalised, below 0."""
        return float(self.numbers[layout.FAILURE_VALUE])

    @property
    def benefit_probability(self) -> float:
        """The chance of a benefit, before the patient's multiplier."""
        return float(self.numbers[layout.BENEFIT_PROBABILITY])

    @property
    def failure_probability(self) -> float:
        """The chance of a failure, before the patient's multiplier."""
        return float(self.numbers[layout.FAILURE_PROBABILITY])

    @property
    def lambda_weight(self) -> float:
        """The weight of community AMR."""
        return float(self.numbers[layout.LAMBDA])

    @property
    def epsilon(self) -> float:
        """The price of the marginal effect of the last dose."""
        return float(self.numbers[layout.EPSILON])

    @property
    def needs_delta(self) -> bool:
        """Whether the marginal effect of the last dose costs anything."""
        return self.epsilon > 0.0

    @property
    def attribute_caps(self) -> tuple[float, ...]:
        """Where a multiplier makes its probability 1: more of it has no further effect, (6,)."""
        chances = (0.0, 0.0, 0.0, self.benefit_probability, self.failure_probability, 0.0)
        return tuple(1 / chance if chance > 0 else math.inf for chance in chances)

    def score(self, cohort: TreatedCohort) -> Score:
        """Return the rewards of the cohort's treatment."""
        num_envs, num_patients = cohort.actions.shape
        individual, community, reward = np.empty((3, num_envs))
        events = np.empty((num_envs, num_patients), dtype=np.int64)
        cohort_rewards(
            np.ascontiguousarray(cohort.actions, dtype=np.int64),
            np.ascontiguousarray(cohort.attributes),
            np.ascontiguousarray(cohort.infected),
            np.ascontiguousarray(cohort.sensitive),
            np.ascontiguousarray(cohort.uniforms),
            np.ascontiguousarray(cohort.visible_amr),
            np.ascontiguousarray(cohort.delta),
            self.numbers,
            self.harms,
            individual,
            community,
            reward,
            events,
        )
        return Score(
            reward=reward,
            individual=individual,
            community=community,
            benefits=(events & layout.BENEFIT) > 0,
            failures=(events & layout.FAILURE) > 0,
            adverse_events=(events & layout.ADVERSE) > 0,
        )

    def composite(self, individual: ArrayLike, visible_amr: ArrayLike) -> Floats:
        """Return lambda * community + (1 - lambda) * individual; visible_amr (..., K)."""
        community = -np.asarray(visible_amr, dtype=np.float64).mean(axis=-1)
        weight = self.lambda_weight
        whole: Floats = weight * community + (1.0 - weight) * np.asarray(individual)
        return whole

    def expected_reward(
        self, attributes: ArrayLike, amr_level: ArrayLike, delta: ArrayLike = 0.0
    ) -> Floats:
        """Return the expected individual reward of each treatment, shape (..., K+1), last = none.

            treat j: pI (1-a) pB RB vB + pI a pF RF vF + pAE_j AE_j - epsilon delta_j
            none:    pI rec RB vB + pI (1-rec) pF RF vF

        Args:
            attributes: True (or believed) attributes, shape (..., 6).
            amr_level: Level a of each antibiotic, shape (..., K); leading axes broadcast.
            delta: Marginal effect of the last dose, (..., K) or a number.
        """
        patient = np.asarray(attributes, dtype=np.float64)
        level = np.asarray(amr_level, dtype=np.float64)
        infected, benefit_value, failure_value, benefit_chance, failure_chance, recovery = (
            patient[..., a, None] for a in range(6)
        )
        benefit = (
            np.clip(self.benefit_probability * benefit_chance, 0.0, 1.0)
            * self.benefit_value
            * benefit_value
        )
        failure = (
            np.clip(self.failure_probability * failure_chance, 0.0, 1.0)
            * self.failure_value
            * failure_value
        )
        treat = (
            infected * ((1.0 - level) * benefit + level * failure)
            + self.harms[:, 0] * self.harms[:, 1]
            - self.epsilon * np.asarray(delta, dtype=np.float64)
        )
        recovered = self.benefit_value * benefit_value
        none = infected * (recovery * recovered + (1.0 - recovery) * failure)
        none = np.broadcast_to(none, (*treat.shape[:-1], 1))
        return np.concatenate([treat, none], axis=-1)
