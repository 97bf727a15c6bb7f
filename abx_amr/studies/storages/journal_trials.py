"""Optuna's journal storage, which takes all changes of a trial or a study in one appending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal._storage import JournalOperation

from abx_amr.studies.changes import TrialChanges


class JournalTrials(JournalStorage):
    """The same records as Optuna's, several of them at once: one lock, one flush to the disk."""

    def write_trial(self, trial_id: int, changes: TrialChanges) -> None:
        """Append the changes.

        Raises:
            UpdateFinishedTrialError: The trial is finished.
            KeyError: There is no such trial.
        """
        with self._thread_lock:
            self._sync_with_backend()
            if self._replay_result.get_trial(trial_id).state.is_finished():
                raise UpdateFinishedTrialError(f"the trial of id {trial_id} has finished")
            worker = self._replay_result.worker_id
            records = [{**record, "worker_id": worker} for record in _records(trial_id, changes)]
            self._backend.append_logs(records)
            self._replay(at_most=len(records))

    def write_study(self, study_id: int, user_attrs: Mapping[str, Any]) -> None:
        """Append attributes of a study.

        Raises:
            KeyError: There is no such study.
        """
        with self._thread_lock:
            self._sync_with_backend()
            self._replay_result.get_study(study_id)  # raises
            records = [
                {
                    "op_code": JournalOperation.SET_STUDY_USER_ATTR,
                    "worker_id": self._replay_result.worker_id,
                    "study_id": study_id,
                    "user_attr": {name: value},
                }
                for name, value in user_attrs.items()
            ]
            self._backend.append_logs(records)
            self._sync_with_backend()

    def _replay(self, *, at_most: int) -> None:
        """Read on, also past records of this process that come too late.

        Optuna refuses every single record on a trial that another process has finished meanwhile,
        and stops there: what is left would be refused at the next call, whatever that is about.

        Args:
            at_most: How many records may be refused.
        """
        refused: UpdateFinishedTrialError | None = None
        for _ in range(at_most + 1):
            try:
                self._sync_with_backend()
                break
            except UpdateFinishedTrialError as error:
                refused = error
        if refused is not None:
            raise refused


def _records(trial_id: int, changes: TrialChanges) -> Iterator[dict[str, Any]]:
    """Yield the records of Optuna's journal that make the changes, the state last."""
    for step, value in changes.intermediate_values.items():
        yield {
            "op_code": JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE,
            "trial_id": trial_id,
            "step": step,
            "intermediate_value": value,
        }
    for name, value in changes.system_attrs.items():
        yield {
            "op_code": JournalOperation.SET_TRIAL_SYSTEM_ATTR,
            "trial_id": trial_id,
            "system_attr": {name: value},
        }
    for name, value in changes.user_attrs.items():
        yield {
            "op_code": JournalOperation.SET_TRIAL_USER_ATTR,
            "trial_id": trial_id,
            "user_attr": {name: value},
        }
    if changes.state is not None:
        assert changes.state.is_finished()
        yield {
            "op_code": JournalOperation.SET_TRIAL_STATE_VALUES,
            "trial_id": trial_id,
            "state": changes.state,
            "values": changes.values,
            "datetime_complete": datetime.now(tz=UTC).isoformat(timespec="microseconds"),
        }
