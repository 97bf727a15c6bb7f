"""A study's beginning: it is created, or joined where its settings are the same."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.errors import InputError, counted
from abx_amr.studies.agreement import check_settings
from abx_amr.studies.final import standing
from abx_amr.studies.first_points import first_points, log_first_points
from abx_amr.studies.progress import progress_of
from abx_amr.studies.records import FinalAttributes, FinalSize, Origin, StudyAttributes
from abx_amr.studies.records.finals import write_final_size
from abx_amr.studies.records.races import write_rules
from abx_amr.studies.records.writing import (
    write_budget,
    write_failures_counted_from,
    write_origin,
)
from abx_amr.studies.registry import is_registered, unregister
from abx_amr.studies.samplers import log_what_is_drawn_at_random
from abx_amr.studies.snapshots import has_snapshots, study_of_snapshots, write_snapshots
from abx_amr.studies.stored import open_study, quiet_optuna, read_trials

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

log = logging.getLogger(__name__)


class Preparation(Enum):
    """What `prepare_study` found."""

    CREATED = "created"
    JOINED = "joined"
    FINISHED = "finished"
    SKIPPED = "skipped"


def prepare_study(settings: StudySettings, storage: StudyStorage) -> Preparation:
    """Create the study or join the one there is; every check comes before anything is written.

    Raises:
        InputError: 'Configuration Mismatch Detected' lists the settings that differ from the
            study's own; others say what else does not go.
    """
    if settings.skip_if_exists and is_registered(settings):
        return Preparation.SKIPPED
    refuse_overwriting(settings, storage)
    storage.check()
    quiet_optuna()
    with storage.explained(), storage.critical_section():
        if settings.overwrite_existing_study and storage.exists(settings.study_name):
            _refuse_while_at_work(settings, storage)
            storage.delete(settings.study_name)
            _clear_folder(settings)
        if storage.exists(settings.study_name):
            return _join(settings, storage)
        _create(settings, storage)
        return Preparation.CREATED


def refuse_overwriting(settings: StudySettings, storage: StudyStorage) -> None:
    """Refuse to delete a study that others may be working on; the storage need not be reachable.

    Raises:
        InputError: it is asked for in such a storage.
    """
    if settings.overwrite_existing_study and not storage.can_overwrite:
        raise InputError(
            f"overwrite_existing_study=true is refused with {storage.label}, where other workers "
            f"may be running: use `abx-study delete {settings.study_name} storage=postgres` first"
        )


def _create(settings: StudySettings, storage: StudyStorage) -> None:
    from optuna.study import StudyDirection

    backend = storage.open()
    others = [study.study_name for study in backend.get_all_studies()]
    if (owner := _whose_folder(settings, storage, others)) is not None:
        was_renamed = settings.study_name == settings.run_name
        raise InputError(
            f"{settings.folder} holds the study {owner!r} and none called {settings.study_name!r}"
            f"{': it was renamed or copied' if was_renamed else ''}; add study_name={owner} to go "
            "on with it, or choose another run_name"
        )
    if others:
        log.warning(
            "study %r is new, this study has one worker; %s already holds %s: workers that share a "
            "study need the same study_name",
            settings.study_name,
            storage.label,
            ", ".join(repr(name) for name in others),
        )
    _set_aside(settings)
    write_snapshots(settings)
    direction = StudyDirection[settings.direction.upper()]
    study_id = backend.create_new_study([direction], settings.study_name)
    write_origin(backend, study_id, _origin_of_new(settings, created=datetime.now()))
    write_budget(backend, study_id, settings.budget)
    if settings.race is not None:
        write_rules(backend, study_id, settings.race)
    write_final_size(backend, study_id, settings.final)
    log_what_is_drawn_at_random(settings.sampler, settings.space)
    log_first_points(settings)


def _whose_folder(
    settings: StudySettings, storage: StudyStorage, others: Sequence[str]
) -> str | None:
    """Return which other study of the storage has the folder, None where it is free.

    Two studies in one folder would write over each other's trials and best parameters.
    """
    named = study_of_snapshots(settings.files)
    if named in others:
        return named
    file = getattr(storage, "path", None)
    lies_in_folder = isinstance(file, Path) and file.parent == settings.folder.absolute()
    return others[0] if others and lies_in_folder else None


def _join(settings: StudySettings, storage: StudyStorage) -> Preparation:
    backend, study_id = open_study(storage, settings.study_name)
    trials = read_trials(backend, study_id)
    progress = progress_of(settings, trials)
    origin = StudyAttributes(backend.get_study_user_attrs(study_id)).origin
    if origin is None and trials:
        raise InputError(
            f"study {settings.study_name!r} in {storage.label} holds "
            f"{counted(len(trials), 'trial')} made by something else: use another study_name"
        )
    here = _origin(settings)
    if origin is None:  # created by hand or by a process that died right after: ours to define
        origin = _origin_of_new(settings)
        write_origin(backend, study_id, origin)
    check_settings(settings, storage)
    if settings.race is None and progress.n_done > progress.budget:
        raise InputError(
            f"study {settings.study_name!r} has {counted(progress.n_done, 'finished trial')}, more "
            f"than tuning.n_trials={settings.budget}: say tuning.n_trials={progress.n_done} for "
            "its result (more go on with it), or choose another run_name"
        )
    is_searched = progress.is_over
    if origin.optuna != here.optuna:
        log.warning(
            "study %r was created with Optuna %s, this is %s: times and samplers may differ",
            settings.study_name,
            origin.optuna,
            here.optuna,
        )
    if not has_snapshots(settings):
        write_snapshots(settings)
    final = FinalAttributes(backend.get_study_user_attrs(study_id))
    size = _final_size(settings, final, is_searched=is_searched)
    if size != final.size or (size is not None and not final.is_decided):
        write_final_size(backend, study_id, size)
        final = FinalAttributes(backend.get_study_user_attrs(study_id))
    if is_searched:
        found = standing(settings, trials, final)
        is_over = found is None or found.is_complete
        return Preparation.FINISHED if is_over else Preparation.JOINED
    write_budget(backend, study_id, settings.budget)
    if settings.race is not None:
        write_rules(backend, study_id, settings.race)
    write_failures_counted_from(backend, study_id, len(trials))
    return Preparation.JOINED


def _final_size(
    settings: StudySettings, final: FinalAttributes, *, is_searched: bool
) -> FinalSize | None:
    """Return how large the final is to be, None for none.

    A study that was finished without one gets none unless its size is written, or `abx-study
    confirm` is used; one that has its final keeps it as it is unless told otherwise.
    """
    if not is_searched or settings.final is None or settings.is_final_told:
        return settings.final
    return final.size


def _origin(settings: StudySettings, *, created: datetime | None = None) -> Origin:
    from optuna import __version__ as optuna_version

    return Origin(
        values=settings.fingerprint.values,
        digest=settings.fingerprint.digest,
        optuna=optuna_version,
        created=None if created is None else created.isoformat(timespec="seconds"),
    )


def _origin_of_new(settings: StudySettings, *, created: datetime | None = None) -> Origin:
    """Return the origin of a study that begins now, and with it the points that it tries first."""
    return replace(_origin(settings, created=created), first_points=first_points(settings))


def _refuse_while_at_work(settings: StudySettings, storage: StudyStorage) -> None:
    backend, study_id = open_study(storage, settings.study_name)
    running = [t for t in read_trials(backend, study_id) if t.is_at_work]
    final = FinalAttributes(backend.get_study_user_attrs(study_id))
    for owner in [*(t.owner for t in running), *(claim.owner for claim in final.open_claims)]:
        if owner is not None and owner.process.is_alive:
            raise InputError(
                f"study {settings.study_name!r} is being worked on by process "
                f"{owner.process.pid} on this machine: stop it before overwrite_existing_study=true"
            )


def _clear_folder(settings: StudySettings) -> None:
    """Remove the results of a study that is no more."""
    files = settings.files
    for file in (files.best_params_file, files.summary_file, files.trials_file):
        file.unlink(missing_ok=True)
    for folder in (files.trials_folder, files.final_folder):
        shutil.rmtree(folder, ignore_errors=True)
    unregister(settings)


def _set_aside(settings: StudySettings) -> None:
    """Rename the trials of an earlier study of this run_name, so that none is taken for a new one.

    They are there when the study was deleted, or is in another storage.
    """
    trials = settings.files.trials_folder
    if not trials.is_dir():
        return
    aside = settings.files.free_trials_folder()
    trials.rename(aside)
    log.warning(
        "%s holds trials of an earlier study: they are now in %s", settings.folder, aside.name
    )
    _clear_folder(settings)
