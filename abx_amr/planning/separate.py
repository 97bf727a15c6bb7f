"""Bounds for more antibiotics than values can be kept for: each on its own, at a price.

Shapes: K antibiotics. From above: cross-resistance is left out, and a patient may get several
antibiotics, each at the same price (Lagrange); every antibiotic is then a clinic of its own. From
below: the clinic without those that are worth least, whose policy is one of this clinic too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.certificate import CONFIDENCE, certify, cohorts_of
from abx_amr.planning.distributions import t_quantile
from abx_amr.planning.play import never
from abx_amr.planning.problem import Problem
from abx_amr.planning.progress import OnProgress, counting, within
from abx_amr.planning.sampled import MOST_ANTIBIOTICS, Grid, SampledClinic, solve

Floats = NDArray[np.float64]

_NODES, _DRAWS, _ROUNDS = 128, 4, 14
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class SeparateBounds:
    """What encloses the optimum, each bound with 97.5 %."""

    lower: float
    upper: float
    method: str


def separate_bounds(
    clinic: SampledClinic, *, tolerance: float, on_progress: OnProgress | None = None
) -> SeparateBounds:
    """Return bounds of a clinic of any number of antibiotics.

    Args:
        clinic: The clinic.
        tolerance: Asked of the clinic with fewer antibiotics.
        on_progress: Told how far each part is.
    """
    problem = clinic.problem
    highest = clinic.weight * float(np.max(problem.gain[0] + problem.harm)) * 2
    low, high = 0.0, max(highest, 0.0)
    # the bound is convex in the price
    told = counting(on_progress, "price of a treatment, round", range(_ROUNDS if high else 0))
    for _ in told:
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _alone_values(clinic, a, 0).sum() + _paid(problem, a) < (
            _alone_values(clinic, b, 0).sum() + _paid(problem, b)
        ):
            high = b
        else:
            low = a
    price = (low + high) / 2
    draws = np.array([_alone_values(clinic, price, seed) for seed in range(1, _DRAWS + 1)])
    totals = draws.sum(axis=1) + _paid(problem, price) + clinic.untreated_return
    error = float(totals.std(ddof=1)) / math.sqrt(_DRAWS)
    upper = float(totals.mean()) + t_quantile(_DRAWS - 1, 0.5 + CONFIDENCE / 2) * error
    kept = np.sort(np.argsort(-draws.mean(axis=0))[:MOST_ANTIBIOTICS])
    lower, below = never(problem), "never treating (lower)"
    if problem.lambda_weight == 0 and problem.epsilon == 0:
        part = within(on_progress, "without the least useful")
        found = certify(_only(clinic, kept), tolerance=tolerance, on_progress=part)
        names = ", ".join(problem.antibiotics[j] for j in kept)
        lower, below = max(lower, found.lower), f"{names} alone (lower)"
    return SeparateBounds(
        lower=lower,
        upper=max(upper, lower),
        method=f"antibiotics relaxed from each other (upper), {below}",
    )


def _paid(problem: Problem, price: float) -> float:
    """Return what every patient of an episode is paid for the treatments that it may get."""
    return price * problem.num_patients * problem.num_steps


def _alone_values(clinic: SampledClinic, price: float, seed: int) -> Floats:
    """Return the upper value of each antibiotic alone at a price per treatment, (K,)."""
    problem = clinic.problem
    discount = price / clinic.weight if clinic.weight else 0.0
    found = []
    for j in range(len(problem.antibiotics)):
        alone = _parts(problem, np.array([j]))
        alone = replace(
            alone,
            harm=alone.harm - discount,
            untreated=np.zeros_like(problem.untreated),
            epsilon=0.0,
        )
        part = replace(_only(clinic, np.array([j])), problem=alone)
        solved = solve(Grid(part, _NODES), cohorts=cohorts_of(part), seed=seed)
        assert solved.upper is not None
        found.append(solved.upper)
    return np.array(found)


def _only(clinic: SampledClinic, kept: NDArray[np.int64]) -> SampledClinic:
    """Return the clinic in which only some antibiotics are given."""
    beliefs = replace(clinic.beliefs, rewarded=clinic.beliefs.rewarded.only(kept))
    return replace(clinic, problem=_parts(clinic.problem, kept), beliefs=beliefs)


def _parts(problem: Problem, kept: NDArray[np.int64]) -> Problem:
    gain, slope = problem.gain, problem.slope
    if gain.shape[1] > 1:
        gain, slope = gain[:, kept], slope[:, kept]
    return replace(
        problem,
        gain=gain,
        slope=slope,
        antibiotics=tuple(problem.antibiotics[j] for j in kept),
        leak=problem.leak[kept],
        flatness=problem.flatness[kept],
        residual=problem.residual[kept],
        initial=problem.initial[kept],
        cross=problem.cross[np.ix_(kept, kept)],
        harm=problem.harm[kept],
    )
