"""A study in one SQLite file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from abx_amr.errors import InputError
from abx_amr.host.file_system import network_file_system
from abx_amr.studies.storages.member import ReadOnlyCopy, check_is_there, is_writable, make_folder
from abx_amr.studies.storages.relational import (
    REVISION,
    SCHEMA,
    RelationalStorage,
    has_our_tables,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from optuna.study._frozen import FrozenStudy
    from optuna.trial import FrozenTrial
    from sqlalchemy.exc import DBAPIError

BUSY_TIMEOUT_SECONDS = 60
LOCK_TIMEOUT_SECONDS = 600.0


class SqliteStorage(RelationalStorage):
    """A study in an SQLite file: no setup, several processes of one machine.

    Write-ahead log, BEGIN IMMEDIATE (a transaction that will write asks for the lock first, so that
    no two processes claim the same trial) and a busy timeout; the critical section is a lock file
    beside the database.
    """

    can_overwrite = True

    def __init__(self, *, path: Path | str) -> None:
        """Name the file.

        Args:
            path: The file, which need not exist.
        """
        super().__init__()
        self.path = Path(path).absolute()
        self._copy: ReadOnlyCopy | None = None

    @property
    def label(self) -> str:
        """What the storage is called in messages."""
        return f"sqlite ({self.path})"

    def check(self) -> None:
        """Refuse a network file system, where SQLite's locks do not hold."""
        kind = network_file_system(self.path)
        if kind is not None:
            raise InputError(
                f"storage=sqlite cannot be used in {self.path.parent}: its file system ({kind}) "
                "does not lock reliably; use storage=journal or storage=postgres, or a local "
                "optimization_dir"
            )

    def check_is_there(self) -> None:
        """Raise a StorageGoneError where the file was removed since this process opened it."""
        if self._is_open():
            check_is_there(self.path, label=self.label)

    @contextlib.contextmanager
    def critical_section(self) -> Iterator[None]:
        """Hold the lock file beside the database."""
        self.check_is_there()
        make_folder(self.path.parent, label=self.label)
        with self.explained(), self._lock("lock"):
            yield

    def whole_studies(self) -> list[tuple[FrozenStudy, list[FrozenTrial]]]:
        """Return all studies with their trials, oldest first; create nothing."""
        quickly = self._read_quickly() if self._is_made() else []
        return super().whole_studies() if quickly is None else quickly

    def _read_quickly(self) -> list[tuple[FrozenStudy, list[FrozenTrial]]] | None:
        """Return all studies with their trials; None where Optuna's own storage is to be asked.

        It knows other tables, and says what is wrong with a file that cannot be read.
        """
        if not has_our_tables() or not is_writable(self.path.parent):
            return None
        from abx_amr.studies.storages.sqlite_reading import UNREADABLE, whole_studies

        try:
            return whole_studies(self.path, schema=SCHEMA, revision=REVISION)
        except UNREADABLE:
            return None

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open or copied behind."""
        return {**super().__getstate__(), "_copy": None}

    def _connect(self) -> BaseStorage:
        if self._is_made() and not is_writable(self.path.parent):
            self._copy = ReadOnlyCopy(self.path, self.path.with_name(f"{self.path.name}-wal"))
        return super()._connect()

    def _is_made(self) -> bool:
        return self.path.exists()

    def _explain(self, error: DBAPIError) -> str:
        """Say what to do about a file that is no database any more."""
        text = super()._explain(error)
        if "malformed" in text or "not a database" in text:
            text += ": put a copy back, or use another run_name"
        return text

    def _url(self) -> str:
        from sqlalchemy import URL

        file = self.path if self._copy is None else self._copy.path
        return URL.create("sqlite", database=str(file)).render_as_string()

    def _engine_options(self) -> dict[str, Any]:
        return {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS}}

    @contextlib.contextmanager
    def _schema_lock(self) -> Iterator[None]:
        if self._copy is not None:
            yield
            return
        self.check()
        make_folder(self.path.parent, label=self.label)
        with self._lock("schema.lock"):
            yield

    def _prepare(self, storage: RDBStorage) -> None:
        from sqlalchemy import event

        event.listen(storage.engine, "connect", _prepare_connection)
        event.listen(storage.engine, "begin", _begin_immediately)
        storage.engine.connect().close()  # the file becomes a write-ahead log under the lock

    @contextlib.contextmanager
    def _lock(self, ending: str) -> Iterator[None]:
        lock = FileLock(f"{self.path}.{ending}", timeout=LOCK_TIMEOUT_SECONDS)
        began = time.monotonic()
        try:
            lock.acquire()
        except Timeout:
            raise TimeoutError(
                f"{self.label}: another process has held {lock.lock_file} for "
                f"{time.monotonic() - began:.0f} s"
            ) from None
        try:
            yield
        finally:
            lock.release()


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin below, not inside the driver
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_immediately(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
