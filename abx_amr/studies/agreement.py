"""Whether a command's settings are those that a study was made with: else it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_yaml
from abx_amr.studies.fingerprint import Fingerprint, fingerprint, show_difference
from abx_amr.studies.records import StudyAttributes
from abx_amr.studies.space import parse_search_space
from abx_amr.studies.stored import open_study, read_trials

if TYPE_CHECKING:
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage


def check_settings(settings: StudySettings, storage: StudyStorage) -> None:
    """Refuse to work on a study with other settings than it was created with.

    A worker composes its configuration when it starts, perhaps hours after the study was prepared.

    Raises:
        InputError: 'Configuration Mismatch Detected', with the settings that differ.
    """
    backend, study_id = open_study(storage, settings.study_name)
    origin = StudyAttributes(backend.get_study_user_attrs(study_id)).origin
    if origin is None:
        return
    directions = [d.name.lower() for d in backend.get_study_directions(study_id)]
    if directions != [settings.direction]:
        raise InputError(
            f"Configuration Mismatch Detected: study {settings.study_name!r} is to "
            f"{directions[0]}, not to {settings.direction}. {_ways_out(settings, storage)}"
        )
    difference = Fingerprint(origin.values).difference(settings.fingerprint)
    if difference:
        n_finished = sum(trial.is_finished for trial in read_trials(backend, study_id))
        raise InputError(
            f"Configuration Mismatch Detected: study {settings.study_name!r} holds {n_finished} "
            f"finished trials with other settings: {show_difference(difference)}. "
            f"{_ways_out(settings, storage)}"
        )


def changed_since(settings: StudySettings) -> str | None:
    """Return how the settings differ from those a study's folder says it was made with.

    None where they do not, or where the folder does not say.
    """
    try:
        files = (settings.files.configuration_file, settings.files.tuning_file)
        stored = [read_yaml(file) for file in files]
        configuration = {**stored[0], **stored[1]}
        space = parse_search_space(configuration["tuning"]["search_space"])
    except (ValueError, TypeError, KeyError):  # an InputError is a ValueError
        return None
    differing = fingerprint(configuration, space=space).difference(settings.fingerprint)
    known = [each for each in differing if each[0].split(".")[0] not in ("option_library",)]
    return show_difference(known) if known else None


def _ways_out(settings: StudySettings, storage: StudyStorage) -> str:
    if storage.can_overwrite:
        return "Use another run_name, or overwrite_existing_study=true"
    return f"Use another run_name, or `abx-study delete {settings.study_name} storage=postgres`"
