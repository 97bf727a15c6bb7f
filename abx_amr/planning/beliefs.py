"""What a patient is worth to treat, given what is observed of it: the posterior expectations.

Shapes: N patients, G groups, 6 attributes. Given its group, a patient's attributes and the noises
of their observations are independent, so that every expectation is one of a single attribute; the
groups are weighed by how likely what is observed is in each (Bayes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.distributions import normal_chance, normal_quantile
from abx_amr.planning.problem import NotComputable, clipped_mean
from abx_amr.planning.worth import Worth, linear, worth_of
from abx_amr.simulator.kernel.layout import law_views, proportions
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.patients import ATTRIBUTES, PADDING, PatientMixture, PatientPopulation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_POINTS = 20_000  # of a law, where the mass of a clipped observation is summed
_SAME = 1e-6  # observations are of single precision
_TINY = 1e-300
_REACH = 6.0  # standard deviations: what lies beyond has a chance below 1e-8


class Seen(NamedTuple):
    """What an observation says of one attribute in one group, each (N,).

    Attributes:
        likelihood: A chance where `is_atom`, else a density.
        is_atom: Whether the observation has a chance of its own.
        mean: The attribute's expected effect.
    """

    likelihood: Floats
    is_atom: Bools
    mean: Floats


@dataclass(frozen=True, kw_only=True)
class Law:
    """How one attribute of one group is drawn, seen, and works.

    x = clip(N(mean, sigma), low, high) is seen as clip(x * bias + N(0, noise), seen_low,
    seen_high), and works as min(x, cap).
    """

    mean: float
    sigma: float
    low: float
    high: float
    bias: float
    noise: float
    seen_low: float
    seen_high: float
    is_shown: bool
    cap: float

    @cached_property
    def prior(self) -> float:
        """The expected effect of a patient of whom nothing is seen."""
        return float(clipped_mean(self.mean, self.sigma, self.low, min(self.high, self.cap)))

    def posterior(self, seen: Floats) -> Seen:
        """Return what observations (N,) say."""
        if not self.is_shown:
            is_hidden = np.abs(seen - PADDING) < _SAME
            return Seen(
                is_hidden.astype(np.float64),
                np.ones(len(seen), bool),
                np.full(len(seen), self.prior),
            )
        likelihood, mean = self._inside(seen)
        is_atom = np.zeros(len(seen), bool)
        for bound, (mass, expected) in self._atoms.items():
            at = np.abs(seen - bound) <= _SAME * max(1.0, abs(bound))
            likelihood = np.where(at, mass, likelihood)
            mean = np.where(at, expected, mean)
            is_atom |= at
        return Seen(likelihood, is_atom, mean)

    @cached_property
    def _points(self) -> Floats:
        """Equally likely values of the attribute."""
        if self.sigma == 0:
            return np.array([min(max(self.mean, self.low), self.high)])
        chances = (np.arange(_POINTS) + 0.5) / _POINTS
        return np.clip(self.mean + self.sigma * normal_quantile(chances), self.low, self.high)

    @cached_property
    def _atoms(self) -> dict[float, tuple[float, float]]:
        """Observations that have a chance of their own -> that chance, and the expected effect."""
        x = self._points
        effect = np.minimum(x, self.cap)
        found: dict[float, tuple[float, float]] = {}
        if self.noise == 0:
            # clipped before or after it is seen: the values that many points share
            shown = np.clip(x * self.bias, self.seen_low, self.seen_high)
            values, number = np.unique(shown, return_counts=True)
            for value in values[number > 1] if len(x) > 1 else values:
                at = shown == value
                found[float(value)] = (float(at.mean()), float(effect[at].mean()))
            return found
        for bound, below in ((self.seen_low, True), (self.seen_high, False)):
            if math.isinf(bound):
                continue
            z = (bound - x * self.bias) / self.noise
            chance = normal_chance(z if below else -z)
            mass = float(chance.mean())
            if mass > 0:
                found[bound] = (mass, float((effect * chance).mean()) / mass)
        return found

    def _inside(self, seen: Floats) -> tuple[Floats, Floats]:
        """Return densities and expected effects of observations without a chance of their own."""
        if self.sigma == 0:
            constant = min(max(self.mean, self.low), self.high)
            effect = np.full(len(seen), min(constant, self.cap))
            if self.noise == 0:
                return np.zeros(len(seen)), effect
            return _density(seen, constant * self.bias, self.noise), effect
        if self.noise == 0:
            x = seen / self.bias
            inside = (x > self.low) & (x < self.high)
            density = np.where(inside, _density(x, self.mean, self.sigma) / self.bias, 0.0)
            return density, np.clip(x, self.low, min(self.high, self.cap))
        return self._noisy(seen)

    def _noisy(self, seen: Floats) -> tuple[Floats, Floats]:
        """Return them for a Gaussian attribute that is seen with noise: Gaussian, cut, two ends."""
        precision = 1 / self.sigma**2 + (self.bias / self.noise) ** 2
        spread = math.sqrt(1 / precision)
        middle = (self.mean / self.sigma**2 + seen * self.bias / self.noise**2) / precision
        whole = _density(
            seen, self.mean * self.bias, math.hypot(self.noise, self.bias * self.sigma)
        )
        cap = min(self.high, self.cap)

        def part(low: float, high: float) -> tuple[Floats, Floats]:
            """Return chance and partial mean of N(middle, spread) between two bounds."""
            a, b = (low - middle) / spread, (high - middle) / spread
            chance = normal_chance(b) - normal_chance(a)
            moment = middle * chance - spread * (_density(b, 0.0, 1.0) - _density(a, 0.0, 1.0))
            return chance, moment

        chance, moment = part(self.low, cap)
        above = part(cap, self.high)[0] if cap < self.high else np.zeros(len(seen))
        density = whole * (chance + above)
        total = whole * (moment + cap * above if above.any() else moment)
        ends = [(self.low, normal_chance((self.low - self.mean) / self.sigma))]
        if not math.isinf(self.high):
            ends.append((self.high, normal_chance((self.mean - self.high) / self.sigma)))
        for end, mass in ends:
            here = float(mass) * _density(seen, end * self.bias, self.noise)
            density = density + here
            total = total + here * min(end, self.cap)
        mean = np.where(density > _TINY, total / np.maximum(density, _TINY), self.prior)
        return density, np.clip(mean, self.low, cap)


def _density(x: Floats, mean: float | Floats, sigma: float) -> Floats:
    """Return the density of N(mean, sigma) at x."""
    z = (x - mean) / sigma
    density: Floats = np.exp(-0.5 * z * z) / (sigma * math.sqrt(2 * math.pi))
    return density


@dataclass(frozen=True, kw_only=True, eq=False)
class Beliefs:
    """A population as one who knows its laws sees it.

    Attributes:
        shares: Chance of each group, (G,).
        laws: Of each group, the six attributes' laws.
        shown: Which of the six are visible in some group, in the order of the observation.
        rewarded: What treating is worth, by the attributes.
    """

    shares: Floats
    laws: tuple[tuple[Law, ...], ...]
    shown: tuple[int, ...]
    rewarded: Worth

    def hidden(self) -> Beliefs:
        """Return the same patients with nothing seen of them."""
        laws = tuple(tuple(replace(law, is_shown=False) for law in group) for group in self.laws)
        return replace(self, laws=laws, shown=())

    def worth(self, observed: Floats) -> tuple[Floats, Floats]:
        """Return gain and slope, (N, 1 or K), expected given what is observed of patients, (N, 6).

        A treatment at AMR a is worth gain - slope * a more than none, the harm left out; the last
        axis is 1 long where that is the same with all antibiotics.
        """
        number = len(observed)
        if len(self.laws) == 1:
            gain, slope, _ = self._group(0, observed)
            return gain, slope
        gains, slopes, logs, atoms = [], [], [], []
        for g, share in enumerate(self.shares):
            gain, slope, (log, atom) = self._group(g, observed)
            gains.append(gain)
            slopes.append(slope)
            logs.append(log + math.log(share))
            atoms.append(atom)
        log, atom = np.stack(logs), np.stack(atoms)
        # a chance outweighs any density: the groups with the most attributes of that kind
        most = np.where(np.isfinite(log), atom, -1).max(axis=0)
        log = np.where(np.isfinite(log) & (atom == most), log, -np.inf)
        highest = log.max(axis=0)
        known = np.isfinite(highest)
        weight = np.where(
            known, np.exp(log - np.where(known, highest, 0.0)), self.shares[:, None]
        ) / np.ones(number)
        weight = (weight / weight.sum(axis=0))[:, :, None]
        return (weight * np.stack(gains)).sum(axis=0), (weight * np.stack(slopes)).sum(axis=0)

    @cached_property
    def mean(self) -> tuple[Floats, Floats, float]:
        """Gain and slope, (1 or K,), of a patient of whom nothing is seen, and untreated value."""
        found = [self.rewarded.expected([law.prior for law in group], 1) for group in self.laws]
        gain, slope = (
            sum((s * f[i][0] for s, f in zip(self.shares, found, strict=True)), np.zeros(1))
            for i in (0, 1)
        )
        untreated = sum(s * float(f[2][0]) for s, f in zip(self.shares, found, strict=True))
        return gain, slope, float(untreated)

    def _group(self, g: int, observed: Floats) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
        """Return gain, slope, and log-likelihood with how many chances are in it, of group g."""
        number = len(observed)
        log, atoms = np.zeros(number), np.zeros(number)
        means: list[Floats | float] = []
        for a, law in enumerate(self.laws[g]):
            if not law.is_shown and a not in self.shown:
                means.append(law.prior)
                continue
            seen = law.posterior(observed[:, a])
            means.append(seen.mean)
            if len(self.laws) > 1:
                with np.errstate(divide="ignore"):
                    log += np.log(seen.likelihood)
                atoms += seen.is_atom
        gain, slope, _ = self.rewarded.expected(means, number)
        return gain, slope, (log, atoms)

    def observe(self, uniforms: Floats) -> Floats:
        """Return what is observed of patients (N, 6) drawn by uniforms in (0, 1), (N, 13).

        The first uniform draws the group, six the attributes, six the noises.
        """
        number = len(uniforms)
        group = np.searchsorted(self.shares.cumsum()[:-1], uniforms[:, 0], side="right")
        observed = np.full((number, len(ATTRIBUTES)), PADDING)
        for g, laws in enumerate(self.laws):
            here = np.flatnonzero(group == g)
            for a, law in enumerate(laws):
                if not law.is_shown:
                    continue
                value: Floats | float = law.mean
                if law.sigma > 0:
                    value = law.mean + law.sigma * normal_quantile(uniforms[here, 1 + a])
                seen = np.clip(value, law.low, law.high) * law.bias
                if law.noise > 0:
                    seen = seen + law.noise * normal_quantile(uniforms[here, 7 + a])
                observed[here, a] = np.clip(seen, law.seen_low, law.seen_high)
        return observed

    @property
    def draws(self) -> tuple[int, ...]:
        """Which of the 13 uniforms of a patient matter."""
        columns = list(zip(*self.laws, strict=True))
        needed = [0] if any(len({_appearance(law) for law in c}) > 1 for c in columns) else []
        needed += [
            1 + a for a, c in enumerate(columns) if any(law.is_shown and law.sigma > 0 for law in c)
        ]
        needed += [
            7 + a for a, c in enumerate(columns) if any(law.is_shown and law.noise > 0 for law in c)
        ]
        return tuple(needed)


def _appearance(law: Law) -> tuple[float, ...]:
    """Return what decides how an attribute looks."""
    if not law.is_shown:
        return ()
    return (
        law.mean,
        law.sigma,
        law.low,
        law.high,
        law.bias,
        law.noise,
        law.seen_low,
        law.seen_high,
    )


def beliefs_of(model: ClinicModel) -> Beliefs:
    """Return the population of a clinic as one sees it who knows its laws.

    Raises:
        NotComputable: Its patients are not the shipped ones, or its reward is neither a shipped
            one nor a `LinearReward`.
    """
    population = model.population
    table = (
        population.groups if isinstance(population, PatientPopulation | PatientMixture) else None
    )
    if type(population) not in (PatientPopulation, PatientMixture) or table is None:
        raise NotComputable(
            f"the optimum is not computed for the population {type(population).__name__}"
        )
    shares = np.diff(proportions(table), prepend=0.0)
    rows = law_views(table)
    present = np.flatnonzero(shares > 0)
    reward = linear(model.reward)
    caps = reward.attribute_caps
    laws = tuple(tuple(_law(rows[g, a], caps[a]) for a in range(len(ATTRIBUTES))) for g in present)
    return Beliefs(
        shares=shares[present] / shares[present].sum(),
        laws=laws,
        shown=tuple(ATTRIBUTES.index(name) for name in population.visible_patient_attributes),
        rewarded=worth_of(reward, [_ends(laws_of_one) for laws_of_one in zip(*laws, strict=True)]),
    )


def _ends(laws: Sequence[Law]) -> tuple[float, float]:
    """Return the lowest and highest effect that occurs of an attribute in any group."""
    ends = [
        min(max(law.mean + sign * _REACH * law.sigma, law.low), law.high, law.cap)
        for law in laws
        for sign in (-1, 1)
    ]
    return min(ends), max(ends)


def _law(row: np.void, cap: float) -> Law:
    """Return the law of an attribute of the population's table."""
    return Law(
        mean=float(row["mean"]),
        sigma=float(row["sigma"]),
        low=float(row["low"]),
        high=float(row["high"]),
        bias=float(row["bias"]),
        noise=float(row["noise"]),
        seen_low=float(row["observed_low"]),
        seen_high=float(row["observed_high"]),
        is_shown=bool(row["shown"] > 0),
        cap=cap,
    )
