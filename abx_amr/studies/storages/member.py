"""What every storage offers, and what all of them share."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abx_amr.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial


class StorageError(InputError):
    """A storage cannot be reached or written: which one, why, and the cure if there is one."""


class StorageGoneError(StorageError):
    """What was worked on is there no more; no waiting brings it back."""


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

    def check_is_there(self) -> None:
        """Raise a StorageGoneError where a file was removed since this process opened it."""

    def exists(self, study_name: str) -> bool:
        """Say whether the study is there; create nothing."""

    def names(self) -> list[str]:
        """Return the names of all studies, oldest first; create nothing."""

    def studies(self) -> list[FrozenStudy]:
        """Return all studies without their trials, oldest first; create nothing."""

    def whole_studies(self) -> list[tuple[FrozenStudy, list[FrozenTrial]]]:
        """Return all studies with their trials, oldest first; create nothing."""

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process, with its tables made by exactly one process."""

    def critical_section(self) -> AbstractContextManager[None]:
        """Hold off every other worker of the study, on whatever machine it runs.

        An exception that leaves the section undoes what was written in it where the storage can:
        decide inside, raise outside.
        """

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""

    def trouble(self, error: BaseException) -> str | None:
        """Return in one line why the storage did not do its work, None for another error.

        Such trouble may pass: a server restarts, a full disk is cleared, a network comes back.
        """

    def explained(self) -> AbstractContextManager[None]:
        """Turn the storage's trouble, and that of the disk, into a StorageError."""


class ProcessStorage(ABC):
    """A storage that every process connects to anew: what a parent has opened is left alone."""

    def __init__(self) -> None:
        self._opened: dict[int, BaseStorage] = {}

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process; file and tables are made when missing."""
        backend = self._opened.get(os.getpid())
        if backend is None:
            # An inherited one stays referenced, so that it is never closed from here.
            with self.explained():
                backend = self._opened[os.getpid()] = self._connect()
        return backend

    def _is_open(self) -> bool:
        return os.getpid() in self._opened

    @abstractmethod
    def check_is_there(self) -> None:
        """Raise a StorageGoneError where a file was removed since this process opened it."""

    def exists(self, study_name: str) -> bool:
        """Say whether the study is there; create nothing."""
        if not self._is_made():
            return False
        backend = self.open()
        try:
            with self.explained():
                backend.get_study_id_from_name(study_name)
        except KeyError:
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all studies, oldest first; create nothing."""
        return [study.study_name for study in self.studies()]

    def studies(self) -> list[FrozenStudy]:
        """Return all studies without their trials, oldest first; create nothing."""
        if not self._is_made():
            return []
        backend = self.open()
        with self.explained():
            return backend.get_all_studies()

    def whole_studies(self) -> list[tuple[FrozenStudy, list[FrozenTrial]]]:
        """Return all studies with their trials, oldest first; create nothing."""
        with self.explained():
            return [
                (study, self.open().get_all_trials(study._study_id, deepcopy=False))
                for study in self.studies()
            ]

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""
        if self.exists(study_name):
            backend = self.open()
            with self.explained():
                backend.delete_study(backend.get_study_id_from_name(study_name))

    def trouble(self, error: BaseException) -> str | None:
        """Return in one line why the storage did not do its work, None for another error."""
        if isinstance(error, StorageError):
            return str(error)
        if not isinstance(error, OSError):
            return None
        what = error.strerror or str(error)
        return f"{self.label}: {what}" + (f" ({error.filename})" if error.filename else "")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the storage's trouble into one line."""
        try:
            yield
        except Exception as error:
            text = None if isinstance(error, StorageError) else self.trouble(error)
            if text is None:
                raise
            raise StorageError(text) from error

    @property
    @abstractmethod
    def label(self) -> str:
        """What the storage is called in messages; it holds no secret."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open behind: another process opens its own."""
        return {**self.__dict__, "_opened": {}}

    @abstractmethod
    def _is_made(self) -> bool:
        """Say whether there is anything to open; create nothing."""

    @abstractmethod
    def _connect(self) -> BaseStorage:
        """Return Optuna's storage, with file and tables made by exactly one process."""


def is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder; not so on a disk that is mounted read-only."""
    return os.access(folder, os.W_OK | os.X_OK)


class ReadOnlyCopy:
    """A copy of a storage's files, to be read where their folder may not be written.

    Readers lock and log too, beside the file. The copy goes with the object.
    """

    def __init__(self, *files: Path) -> None:
        """Copy those that exist; the first is the storage's own."""
        folder = Path(tempfile.mkdtemp(prefix="abx-read-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for file in files:
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
        self.path = folder / files[0].name


def check_is_there(file: Path, *, label: str) -> None:
    """Raise a StorageGoneError where a file is not there that was opened before."""
    if not file.exists():
        raise StorageGoneError(
            f"{label} was removed while it was worked on, and its trials with it: run the same "
            "command again to start afresh"
        )


def make_folder(folder: Path, *, label: str) -> None:
    """Make the folder of a storage's file.

    Raises:
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StorageError(
            f"{label}: {folder} is a file, or a link that leads nowhere: choose another run_name"
        ) from error
    except OSError as error:
        raise StorageError(f"{label}: cannot make {folder}: {error.strerror}") from error
    if not is_writable(folder):
        raise StorageError(
            f"{label}: {folder} cannot be written by this user: copy it to a folder of your own "
            "(optimization_dir=FOLDER)"
        )
