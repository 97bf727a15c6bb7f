"""Who gets what: the cohorts that can come and every way to treat each.

Shapes: K antibiotics, G types of patients, P patients, C choices, M cohorts, A allocations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.lattice import counts
from abx_amr.planning.problem import NotComputable, Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Allocations:
    """Every way to treat every cohort.

    Attributes:
        choices: How many patients get each antibiotic, (C, K).
        cohorts: How many patients of each type come, (M, G).
        chances: Of each cohort, (M,).
        begins: Where each cohort's allocations begin, (M + 1,).
        choice_of: Row of `choices`, (A,).
        worth: Weighted expected individual reward at AMR 0, (A,).
        slopes: What AMR of each antibiotic takes from it, (A, K).
    """

    choices: Ints
    cohorts: Ints
    chances: Floats
    begins: Ints
    choice_of: Ints
    worth: Floats
    slopes: Floats


def number_of_allocations(problem: Problem) -> int:
    """Return how many there are before any is left out as never the best."""
    cells = len(problem.share) * (len(problem.antibiotics) + 1)
    return math.comb(problem.num_patients + cells - 1, problem.num_patients)


def allocations(problem: Problem) -> Allocations:
    """Return the cohorts with the allocations that can be the best of their choice.

    Raises:
        NotComputable: There are too many.
    """
    number = number_of_allocations(problem)
    if number > MOST:
        raise NotComputable(
            f"the optimum is not computed for {number} ways to treat {problem.num_patients}"
            f" patients of {len(problem.share)} types (at most {MOST})"
        )
    k, p = len(problem.antibiotics), problem.num_patients
    choices = counts(p, k)
    index = {tuple(row): c for c, row in enumerate(choices.tolist())}
    weight = (1 - problem.lambda_weight) / p
    corners = np.array(list(product(*((float(r), 1.0) for r in problem.residual))))
    groups = len(problem.share)
    cohorts = counts(p, groups)
    cohorts = cohorts[cohorts.sum(axis=1) == p]
    within = {n: counts(n, k) for n in range(p + 1)}
    chances, begins = [], [0]
    choice_of: list[int] = []
    worth: list[float] = []
    slopes: list[Floats] = []
    for cohort in cohorts.tolist():
        chance = float(math.factorial(p))
        for n, share in zip(cohort, problem.share, strict=True):
            chance *= float(share) ** n / math.factorial(n)
        chances.append(chance)
        base = float(np.dot(cohort, problem.untreated))
        found: dict[int, list[tuple[float, Floats]]] = {}
        for given in product(*(within[n] for n in cohort)):
            treated = np.array(given).reshape(groups, k)  # patients of each type per antibiotic
            gained = float((treated * (problem.gain[:, None] + problem.harm[None])).sum())
            lost = treated.T @ problem.slope
            c = index[tuple(treated.sum(axis=0).tolist())]
            found.setdefault(c, []).append((weight * (base + gained), weight * lost))
        for c, ways in found.items():
            for value, slope in _undominated(ways, corners):
                choice_of.append(c)
                worth.append(value)
                slopes.append(slope)
        begins.append(len(choice_of))
    return Allocations(
        choices=choices,
        cohorts=cohorts,
        chances=np.array(chances),
        begins=np.array(begins, dtype=np.int64),
        choice_of=np.array(choice_of, dtype=np.int64),
        worth=np.array(worth),
        slopes=np.array(slopes).reshape(len(worth), k),
    )


def _undominated(ways: list[tuple[float, Floats]], corners: Floats) -> list[tuple[float, Floats]]:
    """Return the ways that are not beaten at every corner of the AMR levels by one other."""
    if len(ways) == 1:
        return ways
    values = np.array([w - corners @ s for w, s in ways])
    kept: list[int] = []
    for a in np.argsort(-values.sum(axis=1), kind="stable"):
        if not any((values[b] >= values[a] - 1e-15).all() for b in kept):
            kept.append(int(a))
    return [ways[a] for a in kept]
