"""What a page is about, read from its folder as data: a run, a study, a set of runs, a plan."""

from abx_amr.reports.subjects.plan import PlanSubject
from abx_amr.reports.subjects.run import RunSubject
from abx_amr.reports.subjects.set import SetSubject
from abx_amr.reports.subjects.stored import StoredStudySubject
from abx_amr.reports.subjects.study import StudySubject
from abx_amr.reports.subjects.subject import Subject

__all__ = [
    "PlanSubject",
    "RunSubject",
    "SetSubject",
    "StoredStudySubject",
    "StudySubject",
    "Subject",
]
