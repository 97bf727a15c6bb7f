"""The storage that a URL names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from abx_amr.errors import InputError, did_you_mean
from abx_amr.host.postgres.connection import (
    DEFAULT_DATABASE,
    DEFAULT_HOST,
    DEFAULT_PORT,
    PostgresConnection,
)
from abx_amr.host.secrets import is_secret_name
from abx_amr.studies.storages.journal import JournalStorage
from abx_amr.studies.storages.postgres import PostgresStorage
from abx_amr.studies.storages.sqlite import SqliteStorage

if TYPE_CHECKING:
    from sqlalchemy import URL

    from abx_amr.studies.storages.member import StudyStorage

URL_VARIABLE = "ABX_STORAGE_URL"
KINDS = ("sqlite", "journal", "postgresql")
DRIVERS = ("psycopg2", "psycopg")


def storage_at_url(*, url: str | None = None, n_workers: int = 1) -> StudyStorage:
    """Return the storage at `url`, without one at ABX_STORAGE_URL.

    sqlite:///FILE, journal:///FILE, postgresql://USER@HOST:PORT/DATABASE (driver psycopg2; psycopg
    where it is installed). A command line and a configuration are public: only the environment may
    hold a password.

    Raises:
        InputError: no URL, one that cannot be read, another kind, or a password in `url`.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    source = "storage.url" if url is not None else URL_VARIABLE
    text = os.environ.get(URL_VARIABLE) if url is None else url
    if not text:
        raise InputError(
            f"storage=url takes its URL from {URL_VARIABLE}, which is not set: "
            f"export {URL_VARIABLE}=postgresql://USER@HOST:PORT/DATABASE"
        )
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise InputError(f"{source} is no URL of the form KIND://USER@HOST:PORT/DATABASE") from None
    if url is not None and (parsed.password is not None or any(map(is_secret_name, parsed.query))):
        raise InputError(
            f"storage.url may not hold a password, a command line is public: "
            f"export {URL_VARIABLE} instead"
        )
    kind, _, driver = parsed.drivername.partition("+")
    if kind in ("postgres", "postgresql"):
        return PostgresStorage.at(_connection(parsed, driver, source), n_workers=n_workers)
    if kind in ("sqlite", "journal"):
        if not parsed.database:
            raise InputError(f"{source} must name a file: {kind}:///FILE")
        made = SqliteStorage if kind == "sqlite" else JournalStorage
        return made(path=parsed.database)
    raise InputError(
        f"{source}: there is no storage for '{kind}'{did_you_mean(kind, KINDS)} "
        f"(available: {', '.join(KINDS)})"
    )


def _connection(parsed: URL, driver: str, source: str) -> PostgresConnection:
    if driver and driver not in DRIVERS:
        raise InputError(
            f"{source}: driver '{driver}' cannot be used (available: {', '.join(DRIVERS)})"
        )
    known = PostgresConnection.from_environment()
    settings: dict[str, str] = {
        name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()
    }
    password = parsed.password or settings.pop("password", "")
    return PostgresConnection(
        host=settings.pop("host", "") or parsed.host or DEFAULT_HOST,
        port=parsed.port or DEFAULT_PORT,
        user=parsed.username or known.user,
        database=parsed.database or DEFAULT_DATABASE,
        password=password or None,
        driver=driver or DRIVERS[0],
        settings=settings,
    )
