"""The studies of an SQLite file with their trials, read without opening it to work in.

Opening it takes a lock, Optuna's checks and an engine of its own: of many files that is most of the
time. Here all files share one engine, and each is read in one transaction, which holds nobody off.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Row

from abx_amr.studies.storages.trial_rows import read
from abx_amr.studies.storages.trial_statements import (
    all_studies,
    attributes_of_studies,
    changing_trials,
    directions_of_studies,
    version_of_tables,
)

_BUSY_TIMEOUT_SECONDS = 60
#: What a damaged file, or one of other tables, makes of the statements here.
UNREADABLE = (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, LookupError, TypeError, ValueError)


def whole_studies(
    file: Path, *, schema: int, revision: str
) -> list[tuple[FrozenStudy, list[FrozenTrial]]] | None:
    """Return all studies with their trials, oldest first; None where the tables are others.

    Args:
        file: The database, which exists.
        schema: Optuna's version of its tables.
        revision: And that of its migrations.

    Raises:
        Exception: one of `UNREADABLE`, where the file cannot be read.
    """
    with _files().reading(file) as connection:
        versions = connection.execute(version_of_tables()).all()
        if [tuple(row) for row in versions] != [(schema, revision)]:
            return None
        return [(study, _trials_of(study, connection)) for study in _studies(connection)]


def _studies(connection: Connection) -> list[FrozenStudy]:
    directions, user_attrs, system_attrs = (
        connection.execute(statement).all()
        for statement in (directions_of_studies(), *attributes_of_studies())
    )
    return [
        FrozenStudy(
            study_name=study.study_name,
            direction=None,
            directions=[row.direction for row in directions if row.study_id == study.study_id],
            user_attrs=_attributes(user_attrs, study.study_id),
            system_attrs=_attributes(system_attrs, study.study_id),
            study_id=study.study_id,
        )
        for study in connection.execute(all_studies())
    ]


def _attributes(rows: Sequence[Row[Any]], study_id: int) -> dict[str, Any]:
    return {row.key: json.loads(row.value_json) for row in rows if row.study_id == study_id}


def _trials_of(study: FrozenStudy, connection: Connection) -> list[FrozenTrial]:
    which = {"study": study._study_id, "after": -1, "named": []}
    rows = connection.execute(changing_trials(), which).all()
    found = read(connection, [row for row in rows if row.trial_id is not None])
    return sorted(found, key=lambda trial: trial.number)


class _Files:
    """One engine for all files: what it compiles for the first serves the others."""

    def __init__(self) -> None:
        self._reading = threading.local()
        self._engine = sqlalchemy.create_engine(
            "sqlite://", creator=self._connect, poolclass=sqlalchemy.NullPool
        )

    @contextmanager
    def reading(self, file: Path) -> Iterator[Connection]:
        """Give a connection to a file, as it is at this moment."""
        self._reading.file = file
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def _connect(self) -> sqlite3.Connection:
        """Open the file that this thread reads; one that is gone is not made."""
        uri = f"file:{quote(str(self._reading.file))}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None)


@functools.cache
def _files() -> _Files:
    return _Files()
