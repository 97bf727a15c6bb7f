"""The files that say what a study searched in: written when it is made."""

from __future__ import annotations

from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import jsonable, write_text
from abx_amr.host.plain_files import read_yaml
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.settings import StudySettings


def has_snapshots(settings: StudySettings) -> bool:
    """Say whether they are there: a study may be made on another machine, or by hand."""
    return settings.files.configuration_file.is_file()


def study_of_snapshots(folder: StudyFolder) -> str | None:
    """Return the name of the study whose configuration lies in a folder, None where none does."""
    try:
        configuration = read_yaml(folder.configuration_file, is_ours=True)
    except InputError:  # there is none, or it is damaged
        return None
    if not isinstance(configuration, dict):
        return None
    name = configuration.get("study_name") or configuration.get("run_name")
    return name if isinstance(name, str) else None


def write_snapshots(settings: StudySettings) -> None:
    """Write the study's configuration, its tuning section and, where it has one, its library."""
    rest = {key: value for key, value in settings.configuration.items() if key != "tuning"}
    tuning = dict(settings.configuration["tuning"])
    members = tuning.pop("members", None)
    as_given = {} if members is None else {"members": members}
    files = settings.files
    texts = {
        files.configuration_file: _yaml(jsonable(rest)),
        # Libraries of options as they are given: JSON has no endless duration.
        files.tuning_file: _yaml({"tuning": {**jsonable(tuning), **as_given}}),
    }
    if rest.get("option_library") is not None:
        texts[files.option_library_file] = _yaml(rest["option_library"])
    files.path.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        write_text(file, text)


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False)
