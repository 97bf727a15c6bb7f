"""A clinic as the planner sees it: expected gains by type of patient, and the laws of pressure.

Shapes: K antibiotics, G types of patients. A patient of type g who is treated with antibiotic j at
AMR level a is worth untreated[g] + gain[g] - slope[g] * a + harm[j] (simulator.md, section 5).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.errors import InputError
from abx_amr.planning.distributions import normal_chance
from abx_amr.simulator.dynamics import LeakyBalloon
from abx_amr.simulator.kernel.layout import law_views, proportions
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.patients import ATTRIBUTES, PADDING, PatientMixture, PatientPopulation
from abx_amr.simulator.rewards import ClinicalReward

Floats = NDArray[np.float64]
Laws = NDArray[np.void]  # of attributes, under the names of kernel.layout.LAW
Law = np.void
LATE = "AMR is reported late or inexactly"


class NotComputable(InputError):
    """Why the optimum of a clinic cannot be computed, in one line."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A clinic reduced to what its optimum depends on.

    Attributes:
        antibiotics: The K antibiotics.
        leak: Pressure lost per step, (K,).
        flatness: Pressure scale of the level, (K,).
        residual: Lowest level, (K,).
        initial: Pressure at the start, (K,).
        cross: Share of a dose of i that reaches j, (K, K).
        harm: Expected adverse effect of a treatment, <= 0, (K,).
        share: Chance of each type, (G,).
        gain: What a treatment at AMR 0 is worth over none, without harm, (G,); where patients are
            sampled, of their mean, (1, 1), or with each antibiotic, (1, K).
        slope: What the whole of AMR takes away from it, >= 0, of the same shape.
        untreated: What no treatment is worth, (G,).
        seen: What is observed of each type without noise, (G, V).
        num_patients: Patients per step.
        num_steps: Steps of an episode.
        lambda_weight: Weight of the community's part.
        epsilon: Price of the marginal effect of the last dose.
        update_every: Steps between two reports of AMR.
        visible_noise: Standard deviation of a report.
        visible_bias: Added to a report.
        community_share: Weight of each antibiotic in the community's part, 1/K.
    """

    antibiotics: tuple[str, ...]
    leak: Floats
    flatness: Floats
    residual: Floats
    initial: Floats
    cross: Floats
    harm: Floats
    share: Floats
    gain: Floats
    slope: Floats
    untreated: Floats
    seen: Floats
    num_patients: int
    num_steps: int
    lambda_weight: float
    epsilon: float
    update_every: int
    visible_noise: float
    visible_bias: float
    community_share: float

    @property
    def sees_amr(self) -> bool:
        """Whether the visible AMR is the true one at every step."""
        return self.update_every == 1 and self.visible_noise == 0 and self.visible_bias == 0

    @property
    def is_homogeneous(self) -> bool:
        """Whether all patients are of one type, so that an optimal episode has no chance in it."""
        return len(self.share) == 1

    def level(self, pressure: ArrayLike) -> Floats:
        """Return the AMR levels of pressures (..., K)."""
        p = np.asarray(pressure, dtype=np.float64)
        levels: Floats = self.residual + (1 - self.residual) * np.tanh(p / (2 * self.flatness))
        return levels

    def reported(self, level: ArrayLike) -> Floats:
        """Return the expected visible levels of true levels."""
        exact = np.asarray(level, dtype=np.float64)
        if self.visible_noise == 0:
            return np.clip(exact + self.visible_bias, 0.0, 1.0)
        return clipped_mean(exact + self.visible_bias, self.visible_noise, 0.0, 1.0)

    def report_weight(self, step: int) -> int:
        """Return in how many steps the report made after step `step` (from 1) is what is seen."""
        if step % self.update_every:
            return 0
        return min(self.update_every, self.num_steps - step + 1)

    @property
    def fingerprint(self) -> str:
        """The name of everything the optimum depends on."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True, kw_only=True)
class Posed:
    """A clinic's problem and how what comes out of it is to be read.

    Attributes:
        problem: With types of patients, or their mean where they are sampled.
        caveats: Why no policy that sees what agents see may reach the optimum; empty: exact.
        is_predictable: Whether what a policy sees follows from what it did.
    """

    problem: Problem
    caveats: tuple[str, ...]
    is_predictable: bool

    @property
    def is_homogeneous(self) -> bool:
        """Whether all patients look alike."""
        return self.problem.is_homogeneous


def clipped_mean(mean: ArrayLike, sigma: float, low: float, high: float) -> Floats:
    """Return E[clip(N(mean, sigma), low, high)].

    >>> float(clipped_mean(0.5, 0.1, 0.0, 1.0).round(6)), float(clipped_mean(2.0, 0.0, 0.0, 1.0))
    (0.5, 1.0)
    """
    mu = np.asarray(mean, dtype=np.float64)
    if sigma == 0:
        return np.clip(mu, low, high)

    def partial(bound: float) -> Floats:
        """Return E[min(N, bound)]."""
        z = (bound - mu) / sigma
        density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        whole: Floats = mu * normal_chance(z) - sigma * density + bound * (1 - normal_chance(z))
        return whole

    upper = mu if np.isinf(high) else partial(high)
    # E[clip] = E[min(N, high)] + E[low - N; N < low]
    z = (low - mu) / sigma
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    whole: Floats = upper + (low - mu) * normal_chance(z) + sigma * density
    return whole


def pose(model: ClinicModel, *, hide_patients: bool = False) -> Posed:
    """Return the planner's view of a clinic whose patients are of a few types.

    Args:
        model: The clinic.
        hide_patients: Plan as if nothing were seen of the patients.

    Raises:
        NotComputable: A part is not one of the shipped ones, or an attribute varies visibly.
    """
    population, reward = model.population, model.reward
    common = laws_of(model)
    if type(reward) is not ClinicalReward:
        raise NotComputable(f"the optimum is not computed for the reward {type(reward).__name__}")
    table = (
        population.groups if isinstance(population, PatientPopulation | PatientMixture) else None
    )
    if type(population) not in (PatientPopulation, PatientMixture) or table is None:
        raise NotComputable(
            f"the optimum is not computed for the population {type(population).__name__}"
        )
    laws = law_views(table)
    shares = np.diff(proportions(table), prepend=0.0)
    is_there = shares > 0
    drawn, noise = (laws[name] * laws["shown"] * is_there[:, None] for name in ("sigma", "noise"))
    noisy = bool(noise.any())
    if drawn.any() and not hide_patients:
        names = ", ".join(ATTRIBUTES[a] for a in np.flatnonzero(drawn.any(axis=0)))
        raise NotComputable(f"patients are not of a few types: {names} vary and are visible")
    if noisy and is_there.sum() > 1 and not hide_patients:
        raise NotComputable("patients are not of types that are seen: there is noise")
    visible = population.visible_patient_attributes
    shown = [] if hide_patients else [ATTRIBUTES.index(name) for name in visible]
    common |= {
        "harm": reward.harms.prod(axis=1),
        "lambda_weight": reward.lambda_weight,
        "epsilon": reward.epsilon,
    }
    problem = Problem(**common, **_types(laws, shares, reward, shown))
    return Posed(
        problem=problem,
        caveats=() if problem.sees_amr else (LATE,),
        is_predictable=problem.is_homogeneous and not noisy and problem.visible_noise == 0,
    )


def laws_of(model: ClinicModel) -> dict[str, Any]:
    """Return the fields of a problem that neither patients nor reward decide.

    Raises:
        NotComputable: The laws of pressure are not the shipped ones.
    """
    dynamics = model.dynamics
    if type(dynamics) is not LeakyBalloon:
        raise NotComputable(f"the optimum is not computed for {type(dynamics).__name__} dynamics")
    return {
        "antibiotics": model.antibiotics,
        "leak": dynamics.leak,
        "flatness": dynamics.flatness,
        "residual": dynamics.residual,
        "initial": dynamics.initial_state(1)[0],
        "cross": model.cross_resistance_matrix,
        "num_patients": model.num_patients_per_time_step,
        "num_steps": model.max_time_steps,
        "update_every": model.visible_amr.update_every_n_time_steps,
        "visible_noise": model.visible_amr.noise_std,
        "visible_bias": model.visible_amr.bias,
        "community_share": 1.0 / len(model.antibiotics),
    }


def _mean(law: Law) -> float:
    """Return the mean of an attribute's law, clipped to its sampling bounds."""
    return float(clipped_mean(law["mean"], law["sigma"], law["low"], law["high"]))


def _chance(law: Law, chance: float) -> float:
    """Return the mean of clip(chance * multiplier, 0, 1)."""
    if chance == 0:
        return 0.0
    inner = clipped_mean(law["mean"], law["sigma"], 0.0, 1.0 / chance)
    return float(inner) * chance


def _worth(laws: Laws, reward: ClinicalReward) -> tuple[float, float, float]:
    """Return gain, slope and untreated value, the means over independent attributes (6,)."""
    infected = _mean(laws[0])
    benefit_value = reward.benefit_value * _mean(laws[1])
    benefit = benefit_value * _chance(laws[3], reward.benefit_probability)
    failure = reward.failure_value * _mean(laws[2]) * _chance(laws[4], reward.failure_probability)
    recovery = _mean(laws[5])
    untreated = infected * (recovery * benefit_value + (1 - recovery) * failure)
    return infected * benefit - untreated, infected * (benefit - failure), untreated


def _types(
    groups: Laws, shares: Floats, reward: ClinicalReward, shown: Sequence[int]
) -> dict[str, Any]:
    """Return arrays of types; groups that look alike are one, with the mean of their worth."""
    merged: dict[tuple[float, ...], tuple[float, Floats]] = {}
    for laws, share in zip(groups, shares, strict=True):
        if share > 0:
            seen = tuple(_seen(law) for law in laws[list(shown)])
            before, total = merged.get(seen, (0.0, np.zeros(3)))
            merged[seen] = before + share, total + share * np.array(_worth(laws, reward))
    found = np.array([m for m, _ in merged.values()])
    worths = np.array([w / m for m, w in merged.values()])
    return {
        "share": found / found.sum(),
        "gain": worths[:, 0],
        "slope": worths[:, 1],
        "untreated": worths[:, 2],
        "seen": np.array(list(merged)).reshape(len(found), -1),
    }


def _seen(law: Law) -> float:
    """Return what is observed of an attribute without noise, the padding value where hidden."""
    if law["shown"] == 0:
        return PADDING
    value = min(max(law["mean"], law["low"]), law["high"]) * law["bias"]
    return float(min(max(value, law["observed_low"]), law["observed_high"]))
