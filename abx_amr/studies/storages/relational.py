"""What SQLite and PostgreSQL have in common: Optuna's tables behind one SQLAlchemy engine."""

from __future__ import annotations

import os
import weakref
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from abx_amr.errors import first_line
from abx_amr.studies.storages.member import ProcessStorage

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from sqlalchemy import Engine
    from sqlalchemy.exc import DBAPIError

#: Optuna's version of its tables that `trial_tables` reads and writes, and of its migrations.
SCHEMA, REVISION = 12, "v3.2.0.a"


class RelationalStorage(ProcessStorage):
    """A study in the tables of a database; they are made by one process, under a lock."""

    @abstractmethod
    def _url(self) -> str:
        """Return the SQLAlchemy URL, with its driver and without a password."""

    @abstractmethod
    def _engine_options(self) -> dict[str, Any]:
        """Return what `create_engine` is given beside the URL."""

    @abstractmethod
    def _schema_lock(self) -> AbstractContextManager[None]:
        """Hold off every other process that would make the tables."""

    def _prepare(self, storage: RDBStorage) -> None:
        """Set up the engine, before its first use; still under the lock."""

    def trouble(self, error: BaseException) -> str | None:
        """Return in one line why the database did not do its work, None for another error."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        cause: BaseException = error
        if isinstance(error, StorageInternalError) and error.__cause__ is not None:
            cause = error.__cause__
        if isinstance(cause, DBAPIError):
            return self._explain(cause)
        if isinstance(cause, SQLAlchemyError):
            return f"{self.label}: {first_line(cause)}"
        return super().trouble(error)

    def _explain(self, error: DBAPIError) -> str:
        """Return in one line what the driver says."""
        return f"{self.label}: {first_line(error.orig or error)}"

    def _connect(self) -> BaseStorage:
        tables, remembering = _tables()
        # Optuna formats the URL: a brace in it stands for itself only when it is doubled.
        url = self._url().replace("{", "{{").replace("}", "}}")
        with self._schema_lock():
            if not self._has_tables():
                tables(url, engine_kwargs=self._engine_options()).engine.dispose()
            storage = tables(url, engine_kwargs=self._engine_options(), skip_table_creation=True)
            storage.engine.dispose()
            self._prepare(storage)
        weakref.finalize(self, _close, storage.engine, os.getpid())
        return remembering(storage)

    def _has_tables(self) -> bool:
        """Say whether the tables were made to the end: the last step writes their version."""
        import sqlalchemy

        options = {
            k: v for k, v in self._engine_options().items() if not k.startswith(("pool", "max"))
        }
        engine = sqlalchemy.create_engine(self._url(), poolclass=sqlalchemy.NullPool, **options)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                return False
            found = connection.execute(sqlalchemy.text("SELECT count(*) FROM alembic_version"))
            return bool(found.scalar_one())


def has_our_tables() -> bool:
    """Say whether the Optuna that is installed arranges its tables as ours are read and written."""
    return _our_tables() is not None


def _our_tables() -> tuple[type[RDBStorage], Callable[[Any], BaseStorage]] | None:
    """Return what reads and writes the tables with few statements, and what remembers trials."""
    try:
        from optuna.storages._rdb.models import SCHEMA_VERSION

        from abx_amr.studies.storages.trial_tables import CachedTrials, TrialTables
    except (ImportError, AttributeError):
        return None
    return (TrialTables, CachedTrials) if SCHEMA_VERSION == SCHEMA else None


def _tables() -> tuple[type[RDBStorage], Callable[[Any], BaseStorage]]:
    """Return what reads and writes the tables: Optuna's own where they are not ours."""
    from optuna.storages import RDBStorage, get_storage

    return _our_tables() or (RDBStorage, get_storage)


def _close(engine: Engine, process: int) -> None:
    """Close an engine's connections in the process that opened them."""
    if os.getpid() == process:
        engine.dispose()
