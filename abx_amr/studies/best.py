"""What a finished study hands on: its best parameters and the configuration it searched in."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from abx_amr.errors import InputError, did_you_mean, listed
from abx_amr.host.former_names import canonical
from abx_amr.host.plain_files import read_json, read_yaml
from abx_amr.studies.folder import (
    StudyFolder,
    check_holds_studies,
    is_study_folder,
    study_folders,
    written_path,
)
from abx_amr.studies.members import trial_episodes, with_choices

#: Sections without which a configuration is none.
_SECTIONS = ("agent_algorithm", "training")


@dataclass(frozen=True)
class BestParameters:
    """The best point of a study: configuration path -> value, and the configuration around it.

    A choice of a searched group is in the configuration, not among the values.
    `trial_episodes` is how long its trials were trained, None where its folder does not say.
    `unlike_summary` says how its values differ from those that the study's summary names.
    """

    folder: Path
    values: Mapping[str, Any]
    configuration: Mapping[str, Any]
    trial_episodes: int | None = None
    unlike_summary: str | None = None


def episodes_with_best(config: Mapping[str, Any], trial_episodes: int | None) -> int:
    """Return how long to train with the best parameters: never shorter than a trial.

    >>> episodes_with_best({"training": {"total_num_training_episodes": 25}}, 50)
    50
    """
    return max(int(config["training"]["total_num_training_episodes"]), trial_episodes or 0)


def read_best(optimization_dir: Path | str, run_name: str) -> BestParameters:
    """Return the best parameters of the study in `optimization_dir/run_name`.

    Raises:
        InputError: there is no such study, or it has no best parameters yet.
    """
    parent = Path(optimization_dir)
    study = StudyFolder(parent / run_name)
    if os.sep in run_name or Path(run_name).suffix == ".json":
        raise InputError(_no_run(parent, run_name))
    if not study.configuration_file.is_file():
        check_holds_studies(parent)
        raise InputError(_no_run(parent, run_name))
    file = study.best_params_file
    if not file.is_file():
        raise InputError(f"best_params_from: {file} does not exist: {_how_far(study)}")
    point = _mapping(file, read_json)
    tuning = read_tuning(study) if study.tuning_file.is_file() else {}
    configuration, values = with_choices({**read_configuration(study), "tuning": tuning}, point)
    del configuration["tuning"]
    length = trial_episodes(tuning, point)
    return BestParameters(
        folder=study.path,
        values=values,
        configuration=canonical(configuration),
        trial_episodes=length if type(length) is int else None,
        unlike_summary=unlike_summary(study),
    )


def unlike_summary(study: StudyFolder) -> str | None:
    """Return how best_params.json differs from the point that the summary names, else None.

    None too where one of the two is not there or cannot be read.
    """
    try:
        handed_on = _mapping(study.best_params_file, read_json)
        summary = _mapping(study.summary_file, read_json)
    except InputError:
        return None
    final, best = summary.get("final"), summary.get("best_trial")
    whose = next(
        (
            one
            for one in (final, best)
            if isinstance(one, dict) and isinstance(one.get("params"), dict)
        ),
        None,
    )
    if whose is None:
        return None
    return how_they_differ(study.best_params_file, handed_on, whose["params"])


def how_they_differ(
    file: Path, handed_on: Mapping[str, Any], best: Mapping[str, Any]
) -> str | None:
    """Return how the values of a best_params.json differ from the study's best, else None.

    Args:
        file: The file.
        handed_on: What it holds.
        best: What the study found best.
    """
    different = [
        f"{path} {handed_on.get(path, 'left out')}, not {best.get(path, 'searched')}"
        for path in dict.fromkeys([*best, *handed_on])
        if path not in best or path not in handed_on or handed_on[path] != best[path]
    ]
    if not different:
        return None
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return (
        f"{file} holds other values than the study's best point "
        f"({'; '.join(different[:3])}{more}): it was edited, or is of another study; the study's "
        "abx-tune command writes it anew"
    )


def read_configuration(study: StudyFolder) -> dict[str, Any]:
    """Return the configuration that a study searched in, by today's names.

    Raises:
        InputError: it is not there, or damaged.
    """
    configuration = _mapping(study.configuration_file, partial(read_yaml, is_ours=True))
    if not all(isinstance(configuration.get(name), dict) for name in _SECTIONS):
        raise InputError(_damaged(study.configuration_file))
    library = study.option_library_file
    if library.is_file():  # as it was given: the configuration has null for an endless duration
        configuration["option_library"] = _mapping(library, partial(read_yaml, is_ours=True))
    made: dict[str, Any] = canonical(configuration)
    return made


def read_tuning(study: StudyFolder) -> dict[str, Any]:
    """Return the settings of a study's search.

    Raises:
        InputError: they are not there, or damaged.
    """
    tuning = _mapping(study.tuning_file, partial(read_yaml, is_ours=True))
    found = tuning.get("tuning", tuning)
    if not isinstance(found, dict):
        raise InputError(_damaged(study.tuning_file))
    return found


def _mapping(file: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    """Return what a file of a study holds."""
    try:
        content = read(file)
    except InputError as error:
        raise InputError(_damaged(file)) from error
    if not isinstance(content, dict):
        raise InputError(_damaged(file))
    return content


def _damaged(file: Path) -> str:
    return (
        f"best_params_from: {file} is damaged or empty: "
        "run the study's abx-tune command again, which writes it anew"
    )


def _no_run(parent: Path, run_name: str) -> str:
    known = [study.path.name for study in study_folders(parent)]
    if Path(run_name).suffix == ".json" and is_study_folder(Path(run_name).resolve().parent):
        run_name = f"{Path(run_name).resolve().parent}{os.sep}"
    if os.sep in run_name and is_study_folder(run_name):
        whole = Path(run_name).resolve()
        place = f"best_params_from={whole.name}"
        if whole.parent != parent.resolve():
            place += f" {shlex.quote(f'optimization_dir={written_path(whole.parent)}')}"
        return f"best_params_from takes a name, not a path: write {place}"
    if Path(run_name).name in known:
        name = Path(run_name).name
        return f"best_params_from takes a name, not a path: write best_params_from={name}"
    if Path(run_name).suffix == ".json":
        return (
            "best_params_from takes the name of a study, not a file: write best_params_from=NAME "
            f"({listed(known)})"
        )
    start = f"best_params_from: no optimisation run '{run_name}' in {parent}"
    if not known:
        return f"{start}: it holds none (is optimization_dir the one that abx-tune used?)"
    return f"{start}{did_you_mean(run_name, known)} (available: {', '.join(known)})"


def _how_far(study: StudyFolder) -> str:
    file = study.summary_file
    if not file.is_file():
        return "the study is unfinished, run its abx-tune command again to go on"
    summary = _mapping(file, read_json)
    finished, budget = summary.get("n_finished"), summary.get("budget")
    if not isinstance(finished, int) or not isinstance(budget, int):
        return _damaged(file)
    if finished < budget:
        return (
            f"the study is unfinished, {finished} of {budget} trials are done: "
            "run its abx-tune command again to go on"
        )
    final = summary.get("final_trainings") or {}
    if summary.get("final") is None and final:
        return (
            f"the study's final is unfinished, {final.get('done')} of {final.get('planned')} "
            "trainings are done: run its abx-tune command again to go on"
        )
    if summary.get("best_trial"):
        return "run the study's abx-tune command again, which writes it anew"
    return f"all {finished} trials of the study failed, see {file}"
