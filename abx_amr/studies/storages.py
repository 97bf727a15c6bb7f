"""Where a study lives: one class a kind of storage, all with the same five verbs."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from abx_amr.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

log = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 60
LOCK_TIMEOUT_SECONDS = 600.0
NETWORK_FILE_SYSTEMS = (
    *(
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
    ),
    *(
        "afs",
        "panfs",
        "pvfs2",
        "orangefs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.s3fs",
    ),
)


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

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process, with its tables made by exactly one process."""

    def critical_section(self) -> AbstractContextManager[None]:
        """Hold off every other worker of the study, on whatever machine it runs."""

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""


class SqliteStorage:
    """A study in an SQLite file: no setup, several processes of one machine.

    Write-ahead log, BEGIN IMMEDIATE (a transaction that will write asks for the lock first, so that
    no two processes claim the same trial) and a busy timeout; the critical section is a lock file
    beside the database.
    """

    can_overwrite = True

    def __init__(self, *, path: Path | str) -> None:
        """Name the file, which need not exist."""
        self.path = Path(path).absolute()
        self._opened: tuple[int, BaseStorage] | None = None

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

    def exists(self, study_name: str) -> bool:
        """Say whether the study is there; create nothing."""
        if not self.path.exists():
            return False
        try:
            self.open().get_study_id_from_name(study_name)
        except KeyError:
            return False
        return True

    def open(self) -> BaseStorage:
        """Return Optuna's storage for this process; file and tables are made when missing."""
        if self._opened is None or self._opened[0] != os.getpid():
            self.check()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._opened = (os.getpid(), self._connect())
        return self._opened[1]

    @contextlib.contextmanager
    def critical_section(self) -> Iterator[None]:
        """Hold the lock file beside the database."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock("lock"):
            yield

    def delete(self, study_name: str) -> None:
        """Remove the study and its trials; no error where there is none."""
        if self.exists(study_name):
            backend = self.open()
            backend.delete_study(backend.get_study_id_from_name(study_name))

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is open behind: another process opens its own."""
        return {"path": self.path, "_opened": None}

    def _connect(self) -> BaseStorage:
        from optuna.storages import RDBStorage, get_storage
        from sqlalchemy import event

        url = f"sqlite:///{self.path}"
        engine_options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS}}
        with self._lock("schema.lock"):
            if (
                not self.path.exists()
                or self.path.stat().st_size == 0
                or not _has_tables(self.path)
            ):
                RDBStorage(url, engine_kwargs=engine_options).engine.dispose()
            storage = RDBStorage(url, engine_kwargs=engine_options, skip_table_creation=True)
        storage.engine.dispose()
        event.listen(storage.engine, "connect", _prepare_connection)
        event.listen(storage.engine, "begin", _begin_immediately)
        return get_storage(storage)

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


def network_file_system(path: Path, *, mounts: str | None = None) -> str | None:
    """Return the name of the network file system that `path` lies on, None where it is a local one.

    `mounts` is the text of /proc/mounts, read from there unless told.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8")
        except OSError:
            return None
    place = Path(os.path.realpath(path))
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if (place == point or point in place.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind if kind.lower() in NETWORK_FILE_SYSTEMS else None


def _has_tables(path: Path) -> bool:
    import sqlite3

    with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS)) as connection:
        found = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('trials', 'alembic_version')"
        )
        return int(found.fetchone()[0]) == 2


def _prepare_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin below, not inside the driver
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_immediately(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
