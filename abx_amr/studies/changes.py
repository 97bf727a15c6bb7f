"""What is written on a trial or a study at one moment, in one piece where the storage can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import TrialState


@dataclass(frozen=True, kw_only=True)
class TrialChanges:
    """What changes of a trial that is not finished.

    A database takes all of it or nothing. A journal takes it in this order, the items of a mapping
    in theirs, and a death may leave a beginning of it: what says that the rest is there comes last.

    Attributes:
        intermediate_values: Step -> value.
        system_attrs: Attributes of Optuna's and its samplers', JSON.
        user_attrs: Attributes, JSON.
        state: The trial's from now on, None: as it is.
        values: What it is worth; only with a state.
    """

    intermediate_values: Mapping[int, float] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    state: TrialState | None = None
    values: Sequence[float] | None = None


@runtime_checkable
class WritesAtOnce(Protocol):
    """Optuna's storage that takes changes in one piece."""

    def write_trial(self, trial_id: int, changes: TrialChanges) -> None:
        """Write them.

        Raises:
            UpdateFinishedTrialError: The trial is finished.
            KeyError: There is no such trial.
        """

    def write_study(self, study_id: int, user_attrs: Mapping[str, Any]) -> None:
        """Write attributes of a study, at least one, JSON; a journal takes them in their order.

        Raises:
            KeyError: There is no such study.
        """


def write_study(backend: BaseStorage, study_id: int, user_attrs: Mapping[str, Any]) -> None:
    """Write attributes of a study; in any storage of Optuna's that is not ours one after another.

    Raises:
        KeyError: There is no such study.
    """
    if not user_attrs:
        return
    if isinstance(backend, WritesAtOnce):
        backend.write_study(study_id, user_attrs)
        return
    for name, value in user_attrs.items():
        backend.set_study_user_attr(study_id, name, value)


def write_trial(backend: BaseStorage, trial_id: int, changes: TrialChanges) -> None:
    """Write changes of a trial; in any storage of Optuna's that is not ours one after another.

    Raises:
        UpdateFinishedTrialError: It is finished.
        KeyError: There is no such trial.
    """
    if isinstance(backend, WritesAtOnce):
        backend.write_trial(trial_id, changes)
        return
    for step, value in changes.intermediate_values.items():
        backend.set_trial_intermediate_value(trial_id, step, value)
    for name, value in changes.system_attrs.items():
        backend.set_trial_system_attr(trial_id, name, value)
    for name, value in changes.user_attrs.items():
        backend.set_trial_user_attr(trial_id, name, value)
    if changes.state is not None:
        backend.set_trial_state_values(trial_id, changes.state, changes.values)
