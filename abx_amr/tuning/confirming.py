"""The final of a study that was finished without one, or with a smaller one."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from abx_amr.errors import InputError
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.tuning.final import work_on_final
from abx_amr.tuning.finishing import finish
from abx_amr.tuning.service import SearchStoppedError
from abx_amr.tuning.study import TuningStudy, settled

if TYPE_CHECKING:
    from abx_amr.studies.folder import StudyFolder
    from abx_amr.studies.storages import StudyStorage
    from abx_amr.tuning.listening import StudyListener
    from abx_amr.tuning.result import TuneResult

#: What a study's configuration says of the command that made it: this one is another.
_OF_THIS_COMMAND: Mapping[str, Any] = {
    **{"n_workers": 1, "parallel": "workers", "wait": True, "n_trials_per_worker": None},
    **{"timeout": None, "worker": None, "local_workers": 1, "job": None},
}


def confirm(
    folder: StudyFolder,
    storage: StudyStorage,
    *,
    study_name: str,
    final: Any,
    listener: StudyListener,
    trust: bool = False,
) -> TuneResult:
    """Work on the final of a finished study until it is over, with all who were told the same.

    Args:
        folder: The study's.
        storage: Where it lies.
        study_name: Its name there.
        final: true (a size that follows the search, or the one it has), or {top, seeds}.
        listener: Who is told what happens.
        trust: Whether the study may name classes of any origin.

    Raises:
        InputError: there is no such study, it is unfinished, or its settings cannot be read.
        SearchStoppedError: the work was stopped; the same call goes on.
    """
    began = time.monotonic()
    study = _stored_study(folder, storage, study_name=study_name, final=final, trust=trust)
    study.points.check()
    study.set_threads()
    found = prepare_study(study.settings, storage)
    listener.prepared(study.settings, found)
    if found is Preparation.JOINED:
        with listener.watching(study.look) as on_progress:
            report = work_on_final(study, listener, on_progress, began=began)
        if report is not None and report.reason != "budget":
            raise SearchStoppedError(report)
    result = replace(finish(study), overrides=_overrides_of(folder))
    listener.finished(result)
    return result


def _stored_study(
    folder: StudyFolder, storage: StudyStorage, *, study_name: str, final: Any, trust: bool
) -> TuningStudy:
    """Return a finished study as its folder and its storage say it was made."""
    from abx_amr.configuration.groups import conf_dir
    from abx_amr.runs.trust import check_named_classes
    from abx_amr.studies.best import read_configuration, read_tuning
    from abx_amr.studies.members import members_in
    from abx_amr.studies.records import FinalSize
    from abx_amr.studies.stored import read_study

    record = read_study(storage, study_name)
    budget = record.attributes.budget
    if budget is None or record.n_finished < budget:
        unit = record.attributes.unit
        of = "" if budget is None else f" of {budget}"
        raise InputError(
            f"study '{study_name}' is unfinished, {record.n_finished}{of} {unit}s are done: run "
            "its abx-tune command again to go on; its final comes at its end"
        )
    config = read_configuration(folder)
    check_named_classes(config, where=folder.path, trust=trust)
    base = yaml.safe_load((conf_dir() / "tuning" / "base.yaml").read_text(encoding="utf-8"))
    own = read_tuning(folder)
    check_named_classes(members_in(own), where=folder.path, trust=trust)
    tuning = {**base, **own, **_OF_THIS_COMMAND}
    race = record.attributes.race
    if race is None:
        tuning["n_trials"] = budget
        trainings = budget * tuning["n_seeds_per_trial"]
    else:
        tuning["race"] = race.as_record()
        trainings = race.trainings
    size: Any = final
    if final is True:  # written out, since no study gets a final that is not asked for
        size = (record.final.size or FinalSize.of_search(trainings)).as_record()
    elif final is False or not isinstance(final, Mapping):
        raise InputError(f"final must be true or {{top: POINTS, seeds: SEEDS}}, not {final!r}")
    whole = {
        **config,
        "run_name": folder.path.name,
        "study_name": study_name,
        "optimization_dir": str(folder.path.parent),
        "overwrite_existing_study": False,
        "skip_if_exists": False,
        "tracker": None,  # a folder that was sent does not say where anything is sent
        "tuning": {**tuning, "final": size},
    }
    return TuningStudy(settled(whole), storage=storage)


def _overrides_of(folder: StudyFolder) -> list[str]:
    """Return what the command that made a study said; nothing where that is not kept."""
    from abx_amr.host.plain_files import read_json

    try:
        words = shlex.split(str(read_json(folder.provenance_file).get("command") or ""))
    except ValueError:  # an InputError is one: release 0.1 kept no provenance
        return []
    return [word for word in words[1:] if "=" in word]
