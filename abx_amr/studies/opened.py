"""The study that a worker is at: found once, then read again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.studies.records import StudyAttributes, TrialRecord
from abx_amr.studies.storages import StorageGoneError, StudyStorage
from abx_amr.studies.stored import open_study, records_of

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from abx_amr.studies.records import Origin
    from abx_amr.studies.search_space import SearchSpace


class StudyGoneError(StorageGoneError):
    """The study was deleted while a worker was at it."""


class OpenedStudy:
    """A study in its storage. What does not change is kept from one reading to the next.

    Attributes:
        id: The study's in Optuna's storage; -1, of none, before `open`.
    """

    def __init__(self, storage: StudyStorage, name: str) -> None:
        """Open nothing yet."""
        self.id = -1
        self._storage = storage
        self._name = name
        self._space: SearchSpace | None = None  # what the study was made to search
        self._known: Mapping[int, TrialRecord] = {}  # trials that had ended when last read

    def open(self) -> Origin | None:
        """Find the study; return what it was made with.

        Raises:
            InputError: It is not there.
        """
        _, self.id = open_study(self._storage, self._name)
        origin = StudyAttributes(self.user_attrs()).origin
        self._space = None if origin is None else origin.space
        return origin

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self._storage.open()

    def user_attrs(self) -> dict[str, Any]:
        """Return the study's attributes as they are now."""
        return self.backend.get_study_user_attrs(self.id)

    def trials(self) -> list[TrialRecord]:
        """Return all trials of the study as they are now.

        Raises:
            StorageError: Its file was removed.
            KeyError: It was deleted (see `check`).
        """
        self._storage.check_is_there()
        found = records_of(self.backend, self.id, space=self._space, known=self._known)
        self._known = {trial.id: trial for trial in found if trial.frozen.state.is_finished()}
        return found

    def check(self) -> None:
        """Raise a StorageGoneError where the study was deleted, or its file removed."""
        self._storage.check_is_there()
        try:
            is_there = self.backend.get_study_id_from_name(self._name) == self.id
        except KeyError:
            is_there = False
        if not is_there:
            raise StudyGoneError(
                f"study {self._name!r} was deleted from {self._storage.label} meanwhile"
            )
