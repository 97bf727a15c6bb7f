"""The audit of a study: point by point, whether its result is what it is said to be, and why.

A point passes, fails, or cannot be said, with the evidence; nothing is trained or played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from abx_amr.errors import first_line
from abx_amr.reports.audit_claims import (
    default_beaten,
    discount_audited,
    versions_recorded,
    winner_held_out,
)
from abx_amr.reports.audit_record import (
    budget_exact,
    evaluation_unseen,
    nothing_hidden,
    read_back_equal,
    seeds_disjoint,
    values_follow,
)
from abx_amr.reports.audited import AuditedStudy, Finding

#: Name -> what looks at it, in their order.
POINTS: Mapping[str, Callable[[AuditedStudy], Finding]] = {
    "budget exact": budget_exact,
    "seeds disjoint": seeds_disjoint,
    "evaluation unseen": evaluation_unseen,
    "values follow from seeds": values_follow,
    "read-back equal": read_back_equal,
    "winner held out": winner_held_out,
    "default beaten": default_beaten,
    "versions recorded": versions_recorded,
    "no failed seeds hidden": nothing_hidden,
    "discount audit": discount_audited,
}


@dataclass(frozen=True, kw_only=True)
class AuditPoint:
    """One point: its name, whether it passed (None: it cannot be said), and the evidence."""

    name: str
    passed: bool | None
    evidence: str

    @property
    def verdict(self) -> str:
        """The outcome in a word."""
        return {True: "pass", False: "FAIL", None: "unknown"}[self.passed]


def audit(study: AuditedStudy) -> list[AuditPoint]:
    """Return the points of a study's audit, in their order; what is damaged fails."""
    points = []
    for name, examine in POINTS.items():
        passed: bool | None
        try:
            passed, evidence = examine(study)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            passed = False
            evidence = f"what it looks at is damaged ({type(error).__name__}: {first_line(error)})"
        points.append(AuditPoint(name=name, passed=passed, evidence=evidence))
    return points
