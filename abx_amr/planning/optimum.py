"""The optimum of a clinic: exact where the lattice holds it, else between two bounds.

Shapes: K antibiotics, T steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.certificate import CONFIDENCE, TOLERANCE, Certificate, certify
from abx_amr.planning.play import Path, best_counts, never, path_of
from abx_amr.planning.problem import Posed
from abx_amr.planning.programme import Programme, Solution
from abx_amr.planning.progress import OnProgress, within
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.separate import separate_bounds
from abx_amr.planning.views import SampledView, remember

Floats = NDArray[np.float64]
_EXACT = 1e-9
Say = Callable[[str], None]


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
        posed: The clinic, as `view` returns it.
        tolerance: How wide bounds may be, as a share of the range from never treating.
        say: Told beforehand what the programme will take.
        on_progress: Told how far each part is.
        on_round: Handed bounds that are known before the last ones are.

    Raises:
        NotComputable: It takes more memory or time than allowed.
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
    return _exact(posed, say, on_progress)


def _exact(posed: Posed, say: Say, on_progress: OnProgress | None) -> Optimum:
    """Return the optimum of a clinic that the lattice holds."""
    began = time.perf_counter()
    programme = Programme(posed.problem)
    say(str(programme))
    solution = programme.solve(within(on_progress, "exact optimum"))
    lower = upper = solution.value
    given = None
    if posed.problem.is_homogeneous:
        path = optimal_path(solution, within(on_progress, "optimal episode"))
        lower, given = path.expected_return, path.given
    assert lower <= upper + 1e-6, (lower, upper)
    return Optimum(
        lower=lower,
        upper=max(lower, upper),  # the last digits are rounding errors
        caveats=posed.caveats,
        method="dynamic programme over the pressure lattice",
        given=given,
        seconds=time.perf_counter() - began,
        memory=programme.memory,
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
        programme=f"bounds {width:.2%} of the range apart",
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
        programme=f"bounds {found.width:.2%} of the range apart",
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
