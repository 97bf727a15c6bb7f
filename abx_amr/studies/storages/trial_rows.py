"""Trials as rows of Optuna's tables, and back."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Table

from abx_amr.studies.storages.trial_statements import (
    INTERMEDIATE_VALUES,
    NEW_TRIAL,
    PARAMS,
    SYSTEM_ATTRS,
    TRIALS,
    USER_ATTRS,
    VALUES,
    all_details,
    n_trials,
)

#: Trials whose details are asked for with one statement.
TRIALS_AT_ONCE = 500


def insert(connection: Connection, study_id: int, trial: FrozenTrial) -> None:
    """Store a trial table by table, and give it its id and its number."""
    trial.number = connection.execute(n_trials(), {"study": study_id}).scalar_one()
    row = {"number": trial.number, **_trial_row(study_id, trial)}
    [trial._trial_id] = connection.execute(TRIALS.insert(), row).inserted_primary_key  # type: ignore[misc]
    params = [{"trial_id": trial._trial_id, **row} for row in _param_rows(trial)]
    if params:
        connection.execute(PARAMS.insert(), params)
    for table, _, rows in detail_rows(
        trial._trial_id,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
        values=trial.values,
    ):
        connection.execute(table.insert(), rows)


def insert_in_one_exchange(connection: Connection, study_id: int, trial: FrozenTrial) -> None:
    """Store a trial in PostgreSQL, and give it its id and its number."""
    attributes = {"user_attrs": trial.user_attrs, "system_attrs": trial.system_attrs}
    stored = {
        name: json.dumps([{"key": key, "value_json": json.dumps(v)} for key, v in values.items()])
        for name, values in attributes.items()
    }
    row = {**_trial_row(study_id, trial), **stored, "params": json.dumps(_param_rows(trial))}
    row["state"] = trial.state.name
    trial._trial_id, trial.number = connection.execute(NEW_TRIAL, row).one()
    for table, _, rows in detail_rows(
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
        "datetime_start": to_utc(trial.datetime_start),
        "datetime_complete": to_utc(trial.datetime_complete),
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


def detail_rows(
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


def read(connection: Connection, rows: Sequence[Any]) -> list[FrozenTrial]:
    """Return the trials of these rows, in their order."""
    details = {row.trial_id: _Details() for row in rows}
    ids = [*details]
    for first in range(0, len(ids), TRIALS_AT_ONCE):
        named = {"ids": ids[first : first + TRIALS_AT_ONCE]}
        for trial_id, kind, _, key, text, number in connection.execute(all_details(), named).all():
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


def copy_of(trial: FrozenTrial) -> FrozenTrial:
    """Return the same trial in containers of its own."""
    copied = copy.copy(trial)
    copied.values = None if trial.values is None else [*trial.values]
    for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        setattr(copied, name, dict(getattr(trial, name)))
    return copied


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """Return what a JSON text describes; all trials of a study repeat the same few."""
    return json_to_distribution(text)


def to_utc(moment: datetime | None) -> datetime | None:
    """Return a local time as it is stored: in UTC, without a zone."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _to_local(moment: datetime | None) -> datetime | None:
    """Return a stored time as local time, without a zone."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
