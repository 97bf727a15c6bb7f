"""A database in one file, written whole or not at all."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.postgres.connection import PostgresConnection
from abx_amr.host.postgres.programs import Programs

MAGIC = b"PGDMP"


def back_up(
    connection: PostgresConnection, file: Path, *, programs: Programs, passfile: Path | None
) -> None:
    """Write the database as it is at one moment into `file`, in pg_dump's custom format.

    Workers may go on meanwhile. An earlier backup of that name is replaced at the end.

    Raises:
        InputError: `file` is something else than a backup or cannot be written, or pg_dump fails.
    """
    file = file.expanduser().absolute()
    if file.exists() and not _is_backup(file):
        raise InputError(f"{file} is there and is no backup: choose another name with file=FILE")
    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from None
    os.close(descriptor)
    command = [programs.path("pg_dump"), "--format=custom", "--no-password", f"--file={temporary}"]
    environment = {**os.environ, "LC_ALL": "C"}
    if passfile is not None:
        environment["PGPASSFILE"] = str(passfile)
    if connection.password is not None:
        environment["PGPASSWORD"] = connection.password
    try:
        ended = subprocess.run(
            [*command, *_where(connection)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            message = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
            raise InputError(f"no backup of {connection.label}: {message[0]}")
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def restore_command(connection: PostgresConnection, file: Path, *, programs: Programs) -> str:
    """Return the command that puts a backup back, all of it or nothing; it replaces what is there.

    It reads the password as every client does: PGPASSFILE or PGPASSWORD.
    """
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    command = [programs.path("pg_restore"), *options, *_where(connection), str(file)]
    return shlex.join(command)


def _where(connection: PostgresConnection) -> list[str]:
    return [
        f"--host={connection.host}",
        f"--port={connection.port}",
        f"--username={connection.user}",
        f"--dbname={connection.database}",
    ]


def _is_backup(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from None
