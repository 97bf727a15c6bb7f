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


#: Name -> what is checked, and what it means where it fails.
_MEANING: Mapping[str, tuple[str, str]] = {
    "budget exact": (
        "Were exactly as many trials finished as were planned, each setting once?",
        "Trials are missing, or more settings were tried than is said: the best of more looks "
        "better.",
    ),
    "seeds disjoint": (
        "Were the training seeds of the search used for nothing else?",
        "Agents were judged on seeds that had chosen their settings, which flatters them.",
    ),
    "evaluation unseen": (
        "Was every agent evaluated on the planned episodes, of which it had seen none in training?",
        "Returns are of other episodes than is said, or of episodes that were trained on.",
    ),
    "values follow from seeds": (
        "Is the value of every trial the one that its seeds give?",
        "A value was changed, or computed otherwise than is said: the ranking cannot be trusted.",
    ),
    "read-back equal": (
        "Did the agents that were built use the values that were searched?",
        "What was found is the result of other settings than it is told for.",
    ),
    "winner held out": (
        "Was the winner evaluated on training seeds and episodes that had chosen nothing?",
        "Its value is the best of many draws, and will be lower when it is used.",
    ),
    "default beaten": (
        "Is the winner better than the settings that the agent has without a search?",
        "The search found nothing that is worth changing the default for.",
    ),
    "versions recorded": (
        "Are the versions of all programs on record that the numbers follow from?",
        "Nobody can repeat the study and expect the same numbers.",
    ),
    "no failed seeds hidden": (
        "Is every trial and every seed on record that left a result, the failed ones too?",
        "Failures may have been taken out, which makes settings look safer than they are.",
    ),
    "discount audit": (
        "Does the winner's discount factor cost little by itself (at most 5 % of the range)?",
        "It would be no fault of the record: even a perfect learner with this gamma would stay "
        "far below the optimum. Larger values of gamma would have to be searched.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class AuditPoint:
    """One point: its name, whether it passed (None: it cannot be said), and the evidence."""

    name: str
    passed: bool | None
    evidence: str

    @property
    def question(self) -> str:
        """What was checked."""
        return _MEANING[self.name][0]

    @property
    def if_it_fails(self) -> str:
        """What it would mean if it failed."""
        return _MEANING[self.name][1]

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
