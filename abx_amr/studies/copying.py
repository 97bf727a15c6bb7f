"""A study taken from one storage to another, trial by trial, losing nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abx_amr.errors import InputError
from abx_amr.studies.stored import read_study

if TYPE_CHECKING:
    from abx_amr.studies.records import StudyRecord
    from abx_amr.studies.storages import StudyStorage


def copy_study(
    source: StudyStorage, target: StudyStorage, name: str, *, as_name: str | None = None
) -> StudyRecord:
    """Copy study `name`, under another name if told; return the copy.

    Trials keep number, state, parameters, distributions, values, intermediate values, attributes
    and times. The study's own attributes come last: without them, what a death in mid-copy leaves
    is not taken for the study.

    Raises:
        InputError: it does not exist, or the target has one of that name.
    """
    from optuna.study import StudyDirection

    new = as_name or name
    original = read_study(source, name)
    target.check()
    with target.critical_section():
        if target.exists(new):
            raise InputError(
                f"study '{new}' exists in {target.label} already: delete it first "
                f"(abx-study delete {new}), or choose another to_study_name"
            )
        backend = target.open()
        study_id = backend.create_new_study([StudyDirection[original.direction.upper()]], new)
        for trial in original.trials:
            backend.create_new_trial(study_id, template_trial=trial.frozen)
        for key, value in original.system_attrs.items():
            backend.set_study_system_attr(study_id, key, value)
        for key, value in original.user_attrs.items():
            backend.set_study_user_attr(study_id, key, value)
    return read_study(target, new)
