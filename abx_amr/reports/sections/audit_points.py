"""The points of a study's audit, with the evidence."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.audit_page import AuditSubject
from abx_amr.reports.tables import Column
from abx_amr.reports.templating import fill

NAME = "Audit"
PAGES = ("audit",)
ORDER = 0


def render(subject: AuditSubject) -> Markup:
    """Return how many points pass, and each with its evidence."""
    verdicts = [point.passed for point in subject.points]
    failed, unknown = verdicts.count(False), verdicts.count(None)
    passed = verdicts.count(True)
    sentence = (
        f"{passed} of {counted(len(verdicts), 'point')} {'passes' if passed == 1 else 'pass'}, "
        f"{failed or 'none'} {'fail' if failed > 1 else 'fails'}"
        f"{f', and {unknown} cannot be decided from what is here' * bool(unknown)}. "
        f"The trials were read from {subject.source}."
    )
    return fill(
        "audit.html",
        sentence=sentence,
        failed=[point.name for point in subject.points if point.passed is False],
        columns=[
            Column("point"),
            Column("verdict"),
            Column("what was checked"),
            Column("evidence"),
            Column("what it means where it fails"),
        ],
        rows=[
            [point.name, point.verdict, point.question, point.evidence, point.if_it_fails]
            for point in subject.points
        ],
    )
