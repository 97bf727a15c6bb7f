"""The optimum of a clinic: exact where it can be, else between two bounds that are both attained.

Shapes: K antibiotics, T steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.certificate import CONFIDENCE, TOLERANCE, Certificate, certify
from abx_amr.planning.play import Path, best_counts, never, path_of
from abx_amr.planning.problem import NotComputable, Posed, Problem
from abx_amr.planning.programme import Programme, Solution, fitting
from abx_amr.planning.progress import OnProgress, within
from abx_amr.planning.relaxation import index_path, relax
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.separate import separate_bounds
from abx_amr.planning.views import SampledView, remember

Floats = NDArray[np.float64]
_EXACT = 1e-9
Say = Callable[[str], None]
_TOO_LARGE = "the exact lattice of three antibiotics is too large"


@dataclass(frozen=True, kw_only=True)
class Optimum:
    """What the best policy that knows the parameters is worth in an episode.

    Attributes:
        lower: Reached by a policy that knows parameters and sees every type of patient.
        upper: Reached by none.
        caveats: Why agents may see too little to reach it; empty: they see enough.
        method: How it was computed.
        given: Treatments of the optimal episode where it has no chance in it, (T, K).
        seconds: How long it took.
        memory: Bytes at most.
        programme: The lattice in words.
        confidence: With which both bounds hold; None: with certainty.
        shortfall: Why the bounds are no closer, where they are not as close as asked.
    """

    lower: float
    upper: float
    caveats: tuple[str, ...]
    method: str
    given: NDArray[np.int64] | None
    seconds: float
    memory: int
    programme: str
    confidence: float | None = None
    shortfall: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the bounds meet."""
        return self.upper - self.lower <= _EXACT * max(1.0, abs(self.upper))

    @property
    def value(self) -> float:
        """The reference that gaps are measured from: never below the optimum."""
        return self.upper

    @property
    def name(self) -> str:
        """What the value is called in tables."""
        if not self.is_exact:
            seen = "fully observed optimum" if self.caveats else "optimum"
            return f"upper bound: {seen} between {self.lower:.2f} and {self.upper:.2f}"
        return "upper bound (fully observed optimum)" if self.caveats else "optimum"


def optimum(
    posed: Posed,
    *,
    tolerance: float = TOLERANCE,
    say: Say = lambda line: None,
    on_progress: OnProgress | None = None,
    on_round: Callable[[Optimum], None] = lambda found: None,
) -> Optimum:
    """Return the optimum of a clinic.

    Args:
        posed: The clinic.
        tolerance: How wide bounds may be, as a share of the range from never treating.
        say: Told beforehand what the programme will take.
        on_progress: Told how far each part is.
        on_round: Handed bounds that are known before the last ones are.

    Raises:
        NotComputable: There is no bound either.
    """
    if isinstance(posed, SampledView) and len(posed.problem.antibiotics) > MOST_ANTIBIOTICS:
        return _separate(posed, tolerance, say, on_progress)
    if isinstance(posed, SampledView):
        found = certify(
            posed.clinic,
            tolerance=tolerance,
            say=say,
            on_progress=on_progress,
            on_round=lambda certificate: on_round(_certified(posed, certificate)),
        )
        remember(posed, found.values)
        return _certified(posed, found)
    began = time.perf_counter()
    above, below = posed.above, posed.problem
    slack = 0.0
    if below.epsilon > 0 and not below.sees_amr:
        slack = _most_marginal(below)
        above, below = replace(above, epsilon=0.0), replace(below, epsilon=0.0)
    try:
        factors = fitting(above)
    except NotComputable as error:
        if above is not below:
            raise
        return _relaxed(posed, above, slack, str(error), began, say, on_progress)
    if len(above.antibiotics) > 2 and max(factors) > 1:
        return _relaxed(posed, above, slack, _TOO_LARGE, began, say, on_progress)
    programme = Programme(above, factors)
    say(str(programme))
    is_sharp = programme.is_exact and above.fingerprint == below.fingerprint
    searched = "exact optimum" if is_sharp else "upper bound"
    solution = programme.solve(within(on_progress, searched))
    upper, given = solution.value, None
    method = "dynamic programme over the pressure lattice"
    memory = programme.memory
    is_cut = any(axis.is_capped for axis in programme.axes)
    if above.epsilon > 0 and (is_cut or not programme.is_exact):
        # the argument that lower pressures are never worse needs epsilon 0
        free = Programme(replace(above, epsilon=0.0), factors)
        upper = free.solve(within(on_progress, "upper bound with epsilon 0")).value
        method += ", upper bound with epsilon 0"
    if above.is_homogeneous:
        path = optimal_path(solution, within(on_progress, "optimal episode"))
        lower, given = path.expected_return, path.given
    elif programme.is_exact and not is_cut and above is below:
        lower = upper
    else:
        rounded_up = Programme(below, fitting(below), "up")
        lower = rounded_up.solve(within(on_progress, "lower bound")).value
    if not programme.is_exact:
        method += f" with cells of {max(factors)} spacings, rounded down for the upper bound"
    assert lower <= upper + 1e-6, (lower, upper)
    upper = max(lower, upper)  # the last digits are rounding errors
    return Optimum(
        lower=lower - slack,
        upper=upper,
        caveats=posed.caveats,
        method=method,
        given=given,
        seconds=time.perf_counter() - began,
        memory=memory,
        programme=str(programme),
    )


def _separate(
    posed: SampledView, tolerance: float, say: Say, on_progress: OnProgress | None
) -> Optimum:
    """Return loose bounds of a clinic with more antibiotics than values can be kept for."""
    began = time.perf_counter()
    number = len(posed.problem.antibiotics)
    say(f"{number} antibiotics: a bound from each on its own, which is loose; some minutes")
    found = separate_bounds(posed.clinic, tolerance=tolerance, on_progress=on_progress)
    span = found.upper - never(posed.problem)
    width = (found.upper - found.lower) / span if span > 0 else 0.0
    return Optimum(
        lower=found.lower,
        upper=found.upper,
        caveats=posed.caveats,
        method=found.method,
        given=None,
        seconds=time.perf_counter() - began,
        memory=0,
        programme=f"{width:.2%} of the range wide",
        confidence=CONFIDENCE,
        shortfall=f"values are kept for at most {MOST_ANTIBIOTICS} antibiotics",
    )


def _certified(posed: Posed, found: Certificate) -> Optimum:
    """Return a certificate as an optimum between bounds."""
    alone = len(found.played.returns) == 1
    return Optimum(
        lower=found.lower,
        upper=found.upper,
        caveats=posed.caveats,
        method=found.method,
        given=np.rint(found.played.given).astype(np.int64) if alone else None,
        seconds=found.seconds,
        memory=found.memory,
        programme=f"{found.width:.2%} of the range wide",
        confidence=None if alone else CONFIDENCE,
        shortfall=found.shortfall,
    )


def optimal_path(solution: Solution, on_progress: OnProgress | None = None) -> Path:
    """Return the optimal episode of a clinic without chance, played with its own pressures."""
    problem = solution.programme.problem
    choices = solution.programme.plan.choices

    def choose(step: int, pressure: Floats) -> NDArray[np.int64]:
        values = solution.choice_values(step, pressure)
        best: NDArray[np.int64] = best_counts(
            problem, choices, values, problem.level(pressure)[None]
        )[0]
        return best

    return path_of(problem, choose, on_progress=on_progress)


def _relaxed(
    posed: Posed,
    problem: Problem,
    slack: float,
    reason: str,
    began: float,
    say: Say,
    on_progress: OnProgress | None,
) -> Optimum:
    """Return bounds from the relaxation.

    Raises:
        NotComputable: Patients differ, so that no lower bound is at hand.
    """
    say(f"{reason}: bounds from each antibiotic on its own")
    relaxation = relax(problem, on_progress=within(on_progress, "bounds"))
    if not problem.is_homogeneous:
        raise NotComputable(f"{reason}, and patients differ (upper bound {relaxation.upper:.2f})")
    path = index_path(problem, relaxation)
    return Optimum(
        lower=path.expected_return - slack,
        upper=relaxation.upper,
        caveats=posed.caveats,
        method="antibiotics relaxed from each other (upper), their index policy played (lower)",
        given=path.given,
        seconds=time.perf_counter() - began,
        memory=sum(8 * value.size * 3 for value in relaxation.values),
        programme=" + ".join(str(len(p.axes[0].positions)) for p in relaxation.programmes)
        + " cells",
    )


def _most_marginal(problem: Problem) -> float:
    """Return the most that epsilon can cost in an episode."""
    steepest = float(np.max(problem.level(np.ones(len(problem.leak))) - problem.residual))
    return (1 - problem.lambda_weight) * problem.epsilon * steepest * problem.num_steps
