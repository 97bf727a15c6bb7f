"""An audit as the subject of a page: its points, and what could not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from abx_amr.reports.audit import AuditPoint, audit
from abx_amr.reports.audited import read_audited
from abx_amr.studies.storages import StudyStorage

PAGE = "audit.html"


@dataclass(frozen=True, kw_only=True)
class AuditSubject:
    """The audit of one study.

    Attributes:
        path: The study's folder.
        name: The study's.
        source: Where its trials were read.
        points: The audit.
        problems: What could not be read.
    """

    path: Path
    name: str
    source: str
    points: Sequence[AuditPoint]
    problems: list[str]

    @classmethod
    def of(
        cls, path: Path, *, storage: StudyStorage | None = None, name: str | None = None
    ) -> AuditSubject:
        """Return the audit of the study in a folder.

        Args:
            path: The study's folder.
            storage: Where its trials are; None: in the folder.
            name: The study's in that storage.

        Raises:
            InputError: the folder is none of a study, or the storage has no such study.
        """
        study = read_audited(path, storage=storage, name=name if storage is not None else None)
        return cls(
            path=path,
            name=study.name,
            source=study.source,
            points=audit(study),
            problems=list(study.problems),
        )

    @property
    def kind(self) -> str:
        """The page of an audit."""
        return "audit"

    @property
    def page_file(self) -> Path:
        """In the study's folder."""
        return self.path / PAGE

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The points."""
        return {"audit": pd.DataFrame([asdict(point) for point in self.points])}
