"""Studies found in a storage, whoever made them, and read as they are at this moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, did_you_mean
from abx_amr.studies.records import StudyAttributes, StudyRecord, TrialRecord

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from abx_amr.studies.search_space import SearchSpace
    from abx_amr.studies.storages import StudyStorage


def open_study(storage: StudyStorage, name: str) -> tuple[BaseStorage, int]:
    """Return Optuna's storage and the study's id.

    Raises:
        InputError: The study is not there.
    """
    if not storage.exists(name):
        raise InputError(f"study {name!r} does not exist in {storage.label}: start it first")
    backend = storage.open()
    return backend, backend.get_study_id_from_name(name)


def read_trials(backend: BaseStorage, study_id: int) -> list[TrialRecord]:
    """Return all trials of a study by number, sharing what the storage keeps in memory."""
    attributes = backend.get_study_user_attrs(study_id)
    return records_of(backend, study_id, space=_space_in(attributes))


def _space_in(user_attrs: Mapping[str, Any]) -> SearchSpace | None:
    """Return what a study of these attributes searches."""
    origin = StudyAttributes(user_attrs).origin
    return None if origin is None else origin.space


def records_of(
    backend: BaseStorage,
    study_id: int,
    *,
    space: SearchSpace | None,
    known: Mapping[int, TrialRecord] | None = None,
) -> list[TrialRecord]:
    """Return all trials of a study by number.

    Args:
        backend: Optuna's storage.
        study_id: The study's, there.
        space: What it searches.
        known: Trial id -> what was read of it before, returned for a trial that has not changed.
    """
    trials = backend.get_all_trials(study_id, deepcopy=False)
    return _records(trials, space=space, known=known)


def _records(
    trials: Iterable[FrozenTrial],
    *,
    space: SearchSpace | None,
    known: Mapping[int, TrialRecord] | None = None,
) -> list[TrialRecord]:
    """Return trials as records, those that were known and have not changed as they were."""
    before = known or {}
    records = []
    for frozen in trials:
        record = before.get(frozen._trial_id)
        is_same = record is not None and record.frozen is frozen
        records.append(record if record is not None and is_same else TrialRecord(frozen, space))
    return records


def read_study(storage: StudyStorage, name: str) -> StudyRecord:
    """Return the study of this name.

    Raises:
        InputError: there is none.
    """
    quiet_optuna()
    storage.check()
    if not storage.exists(name):
        names = storage.names()
        holds = f" (it holds {', '.join(names)})" if names else " (it holds none)"
        raise InputError(
            f"study '{name}' does not exist in {storage.label}{did_you_mean(name, names)}{holds}"
        )
    backend = storage.open()
    study_id = backend.get_study_id_from_name(name)
    return StudyRecord(
        name=backend.get_study_name_from_id(study_id),
        label=storage.label,
        direction=backend.get_study_directions(study_id)[0].name.lower(),
        user_attrs=backend.get_study_user_attrs(study_id),
        system_attrs=backend.get_study_system_attrs(study_id),
        trials=read_trials(backend, study_id),
    )


def read_studies(storage: StudyStorage) -> list[StudyRecord]:
    """Return all studies of a storage, oldest first."""
    quiet_optuna()
    storage.check()
    return [
        StudyRecord(
            name=study.study_name,
            label=storage.label,
            direction=study.directions[0].name.lower(),
            user_attrs=study.user_attrs,
            system_attrs=study.system_attrs,
            trials=_records(trials, space=_space_in(study.user_attrs)),
        )
        for study, trials in storage.whole_studies()
    ]


def quiet_optuna() -> None:
    """Keep Optuna's one line per trial out of the output: the events say it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
