"""A study in one append-only file: many workers on many machines, no server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.studies.storages.lease import LEASE_SECONDS, LeaseLock
from abx_amr.studies.storages.member import (
    ProcessStorage,
    ReadOnlyCopy,
    StorageError,
    check_is_there,
    is_writable,
    make_folder,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.storages.journal import BaseJournalBackend


class JournalStorage(ProcessStorage):
    """A study in an Optuna journal: every change is a line, every process replays the lines.

    Two lock files stand beside it, both leased (see `lease`): one for every appending, one for the
    critical section. A line that a death or a full disk has cut short is removed before the next.
    """

    can_overwrite = True

    def __init__(self, *, path: Path | str, lease: float = LEASE_SECONDS) -> None:
        """Name the file and its locks.

        Args:
            path: The file, which need not exist.
            lease: Seconds for which the lock of a machine that died stands.
        """
        super().__init__()
        self.path = Path(path).absolute()
        beside = self.path.with_name
        self._writing = LeaseLock(
            beside(f"{self.path.name}.lock"),
            lease=lease,
            breaker=LeaseLock(beside(f"{self.path.name}.lock.break"), lease=lease),
        )
        # Broken under the writing lock, so that nobody is writing on the strength of it.
        self._section = LeaseLock(
            beside(f"{self.path.name}.section"),
            lease=lease,
            breaker=self._writing,
            is_renewed=True,
        )
        self._held = threading.local()
        self._copy: ReadOnlyCopy | None = None

    @property
    def label(self) -> str:
        """What the storage is called in messages."""
        return f"journal ({self.path})"

    def check(self) -> None:
        """Accept every place: that it cannot be written is found by writing."""

    def check_is_there(self) -> None:
        """Raise a StorageGoneError where the file was removed since this process opened it."""
        if self._is_open():
            check_is_there(self.path, label=self.label)

    @contextlib.contextmanager
    def critical_section(self) -> Iterator[None]:
        """Hold the section's lock file; a holder that has lost it can no longer write."""
        self.check_is_there()
        make_folder(self.path.parent, label=self.label)
        with self.explained(), self._section.hold() as lease:
            self._held.lease = lease
            try:
                yield
            finally:
                self._held.lease = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open, held or copied behind."""
        return {**super().__getstate__(), "_held": None, "_copy": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hold nothing."""
        self.__dict__.update(state)
        self._held = threading.local()

    def _is_made(self) -> bool:
        return self.path.exists()

    def _connect(self) -> BaseStorage:
        from abx_amr.studies.storages.journal_file import JournalFile

        journal = _journal()
        if self._is_made() and not is_writable(self.path.parent):
            self._copy = ReadOnlyCopy(self.path)
            copy = self._copy.path
            lock = LeaseLock(copy.with_name("lock"))
            return journal(JournalFile(copy, lock=lock, fence=self._fence))
        make_folder(self.path.parent, label=self.label)
        return journal(JournalFile(self.path, lock=self._writing, fence=self._fence))

    def _fence(self) -> None:
        lease = getattr(self._held, "lease", None)
        if lease is not None and not lease.is_mine():
            raise StorageError(
                f"{self.label}: this process stood still so long that its turn was taken from it"
            )


def _journal() -> Callable[[BaseJournalBackend], BaseStorage]:
    """Return what appends records: Optuna's own, one by one, where its records are not known."""
    try:
        from abx_amr.studies.storages.journal_trials import JournalTrials
    except (ImportError, AttributeError):
        from optuna.storages import JournalStorage as OptunaJournal

        return OptunaJournal
    return JournalTrials
