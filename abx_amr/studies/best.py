"""What a finished study hands on: its best parameters and the configuration it searched in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError, did_you_mean
from abx_amr.host.former_names import canonical
from abx_amr.studies.folder import StudyFolder, study_folders


@dataclass(frozen=True)
class BestParameters:
    """The best point of a study: configuration path -> value, and the configuration around it."""

    folder: Path
    values: Mapping[str, Any]
    configuration: Mapping[str, Any]


def read_best(optimization_dir: Path | str, run_name: str) -> BestParameters:
    """Return the best parameters of the study in `optimization_dir/run_name`.

    Raises:
        InputError: there is no such study, or it has no best parameters yet.
    """
    parent = Path(optimization_dir)
    study = StudyFolder(parent / run_name)
    if not study.configuration_file.is_file():
        raise InputError(_no_run(parent, run_name))
    file = study.best_params_file
    if not file.is_file():
        raise InputError(f"best_params_from: {file} does not exist: {_how_far(study)}")
    configuration = _mapping(study.configuration_file)
    library = study.option_library_file
    if library.is_file():  # as it was given: the configuration has null for an endless duration
        configuration["option_library"] = yaml.safe_load(library.read_text(encoding="utf-8"))
    return BestParameters(
        folder=study.path,
        values=_mapping(file),
        configuration=canonical(configuration),
    )


def _mapping(file: Path) -> dict[str, Any]:
    """Return what a file of a study holds; JSON is YAML too."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise InputError(
            f"best_params_from: {file} is damaged or empty: "
            "run the study's abx-tune command again, which writes it anew"
        )
    return content


def _no_run(parent: Path, run_name: str) -> str:
    known = [study.path.name for study in study_folders(parent)]
    if Path(run_name).name in known:
        name = Path(run_name).name
        return f"best_params_from takes a name, not a path: write best_params_from={name}"
    start = f"best_params_from: no optimisation run '{run_name}' in {parent}"
    if not known:
        return f"{start}: it holds none (is optimization_dir the one that abx-tune used?)"
    return f"{start}{did_you_mean(run_name, known)} (available: {', '.join(known)})"


def _how_far(study: StudyFolder) -> str:
    file = study.summary_file
    if not file.is_file():
        return "the study is unfinished, run its abx-tune command again to go on"
    summary = json.loads(file.read_text(encoding="utf-8"))
    finished, budget = summary["n_finished"], summary["budget"]
    if finished < budget:
        return (
            f"the study is unfinished, {finished} of {budget} trials are done: "
            "run its abx-tune command again to go on"
        )
    if summary.get("best_trial"):
        return "run the study's abx-tune command again, which writes it anew"
    return f"all {finished} trials of the study failed, see {file}"
