"""The statements with which trials are read and written in Optuna's tables, each built once."""

from __future__ import annotations

import functools
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

STUDIES: Table = models.StudyModel.__table__
DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER_ATTRS: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRS: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: Table = models.TrialSystemAttributeModel.__table__
VALUES: Table = models.TrialValueModel.__table__
INTERMEDIATE_VALUES: Table = models.TrialIntermediateValueModel.__table__

FINISHED = tuple(state for state in TrialState if state.is_finished())
#: Trials whose details are asked for with one statement.
TRIALS_AT_ONCE = 500


@functools.cache
def version_of_tables() -> sqlalchemy.TextClause:
    """Select Optuna's versions of its tables and of its migrations."""
    return sqlalchemy.text("SELECT schema_version, version_num FROM version_info, alembic_version")


@functools.cache
def all_studies() -> sqlalchemy.Select[Any]:
    """Select id and name of all studies, the oldest first."""
    found = sqlalchemy.select(STUDIES.c.study_id, STUDIES.c.study_name)
    return found.order_by(STUDIES.c.study_id)


@functools.cache
def directions_of_studies() -> sqlalchemy.Select[Any]:
    """Select study and direction of every objective of all studies."""
    found = sqlalchemy.select(DIRECTIONS.c.study_id, DIRECTIONS.c.direction)
    return found.order_by(DIRECTIONS.c.study_direction_id)


@functools.cache
def attributes_of_studies() -> tuple[sqlalchemy.Select[Any], sqlalchemy.Select[Any]]:
    """Select study, key and JSON of the attributes of all studies: their users', the system's."""
    users, system = (
        sqlalchemy.select(table.c.study_id, table.c.key, table.c.value_json).order_by(table.c[row])
        for table, row in (
            (STUDY_USER_ATTRS, "study_user_attribute_id"),
            (STUDY_SYSTEM_ATTRS, "study_system_attribute_id"),
        )
    )
    return users, system


@functools.cache
def changing_trials() -> sqlalchemy.Select[Any]:
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
def one_trial() -> sqlalchemy.Select[Any]:
    """Select trial :trial."""
    return sqlalchemy.select(TRIALS).where(TRIALS.c.trial_id == bindparam("trial"))


@functools.cache
def all_details() -> sqlalchemy.CompoundSelect[Any]:
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
def upsert(
    table: Table, keys: tuple[str, ...], columns: tuple[str, ...], dialect: str
) -> sqlalchemy.Insert:
    """Insert rows, in place of those with the same keys."""
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    update = {name: insert.excluded[name] for name in columns if name not in keys}
    written: sqlalchemy.Insert = insert.on_conflict_do_update(index_elements=keys, set_=update)
    return written


@functools.cache
def study_named() -> sqlalchemy.Select[Any]:
    """Select the id of the study called :name."""
    return sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_name == bindparam("name"))


@functools.cache
def study_of_id() -> sqlalchemy.Select[Any]:
    """Select :study where there is one."""
    return sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_id == bindparam("study"))


@functools.cache
def locked_study() -> sqlalchemy.Select[Any]:
    """Select :study, and hold off others that would give a number to a new trial of it."""
    return study_of_id().with_for_update()


@functools.cache
def n_trials() -> sqlalchemy.Select[Any]:
    """Count the trials of :study."""
    count = sqlalchemy.func.count(TRIALS.c.trial_id)
    return sqlalchemy.select(count).where(TRIALS.c.study_id == bindparam("study"))


@functools.cache
def locked_state() -> sqlalchemy.Select[Any]:
    """Select the state of trial :trial, and hold off others that would change it."""
    found = sqlalchemy.select(TRIALS.c.state).where(TRIALS.c.trial_id == bindparam("trial"))
    return found.with_for_update()


@functools.cache
def ending() -> sqlalchemy.Update:
    """Write state :to and its time :ended on trial :id unless it is finished."""
    unfinished = TRIALS.c.state.not_in(FINISHED)
    return (
        TRIALS.update()
        .where(TRIALS.c.trial_id == bindparam("id"), unfinished)
        .values(state=bindparam("to"), datetime_complete=bindparam("ended"))
    )


#: Only what is stored itself is counted: the statement does not see its own rows.
NEW_TRIAL = sqlalchemy.text(
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
