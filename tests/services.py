"""Services that tests need, started by the project's own code; absent ones skip with the reason.

ABX_REQUIRE_SERVICES=1 turns such a skip into a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres import Server, Wish
from abx_amr.host.postgres.connection import PostgresConnection
from abx_amr.host.postgres.programs import find_programs
from abx_amr.host.postgres.server import max_connections_for

#: Names that lead a client to a server; a test must see its own alone.
VARIABLES = ("PG_HOST", "PG_PORT", "PG_USERNAME", "PG_PASSWORD", "DB_NAME", "PGPASSFILE")

ROOM_BYTES = 2_000_000_000


def lacking(reason: str) -> NoReturn:
    """Skip the test for want of a service, or fail where services are required."""
    if os.environ.get("ABX_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{reason} (ABX_REQUIRE_SERVICES=1)", pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True, kw_only=True)
class Database:
    """An empty database on a running server, and the variables that lead to it."""

    connection: PostgresConnection
    passfile: str | None

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs so that storage=postgres finds this database."""
        there = self.connection
        made = {
            "PG_HOST": there.host,
            "PG_PORT": str(there.port),
            "PG_USERNAME": there.user,
            "DB_NAME": there.database,
        }
        if there.password is not None:
            made["PG_PASSWORD"] = there.password
        if self.passfile is not None:
            made["PGPASSFILE"] = self.passfile
        return made

    @contextlib.contextmanager
    def cursor(self):
        """Give a cursor in the database, each statement on its own."""
        import psycopg2

        there = self.connection
        connection = psycopg2.connect(
            host=there.host,
            port=there.port,
            user=there.user,
            dbname=there.database,
            connect_timeout=10,
            **there.secret,
            **({"passfile": self.passfile} if self.passfile else {}),
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def keep_files_in_memory() -> None:
    """Let temporary files lie in memory, unless TMPDIR says where or it has no room for them.

    Studies and servers sync each transaction to their disk, for which tests would wait longer than
    for anything else.
    """
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK):
        return
    is_for_programs = not os.statvfs(memory).f_flag & os.ST_NOEXEC
    if is_for_programs and shutil.disk_usage(memory).free > ROOM_BYTES:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # it is decided anew


@contextlib.contextmanager
def server_folder() -> Iterator[Path]:
    """Give a new folder that root's server user may reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="abx-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def running_server(*, workers: int = 40, bin_dir: Path | None = None) -> Iterator[Server]:
    """Give a server of one's own on a free port, stopped at the end; without programs, skip."""
    from abx_amr.host.postgres.account import server_account

    try:
        find_programs(bin_dir, account=server_account())
    except InputError as error:
        lacking(str(error))
    with server_folder() as folder:
        server = Server(folder, bin_dir=bin_dir)
        wish = Wish(
            user="tester",
            database="tests",
            any_port=True,
            max_connections=max_connections_for(workers),
        )
        try:
            server.up(wish)
            yield server
        finally:
            server.down()


def database_of(server: Server) -> Database:
    """Return the database that a server of one's own was started with."""
    decided = server.recorded_state()
    assert decided is not None
    return Database(connection=decided.connection, passfile=str(server.passfile))


@contextlib.contextmanager
def some_server() -> Iterator[Database]:
    """Give the server that PG_* point at, else one of one's own."""
    if os.environ.get("PG_HOST") or os.environ.get("PG_PORT"):
        there = Database(
            connection=PostgresConnection.from_environment(),
            passfile=os.environ.get("PGPASSFILE"),
        )
        with there.cursor():  # fails here where it does not run
            pass
        yield there
        return
    with running_server() as server:
        yield database_of(server)


@contextlib.contextmanager
def fresh_database(there: Database) -> Iterator[Database]:
    """Give a new database on the server, dropped at the end with whoever is connected."""
    name = f"abx_test_{uuid.uuid4().hex[:12]}"
    with there.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield replace(there, connection=replace(there.connection, database=name))
    finally:
        with there.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
