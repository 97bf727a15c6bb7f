"""A study in PostgreSQL: hundreds of workers on many machines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from abx_amr.errors import first_line
from abx_amr.host.postgres.connection import PostgresConnection
from abx_amr.studies.storages.relational import RelationalStorage

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DBAPIError

#: Advisory locks of PostgreSQL are numbers; these two are ours ("abx" and a counter).
SCHEMA_LOCK, SECTION_LOCK = 0x616278_01, 0x616278_02
CONNECT_TIMEOUT_SECONDS = 10
MOST_POOLED_WORKERS = 100
#: Set by the client for its session, so that the server drops a worker whose machine is gone, and
#: takes the lock from one that stands still: it cannot write then, its transaction is over.
SESSION_OPTIONS = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "5min",
}

_NOT_REACHED = ("connection to server", "could not translate host", "could not connect")


class PostgresStorage(RelationalStorage):
    """A study in a PostgreSQL database.

    The critical section is one transaction under an advisory lock, in which Optuna's own writes
    take part: it happens as a whole or, when worker or server die in it, not at all.
    """

    can_overwrite = False

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        database: str | None = None,
        n_workers: int = 1,
    ) -> None:
        """Name the server; what is None comes from the environment (see PostgresConnection).

        Args:
            host: where it listens (PG_HOST).
            port: its port (PG_PORT).
            user: whom to enter as (PG_USERNAME).
            database: the database (DB_NAME).
            n_workers: how many will connect; above 100 none keeps its connection while it trains,
                unless the server admits so many.
        """
        told = {"host": host, "port": port, "user": user, "database": database}
        known = PostgresConnection.from_environment()
        self._set_up(
            PostgresConnection(
                **{
                    **{name: getattr(known, name) for name in told},
                    **{name: value for name, value in told.items() if value is not None},
                },
                password=known.password,
            ),
            n_workers,
        )

    @classmethod
    def at(cls, connection: PostgresConnection, *, n_workers: int = 1) -> PostgresStorage:
        """Return the storage behind a connection, whatever the environment says."""
        made = cls.__new__(cls)
        made._set_up(connection, n_workers)
        return made

    def _set_up(self, connection: PostgresConnection, n_workers: int) -> None:
        super().__init__()
        self.connection = connection
        self.n_workers = n_workers

    @property
    def label(self) -> str:
        """What the storage is called in messages."""
        return f"postgres ({self.connection.label})"

    def check(self) -> None:
        """Knock at the server.

        Raises:
            StorageError: it is not there, or lets this user not in.
        """
        with self.explained():
            self._has_tables()

    @contextlib.contextmanager
    def critical_section(self) -> Iterator[None]:
        """Hold an advisory lock for the length of one transaction, which Optuna writes in too."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.orm import Session

        self.open()
        storage = self._storage()
        try:
            with self.explained(), storage.engine.begin() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": SECTION_LOCK})
                # This thread's Optuna session joins the transaction; each of its commits becomes a
                # savepoint's.
                storage.scoped_session.remove()
                storage.scoped_session.registry.set(
                    Session(bind=connection, join_transaction_mode="create_savepoint")
                )
                try:
                    yield
                finally:
                    with contextlib.suppress(SQLAlchemyError):  # a connection that is gone already
                        storage.scoped_session.remove()
        except BaseException:
            # What Optuna remembers of the trials may have been undone: forget it.
            self._opened.pop(os.getpid(), None)
            raise

    def _storage(self) -> RDBStorage:
        return cast("RDBStorage", self.open()._backend)  # type: ignore[attr-defined]

    def check_is_there(self) -> None:
        """Find nothing removed: a server keeps its own files."""

    def _is_made(self) -> bool:
        if self._is_open():
            return True
        with self.explained():
            return self._has_tables()

    def _url(self) -> str:
        return self.connection.url

    def _engine_options(self) -> dict[str, Any]:
        from sqlalchemy import NullPool

        pool: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 2}
        if not self._keeps_connections:
            pool = {"poolclass": NullPool}
        return {**pool, "connect_args": self._connect_args}

    @cached_property
    def _keeps_connections(self) -> bool:
        """Whether a worker keeps its connection while it trains.

        Making one costs worker and server more than a trial's statements do, but a server admits
        only so many.
        """
        if self.n_workers <= MOST_POOLED_WORKERS:
            return True
        import sqlalchemy

        from abx_amr.host.postgres.server import max_connections_for

        engine = sqlalchemy.create_engine(
            self._url(), poolclass=sqlalchemy.NullPool, connect_args=self._connect_args
        )
        with self.explained(), engine.connect() as connection:
            admitted = int(connection.execute(sqlalchemy.text("SHOW max_connections")).scalar_one())
        return admitted >= max_connections_for(self.n_workers)

    @property
    def _connect_args(self) -> dict[str, Any]:
        options = " ".join(f"-c {name}={value}" for name, value in SESSION_OPTIONS.items())
        return {
            **self.connection.secret,
            "application_name": "abx-amr",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": options,
        }

    @contextlib.contextmanager
    def _schema_lock(self) -> Iterator[None]:
        import sqlalchemy

        if self._is_made():
            yield
            return
        engine = sqlalchemy.create_engine(
            self._url(), poolclass=sqlalchemy.NullPool, connect_args=self._connect_args
        )
        with self.explained(), engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("SELECT pg_advisory_xact_lock(:k)"), {"k": SCHEMA_LOCK}
            )
            yield

    def _explain(self, error: DBAPIError) -> str:
        place, message = self.connection, str(error.orig)
        reason = first_line(error.orig or error)
        if "password" in message or "authentication" in message:
            cure = "set PG_PASSWORD or a .pgpass file (`abx-postgres url` says which)"
        elif "does not exist" in message and f'database "{place.database}"' in message:
            reason, cure = f"there is no database {place.database}", "`abx-postgres up` makes it"
        elif error.connection_invalidated or any(sign in message for sign in _NOT_REACHED):
            cure = "start the server with `abx-postgres up`, or set PG_HOST and PG_PORT"
        else:
            return super()._explain(error)
        where = f"host {place.host}, port {place.port}, user {place.user}"
        return f"storage=postgres: no access to PostgreSQL ({where}): {reason}; {cure}"
