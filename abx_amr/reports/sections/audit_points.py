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
    sentence = (
        f"{verdicts.count(True)} of {counted(len(verdicts), 'point')} pass, {failed} fail, of "
        f"{unknown} it cannot be said. Trials read from {subject.source}."
    )
    return fill(
        "audit.html",
        sentence=sentence,
        failed=[point.name for point in subject.points if point.passed is False],
        columns=[Column("point"), Column("verdict"), Column("evidence")],
        rows=[[point.name, point.verdict, point.evidence] for point in subject.points],
    )
