"""Optuna's tables of trials, read and written with few statements.

The rows are those that Optuna's own relational storage writes, and either reads the other's. Its
own asks anew for every parameter and attribute; inside the critical section all other workers wait
for each such exchange.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    distribution_to_json,
    json_to_distribution,
)
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from abx_amr.studies.changes import TrialChanges

STUDIES: Table = models.StudyModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: Table = models.TrialSystemAttributeModel.__table__
VALUES: Table = models.TrialValueModel.__table__
INTERMEDIATE_VALUES: Table = models.TrialIntermediateValueModel.__table__

FINISHED = tuple(state for state in TrialState if state.is_finished())
#: Trials whose details are asked for with one statement.
TRIALS_AT_ONCE = 500


class TrialTables(RDBStorage):
    """Optuna's relational storage for SQLite and PostgreSQL."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Take what Optuna's takes."""
        super().__init__(*arguments, **keywords)
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
            found = connection.execute(_study_named(), {"name": study_name}).scalar()
        if found is None:
            raise KeyError(models.NOT_FOUND_MSG)
        self._names[found] = study_name
        return int(found)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial; a KeyError where there is none."""
        with self.transaction() as connection:
            found = _read(connection, connection.execute(_one_trial(), {"trial": trial_id}).all())
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
            for table, keys, rows in _detail_rows(
                trial_id,
                user_attrs=changes.user_attrs,
                system_attrs=changes.system_attrs,
                intermediate_values=changes.intermediate_values,
                values=changes.values,
            ):
                upsert = _upsert(table, keys, tuple(rows[0]), self.engine.name)
                connection.execute(upsert, rows)

    def _lock_unfinished(
        self, connection: Connection, trial_id: int, state: TrialState | None
    ) -> None:
        """Hold the row of a trial that is not finished, and write a new state on it."""
        if state is None:
            locked = connection.execute(_locked_state(), {"trial": trial_id}).scalar()
            if locked is not None and locked not in FINISHED:
                return
        else:
            assert state.is_finished()
            ended = {"id": trial_id, "to": state, "ended": _to_utc(datetime.now())}
            if connection.execute(_ending(), ended).rowcount:
                return
            locked = connection.execute(_locked_state(), {"trial": trial_id}).scalar()
        if locked is None:
            raise KeyError(models.NOT_FOUND_MSG)
        raise UpdateFinishedTrialError(f"the trial of id {trial_id} has finished")

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        """Store a trial as it is given; without one, what Optuna begins."""
        if template_trial is None:
            return super()._create_new_trial(study_id)
        trial = FrozenTrial(**_fields(template_trial))
        with self.transaction() as connection:
            # Optuna counts under the same lock, so that every number is given once.
            if connection.execute(_locked_study(), {"study": study_id}).scalar() is None:
                raise KeyError(models.NOT_FOUND_MSG)
            if self.engine.name == "postgresql":
                _insert_in_one_exchange(connection, study_id, trial)
            else:
                _insert(connection, study_id, trial)
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
            rows = connection.execute(_changing_trials(), which).all()
            if not rows or rows[0].study_name != self._names.get(study_id, rows[0].study_name):
                raise KeyError(models.NOT_FOUND_MSG)
            found = _read(connection, [row for row in rows if row.trial_id is not None])
        return [trial for trial in found if states is None or trial.state in states]


class CachedTrials(_CachedStorage):
    """What Optuna remembers of a relational storage: trials that are finished do not change."""

    _backend: TrialTables

    def write_trial(self, trial_id: int, changes: TrialChanges) -> None:
        """Write changes of a trial (see TrialTables)."""
        self._backend.write_trial(trial_id, changes)

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


# -- a new trial ------------------------------------------------------------------------------


def _insert(connection: Connection, study_id: int, trial: FrozenTrial) -> None:
    """Store a trial table by table, and give it its id and its number."""
    trial.number = connection.execute(_n_trials(), {"study": study_id}).scalar_one()
    row = {"number": trial.number, **_trial_row(study_id, trial)}
    [trial._trial_id] = connection.execute(TRIALS.insert(), row).inserted_primary_key  # type: ignore[misc]
    params = [{"trial_id": trial._trial_id, **row} for row in _param_rows(trial)]
    if params:
        connection.execute(PARAMS.insert(), params)
    for table, _, rows in _detail_rows(
        trial._trial_id,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
        values=trial.values,
    ):
        connection.execute(table.insert(), rows)


def _insert_in_one_exchange(connection: Connection, study_id: int, trial: FrozenTrial) -> None:
    """Store a trial in PostgreSQL, and give it its id and its number."""
    attributes = {"user_attrs": trial.user_attrs, "system_attrs": trial.system_attrs}
    stored = {
        name: json.dumps([{"key": key, "value_json": json.dumps(v)} for key, v in values.items()])
        for name, values in attributes.items()
    }
    row = {**_trial_row(study_id, trial), **stored, "params": json.dumps(_param_rows(trial))}
    row["state"] = trial.state.name
    trial._trial_id, trial.number = connection.execute(_NEW_TRIAL, row).one()
    for table, _, rows in _detail_rows(
        trial._trial_id,
        user_attrs={},
        system_attrs={},
        intermediate_values=trial.intermediate_values,
        values=trial.values,
    ):
        connection.execute(table.insert(), rows)


def _trial_row(study_id: int, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "study_id": study_id,
        "state": trial.state,
        "datetime_start": _to_utc(trial.datetime_start),
        "datetime_complete": _to_utc(trial.datetime_complete),
    }


def _param_rows(trial: FrozenTrial) -> list[dict[str, Any]]:
    return [
        {
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, distribution in trial.distributions.items()
    ]


#: Only what is stored itself is counted: the statement does not see its own rows.
_NEW_TRIAL = sqlalchemy.text(
    """
    WITH trial AS (
        INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
        SELECT :study_id, (SELECT count(*) FROM trials WHERE study_id = :study_id),
            CAST(:state AS trialstate), :datetime_start, :datetime_complete
        RETURNING trial_id, number
    ), params AS (
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
        SELECT trial_id, row.* FROM trial, json_to_recordset(CAST(:params AS json))
            AS row(param_name text, param_value double precision, distribution_json text)
    ), user_attrs AS (
        INSERT INTO trial_user_attributes (trial_id, key, value_json)
        SELECT trial_id, row.* FROM trial, json_to_recordset(CAST(:user_attrs AS json))
            AS row(key text, value_json text)
    ), system_attrs AS (
        INSERT INTO trial_system_attributes (trial_id, key, value_json)
        SELECT trial_id, row.* FROM trial, json_to_recordset(CAST(:system_attrs AS json))
            AS row(key text, value_json text)
    )
    SELECT trial_id, number FROM trial
    """
).bindparams(
    bindparam("datetime_start", type_=sqlalchemy.DateTime),
    bindparam("datetime_complete", type_=sqlalchemy.DateTime),
)


# -- rows -------------------------------------------------------------------------------------


def _detail_rows(
    trial_id: int,
    *,
    user_attrs: Mapping[str, Any],
    system_attrs: Mapping[str, Any],
    intermediate_values: Mapping[int, float],
    values: Sequence[float] | None,
) -> Iterator[tuple[Table, tuple[str, str], list[dict[str, Any]]]]:
    """Yield table, key columns and rows of what is stored beside a trial, where there is any."""
    for table, attributes in ((USER_ATTRS, user_attrs), (SYSTEM_ATTRS, system_attrs)):
        rows = [
            {"trial_id": trial_id, "key": name, "value_json": json.dumps(value)}
            for name, value in attributes.items()
        ]
        if rows:
            yield table, ("trial_id", "key"), rows
    rows = []
    for step, value in intermediate_values.items():
        rows.append({"trial_id": trial_id, "step": step, **_intermediate_value(value)})
    if rows:
        yield INTERMEDIATE_VALUES, ("trial_id", "step"), rows
    rows = []
    for objective, value in enumerate(values or ()):
        rows.append({"trial_id": trial_id, "objective": objective, **_value(value)})
    if rows:
        yield VALUES, ("trial_id", "objective"), rows


def _value(value: float) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"value": stored, "value_type": kind}


def _intermediate_value(value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"intermediate_value": stored, "intermediate_value_type": kind}


@dataclass
class _Details:
    """What is stored of one trial outside its own row."""

    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    values: dict[int, float] = field(default_factory=dict)
    intermediate_values: dict[int, float] = field(default_factory=dict)

    def add(self, kind: str, key: str, text: str, number: float | None) -> None:
        """Take what one row holds."""
        if kind == PARAMS.name:
            assert number is not None
            distribution = self.distributions[key] = _distribution(text)
            self.params[key] = distribution.to_external_repr(number)
        elif kind == USER_ATTRS.name:
            self.user_attrs[key] = json.loads(text)
        elif kind == SYSTEM_ATTRS.name:
            self.system_attrs[key] = json.loads(text)
        elif kind == VALUES.name:
            value_kind = models.TrialValueModel.TrialValueType[text]
            value = models.TrialValueModel.stored_repr_to_value(number, value_kind)
            self.values[int(key)] = value
        else:
            model = models.TrialIntermediateValueModel
            step_kind = model.TrialIntermediateValueType[text]
            value = model.stored_repr_to_intermediate_value(number, step_kind)
            self.intermediate_values[int(key)] = value


def _read(connection: Connection, rows: Sequence[Any]) -> list[FrozenTrial]:
    """Return the trials of these rows, in their order."""
    details = {row.trial_id: _Details() for row in rows}
    ids = [*details]
    for first in range(0, len(ids), TRIALS_AT_ONCE):
        named = {"ids": ids[first : first + TRIALS_AT_ONCE]}
        for trial_id, kind, _, key, text, number in connection.execute(_all_details(), named):
            details[trial_id].add(kind, key, text, number)
    return [_frozen(row, details[row.trial_id]) for row in rows]


def _frozen(row: Any, details: _Details) -> FrozenTrial:
    return FrozenTrial(
        trial_id=row.trial_id,
        number=row.number,
        state=row.state,
        value=None,
        values=[details.values[i] for i in sorted(details.values)] or None,
        datetime_start=_to_local(row.datetime_start),
        datetime_complete=_to_local(row.datetime_complete),
        params=details.params,
        distributions=details.distributions,
        user_attrs=details.user_attrs,
        system_attrs=details.system_attrs,
        intermediate_values=details.intermediate_values,
    )


def _fields(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial is made of, in containers of their own."""
    return {
        "trial_id": trial._trial_id,
        "number": trial.number,
        "state": trial.state,
        "value": None,
        "values": None if trial.values is None else [*trial.values],
        "datetime_start": trial.datetime_start,
        "datetime_complete": trial.datetime_complete,
        "params": dict(trial.params),
        "distributions": dict(trial.distributions),
        "user_attrs": dict(trial.user_attrs),
        "system_attrs": dict(trial.system_attrs),
        "intermediate_values": dict(trial.intermediate_values),
    }


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """Return what a JSON text describes; all trials of a study repeat the same few."""
    return json_to_distribution(text)


def _to_utc(moment: datetime | None) -> datetime | None:
    """Return a local time as it is stored: in UTC, without a zone."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _to_local(moment: datetime | None) -> datetime | None:
    """Return a stored time as local time, without a zone."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


# -- statements, each built once --------------------------------------------------------------


@functools.cache
def _changing_trials() -> sqlalchemy.Select[Any]:
    """Select trials of :study, those after the id :after and the :named ones.

    One row without a trial where there is none, no row where there is no study.
    """
    changing = sqlalchemy.or_(
        TRIALS.c.trial_id > bindparam("after"),
        TRIALS.c.trial_id.in_(bindparam("named", expanding=True, literal_execute=True)),
    )
    here = sqlalchemy.and_(TRIALS.c.study_id == STUDIES.c.study_id, changing)
    return (
        sqlalchemy.select(STUDIES.c.study_name, TRIALS)
        .select_from(STUDIES.outerjoin(TRIALS, here))
        .where(STUDIES.c.study_id == bindparam("study"))
        .order_by(TRIALS.c.trial_id)
    )


@functools.cache
def _one_trial() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(TRIALS).where(TRIALS.c.trial_id == bindparam("trial"))


@functools.cache
def _all_details() -> sqlalchemy.CompoundSelect[Any]:
    """Select trial, table, row, key, text and number of what lies beside the trials of :ids."""

    def text_of(column: sqlalchemy.ColumnElement[Any]) -> sqlalchemy.ColumnElement[str]:
        return sqlalchemy.cast(column, sqlalchemy.Text)

    no_number = sqlalchemy.cast(sqlalchemy.null(), sqlalchemy.Float(53))
    parts = [
        (PARAMS, "param_id", PARAMS.c.param_name, "distribution_json", PARAMS.c.param_value),
        (USER_ATTRS, "trial_user_attribute_id", USER_ATTRS.c.key, "value_json", no_number),
        (SYSTEM_ATTRS, "trial_system_attribute_id", SYSTEM_ATTRS.c.key, "value_json", no_number),
        (VALUES, "trial_value_id", text_of(VALUES.c.objective), "value_type", VALUES.c.value),
        (
            INTERMEDIATE_VALUES,
            "trial_intermediate_value_id",
            text_of(INTERMEDIATE_VALUES.c.step),
            "intermediate_value_type",
            INTERMEDIATE_VALUES.c.intermediate_value,
        ),
    ]
    wanted: sqlalchemy.BindParameter[int] = bindparam("ids", expanding=True, literal_execute=True)
    selects = [
        sqlalchemy.select(
            table.c.trial_id,
            sqlalchemy.literal_column(f"'{table.name}'").label("kind"),
            table.c[row].label("row_id"),
            text_of(key).label("key"),
            text_of(table.c[text]).label("text"),
            number.label("number"),
        ).where(table.c.trial_id.in_(wanted))
        for table, row, key, text, number in parts
    ]
    return sqlalchemy.union_all(*selects).order_by("row_id")


@functools.cache
def _upsert(
    table: Table, keys: tuple[str, ...], columns: tuple[str, ...], dialect: str
) -> sqlalchemy.Insert:
    """Insert rows, in place of those with the same keys."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    update = {name: insert.excluded[name] for name in columns if name not in keys}
    written: sqlalchemy.Insert = insert.on_conflict_do_update(index_elements=keys, set_=update)
    return written


@functools.cache
def _study() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_id == bindparam("study"))


@functools.cache
def _study_named() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_name == bindparam("name"))


@functools.cache
def _locked_study() -> sqlalchemy.Select[Any]:
    return _study().with_for_update()


@functools.cache
def _n_trials() -> sqlalchemy.Select[Any]:
    count = sqlalchemy.func.count(TRIALS.c.trial_id)
    return sqlalchemy.select(count).where(TRIALS.c.study_id == bindparam("study"))


@functools.cache
def _locked_state() -> sqlalchemy.Select[Any]:
    found = sqlalchemy.select(TRIALS.c.state).where(TRIALS.c.trial_id == bindparam("trial"))
    return found.with_for_update()


@functools.cache
def _ending() -> sqlalchemy.Update:
    """Write state :to and its time :ended on trial :id unless it is finished."""
    unfinished = TRIALS.c.state.not_in(FINISHED)
    return (
        TRIALS.update()
        .where(TRIALS.c.trial_id == bindparam("id"), unfinished)
        .values(state=bindparam("to"), datetime_complete=bindparam("ended"))
    )
