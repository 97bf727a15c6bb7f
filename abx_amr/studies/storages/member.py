"""What every storage offers, and what all of them share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abx_amr.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class StorageError(InputError):
    """A storage cannot be reached or written: which one, why, and the cure if there is one."""


class StudyStorage(Protocol):
    """What every storage offers; each process opens its own, nothing open goes through a fork."""

    @property
    def label(self) -> str:
        """What the storage is called in messages; it holds no secret."""

    @property
    def can_overwrite(self) -> bool:
        """Whether a study may be deleted by the command that is about to use it."""

    def check(self) -> None:
        """Raise an InputError where the storage cannot be used; create nothing."""

    def exists(self, study_name: str) -> bool:
        """Say whether the study is there; create nothing."""

    def names(self) -> list[str]:
        """Return the names of all studies, oldest first; create nothing."""

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process, with its tables made by exactly one process."""

    def critical_section(self) -> AbstractContextManager[None]:
        """Hold off every other worker of the study, on whatever machine it runs.

        An exception that leaves the section undoes what was written in it where the storage can:
        decide inside, raise outside.
        """

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""


class ProcessStorage(ABC):
    """A storage that every process connects to anew: what a parent has opened is left alone."""

    def __init__(self) -> None:
        self._opened: dict[int, BaseStorage] = {}

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process; file and tables are made when missing."""
        backend = self._opened.get(os.getpid())
        if backend is None:
            # An inherited one stays referenced, so that it is never closed from here.
            backend = self._opened[os.getpid()] = self._connect()
        return backend

    def _is_open(self) -> bool:
        return os.getpid() in self._opened

    def exists(self, study_name: str) -> bool:
        """Say whether the study is there; create nothing."""
        if not self._is_made():
            return False
        try:
            self.open().get_study_id_from_name(study_name)
        except KeyError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all studies, oldest first; create nothing."""
        if not self._is_made():
            return []
        return [study.study_name for study in self.open().get_all_studies()]

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""
        if self.exists(study_name):
            backend = self.open()
            backend.delete_study(backend.get_study_id_from_name(study_name))

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open behind: another process opens its own."""
        return {**self.__dict__, "_opened": {}}

    @abstractmethod
    def _is_made(self) -> bool:
        """Say whether there is anything to open; create nothing."""

    @abstractmethod
    def _connect(self) -> BaseStorage:
        """Return Optuna's storage, with file and tables made by exactly one process."""


def make_folder(folder: Path, *, label: str) -> None:
    """Make the folder of a storage's file.

    Raises:
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{label}: cannot make {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{label}: {folder} cannot be written by this user")


@contextmanager
def in_one_line(label: str) -> Iterator[None]:
    """Turn what a storage or a disk refuses while the block runs into a StorageError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        trouble = storage_trouble(error)
        if trouble is None:
            raise
        raise StorageError(f"{label}: {trouble}") from error


def storage_trouble(error: BaseException) -> str | None:
    """Return in one line why a storage did not do its work, None for errors of another kind.

    Such an error may pass: a server restarts, a full disk is cleared, a network comes back.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, StorageError):
        return str(error)
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, SQLAlchemyError):
        cause = getattr(error, "orig", None) or error
        lines = str(cause).strip().splitlines()
        return lines[0] if lines else type(cause).__name__
    if isinstance(error, OSError):
        return str(error)
    return None
