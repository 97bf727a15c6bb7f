"""Optuna's relational storage, which reads and writes trials with few statements.

The rows are those that Optuna's own writes, and either reads the other's. Its own asks anew for
every parameter and attribute; inside the critical section all other workers wait for each such
exchange.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from abx_amr.studies.changes import TrialChanges
from abx_amr.studies.storages.trial_rows import (
    copy_of,
    detail_rows,
    insert,
    insert_in_one_exchange,
    read,
    to_utc,
)
from abx_amr.studies.storages.trial_statements import (
    FINISHED,
    STUDY_USER_ATTRS,
    changing_trials,
    ending,
    locked_state,
    locked_study,
    one_trial,
    study_named,
    study_of_id,
    upsert,
)

#: Versions of the tables that were found to be those of this Optuna.
_COMPATIBLE: set[str] = set()


class TrialTables(RDBStorage):
    """Optuna's relational storage for SQLite and PostgreSQL."""

    def __init__(self, url: str, **keywords: Any) -> None:
        """Take what Optuna's takes.

        Raises:
            RuntimeError: The tables are of another version of Optuna. Which is this one's is found
                once in a process: Optuna runs all its migrations for that.
        """
        super().__init__(url, skip_compatibility_check=True, **keywords)
        version = self.get_current_version()
        if version not in _COMPATIBLE:
            self._version_manager.check_table_schema_compatibility()
            _COMPATIBLE.add(version)
        self._names: dict[int, str] = {}  # of the studies that were asked for by name

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in a transaction: the one that this thread is in, where it is in one.

        In the critical section no savepoint is set: what is refused is found before anything is
        written.
        """
        session = self.scoped_session() if self.scoped_session.registry.has() else None
        if session is not None and session.in_transaction():  # Optuna's own work asks for more
            yield session.connection()
        elif session is not None and isinstance(session.bind, Connection):  # the section
            yield session.bind
        else:
            with self.engine.begin() as connection:
                yield connection

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of the study of this name; a KeyError where there is none."""
        with self.transaction() as connection:
            found = connection.execute(study_named(), {"name": study_name}).scalar()
        if found is None:
            raise KeyError(models.NOT_FOUND_MSG)
        self._names[found] = study_name
        return int(found)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial; a KeyError where there is none."""
        with self.transaction() as connection:
            found = read(connection, connection.execute(one_trial(), {"trial": trial_id}).all())
        if not found:
            raise KeyError(models.NOT_FOUND_MSG)
        return found[0]

    def write_trial(self, trial_id: int, changes: TrialChanges) -> None:
        """Write changes of a trial, all of them or none.

        Raises:
            UpdateFinishedTrialError: It is finished.
            KeyError: There is no such trial.
        """
        with self.transaction() as connection:
            self._lock_unfinished(connection, trial_id, changes.state)
            for table, keys, rows in detail_rows(
                trial_id,
                user_attrs=changes.user_attrs,
                system_attrs=changes.system_attrs,
                intermediate_values=changes.intermediate_values,
                values=changes.values,
            ):
                statement = upsert(table, keys, tuple(rows[0]), self.engine.name)
                connection.execute(statement, rows)

    def write_study(self, study_id: int, user_attrs: Mapping[str, Any]) -> None:
        """Write attributes of a study, all of them or none.

        Raises:
            KeyError: There is no such study.
        """
        rows = [
            {"study_id": study_id, "key": name, "value_json": json.dumps(value)}
            for name, value in user_attrs.items()
        ]
        with self.transaction() as connection:
            if connection.execute(study_of_id(), {"study": study_id}).scalar() is None:
                raise KeyError(models.NOT_FOUND_MSG)
            keys = ("study_id", "key")
            statement = upsert(STUDY_USER_ATTRS, keys, tuple(rows[0]), self.engine.name)
            connection.execute(statement, rows)

    def _lock_unfinished(
        self, connection: Connection, trial_id: int, state: TrialState | None
    ) -> None:
        """Hold the row of a trial that is not finished, and write a new state on it."""
        if state is None:
            locked = connection.execute(locked_state(), {"trial": trial_id}).scalar()
            if locked is not None and locked not in FINISHED:
                return
        else:
            assert state.is_finished()
            ended = {"id": trial_id, "to": state, "ended": to_utc(datetime.now())}
            if connection.execute(ending(), ended).rowcount:
                return
            locked = connection.execute(locked_state(), {"trial": trial_id}).scalar()
        if locked is None:
            raise KeyError(models.NOT_FOUND_MSG)
        raise UpdateFinishedTrialError(f"the trial of id {trial_id} has finished")

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        """Store a trial as it is given; without one, what Optuna begins."""
        if template_trial is None:
            return super()._create_new_trial(study_id)
        trial = copy_of(template_trial)
        with self.transaction() as connection:
            # Optuna counts under the same lock, so that every number is given once.
            if connection.execute(locked_study(), {"study": study_id}).scalar() is None:
                raise KeyError(models.NOT_FOUND_MSG)
            if self.engine.name == "postgresql":
                insert_in_one_exchange(connection, study_id, trial)
            else:
                insert(connection, study_id, trial)
        return trial

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return the trials that may have changed: those that are named, and later ones.

        Raises:
            KeyError: The study was deleted; also where another has its number now.
        """
        which = {
            "study": study_id,
            "after": trial_id_greater_than,
            "named": sorted(i for i in included_trial_ids if i <= trial_id_greater_than),
        }
        with self.transaction() as connection:
            rows = connection.execute(changing_trials(), which).all()
            if not rows or rows[0].study_name != self._names.get(study_id, rows[0].study_name):
                raise KeyError(models.NOT_FOUND_MSG)
            found = read(connection, [row for row in rows if row.trial_id is not None])
        return [trial for trial in found if states is None or trial.state in states]


class CachedTrials(_CachedStorage):
    """What Optuna remembers of a relational storage: trials that are finished do not change."""

    _backend: TrialTables

    def write_trial(self, trial_id: int, changes: TrialChanges) -> None:
        """Write changes of a trial (see TrialTables)."""
        self._backend.write_trial(trial_id, changes)

    def write_study(self, study_id: int, user_attrs: Mapping[str, Any]) -> None:
        """Write attributes of a study (see TrialTables)."""
        self._backend.write_study(study_id, user_attrs)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Store a trial; a ValueError where others drew a parameter of its from another range."""
        with self._lock:
            known = self._studies[study_id].trials.values() if study_id in self._studies else ()
            for name, range_ in (template_trial.distributions if template_trial else {}).items():
                before = next((t.distributions[name] for t in known if name in t.params), None)
                if before is not None:
                    check_distribution_compatibility(before, range_)
        return super().create_new_trial(study_id, template_trial)

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """Return a trial's number in its study, which never changes."""
        with self._lock:
            known = self._trial_id_to_study_id_and_number.get(trial_id)
        return super().get_trial_number_from_id(trial_id) if known is None else known[1]
