"""abx-postgres: a PostgreSQL server for studies, started on demand."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.cli.door import enter_without_hydra
from abx_amr.errors import InputError, did_you_mean, unknown
from abx_amr.host.exit_codes import FAILURE

if TYPE_CHECKING:
    from abx_amr.host.postgres.connection import PostgresConnection
    from abx_amr.host.postgres.programs import Programs
    from abx_amr.host.postgres.server import RecordedState, Server

HELP = """
abx-postgres: a PostgreSQL server for studies with many workers, started when it is needed.

  eval "$(abx-postgres up)"                      start it (or find it running), set PG_* here
  eval "$(abx-postgres up port=auto workers=32)" any free port, room for 32 workers
  abx-tune -m +tuning=ppo_default storage=postgres tuning.n_workers=4 run_name=shared
  abx-postgres down                              stop it; everything stays in its folder
  eval "$(abx-postgres up data_dir=$TMPDIR/pg port=auto passfile=$PWD/pgpass --listen 10.1.2.3/16)"
                                                 one node of a cluster that serves the others

Verbs:
  up       make the data folder, user, password and database when missing, start the server, wait
           until it answers, print the exports to use. May be called again, and by many at once.
  down     stop it once all is written; no error where none runs
  status   where, since when, connections, databases, size (exit status 1: none runs)
  url      the SQLAlchemy URL, without the password (it is in PGPASSFILE)
  logs     the end of the server's log
  backup   pg_dump into one file, while workers go on

Keys (KEY=VALUE):
  data_dir         its folder, on a local disk (default: ABX_POSTGRES_DIR, else
                   ~/.local/share/abx-amr/postgres, for root /var/lib/abx-amr/postgres)
  port             a number or auto (default: PG_PORT, else the last one, else 5432)
  username, database   default: PG_USERNAME, else you; DB_NAME, else optuna_tuning
  workers, max_connections   connections admitted: 3 * workers + 20 (default workers=60)
  passfile         a second password file (mode 0600) where other nodes can read it; its other
                   lines stay
  bin_dir          where the server's programs are (default: PATH, the system's folders, conda,
                   then pip install 'abx-amr[postgres]')
  account          for root: the user that runs the server (default postgres, else nobody)
  timeout          seconds to wait for start or stop (default 60)
  lines            of logs: how many (default 50)
  file             of backup: where (default ./DATABASE_TIMESTAMP.dump)
  --listen ADDRESS[/RANGE]   also listen on this address (default: loopback alone) and let in RANGE:
                   bits (10.1.2.3/16) or a network (0.0.0.0/10.0.0.0/8), else this machine's own
                   networks. There is no TLS: use it inside a cluster, not on the internet.

The password is generated, kept in DATA_DIR/pgpass (mode 0600) and never shown. PG_PASSWORD, where
it is set at `up`, is used instead.

Restore a backup into a running server; it replaces what the database holds, or changes nothing:
  pg_restore --clean --if-exists --no-owner --single-transaction --host=$PG_HOST --port=$PG_PORT \\
      --username=$PG_USERNAME --dbname=$DB_NAME FILE
"""

KEYS = {
    "up": (
        *("data_dir", "port", "username", "database", "workers", "max_connections", "passfile"),
        *("bin_dir", "account", "timeout", "listen"),
    ),
    "down": ("data_dir", "bin_dir", "timeout"),
    "status": ("data_dir",),
    "url": ("data_dir",),
    "logs": ("data_dir", "lines"),
    "backup": ("data_dir", "bin_dir", "file"),
}


FIRST_PORT = 1024  # those below are root's, and the server never is


@dataclass(frozen=True)
class Asked:
    """The keys of the command line, each read with its limits."""

    given: Mapping[str, str]

    def path(self, key: str) -> Path | None:
        """Return a path of the working folder, None where it is not given."""
        text = self.given.get(key)
        return None if text is None else Path(text).expanduser().absolute()

    def number(self, key: str, *, low: int, high: int) -> int | None:
        """Return a whole number within its limits, None where it is not given.

        Raises:
            InputError: it is none, or outside.
        """
        text = self.given.get(key)
        if text is None:
            return None
        if not text.isdecimal() or not low <= int(text) <= high:
            raise InputError(f"{key} must be a whole number from {low} to {high}, not '{text}'")
        return int(text)

    @property
    def server(self) -> Server:
        """The server that is spoken of."""
        from abx_amr.host.postgres import Server, default_folder

        return Server(
            self.path("data_dir") or default_folder(),
            bin_dir=self.path("bin_dir"),
            account=self.given.get("account"),
        )


def read(verb: str, arguments: Sequence[str]) -> Asked:
    """Return the keys that are given, `--listen X` among them as listen.

    Raises:
        InputError: a key is unknown, given twice or without a value.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--listen":
            argument = f"listen={rest.pop(0) if rest else ''}"
        elif argument.startswith("--listen="):
            argument = argument.removeprefix("--")
        key, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"'{argument}' is no setting: write key=value")
        if key not in KEYS[verb]:
            raise InputError(
                f"abx-postgres {verb} has no key '{key}'{did_you_mean(key, KEYS[verb])} "
                f"(known: {', '.join(KEYS[verb])})"
            )
        if key in given:
            raise InputError(f"{key} is given twice")
        if not value:
            raise InputError(f"{'--listen' if key == 'listen' else key} needs a value")
        given[key] = value
    return Asked(given)


def up(asked: Asked) -> None:
    """Start the server, or find it running, and print the exports to use."""
    from abx_amr.host.postgres.connection import PostgresConnection
    from abx_amr.host.postgres.listening import Listening
    from abx_amr.host.postgres.server import LAST_MAX_CONNECTIONS, Wish, max_connections_for

    told = PostgresConnection.from_environment(environ)
    port = asked.given.get("port") or environ.get("PG_PORT") or None
    any_port = port == "auto"
    workers = asked.number("workers", low=1, high=10_000)
    maximum = asked.number("max_connections", low=10, high=LAST_MAX_CONNECTIONS)
    if workers is not None and maximum is not None:
        raise InputError("workers and max_connections say the same: give one of them")
    listen = asked.given.get("listen")
    server = asked.server
    passfile = asked.path("passfile")
    state = server.up(
        Wish(
            user=asked.given.get("username") or told.user,
            database=asked.given.get("database") or told.database,
            password=told.password,
            port=None if any_port else read_port(port),
            any_port=any_port,
            listening=None if listen is None else Listening.parse(listen),
            max_connections=maximum if workers is None else max_connections_for(workers),
            passfile=passfile,
            timeout=float(asked.number("timeout", low=1, high=3600) or 60),
        )
    )
    where = state.connection
    _say(
        f"PostgreSQL {state.version} runs on {where.host}:{where.port} as user "
        f"{state.account}, {state.max_connections} connections, in {server.folder}"
    )
    if state.listening.warning is not None:
        _say(f"warning: {state.listening.warning}")
    if sys.stdout.isatty():
        _say(f'to use it here:  eval "$(abx-postgres {shlex.join(sys.argv[1:])})"')
    for line in exports(state, passfile or server.passfile):
        print(line)


def read_port(text: str | None) -> int | None:
    """Return the port that is asked for, None where none is.

    Raises:
        InputError: it is no port that an ordinary user may listen on.
    """
    from abx_amr.host.postgres.connection import LAST_PORT

    try:
        return Asked({} if text is None else {"port": text}).number(
            "port", low=FIRST_PORT, high=LAST_PORT
        )
    except InputError as error:
        raise InputError(f"{error}, or auto") from None


def exports(state: RecordedState, passfile: Path) -> list[str]:
    """Return the shell lines after which storage=postgres finds the server; no password in them."""
    where = state.connection
    values = {
        "PG_HOST": where.host,
        "PG_PORT": str(where.port),
        "PG_USERNAME": where.user,
        "DB_NAME": where.database,
        "PGPASSFILE": str(passfile),
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def down(asked: Asked) -> None:
    """Stop the server."""
    server = asked.server
    timeout = float(asked.number("timeout", low=1, high=3600) or 60)
    was_running = server.down(timeout=timeout)
    print(f"stopped, in {server.folder}" if was_running else f"no server runs in {server.folder}")


def status(asked: Asked) -> None:
    """Print how the server is; exit status 1 where none runs."""
    server = asked.server
    found = server.status()
    if found is None:
        print(f"no server runs in {server.folder}")
        raise SystemExit(FAILURE)
    state = found.state
    since = found.since.astimezone()
    print(f"running      PostgreSQL {state.version}, process {found.pid} of {state.account}")
    print(f"since        {since:%Y-%m-%d %H:%M:%S %Z}")
    print(f"address      {state.connection.host}:{state.port}")
    print(f"connections  {found.connections} of {state.max_connections}")
    for name, size in found.databases.items():
        print(f"database     {name} ({_size(size)})")
    print(f"folder       {server.folder} ({_size(found.bytes_on_disk)})")
    print(f"programs     {state.programs}")


def url(asked: Asked) -> None:
    """Print the SQLAlchemy URL, without a password."""
    print(_where(asked)[0].url)


def logs(asked: Asked) -> None:
    """Print the end of the server's log."""
    for line in asked.server.tail(asked.number("lines", low=1, high=1_000_000) or 50):
        print(line)


def backup(asked: Asked) -> None:
    """Write the database into a file and say how it is put back."""
    from abx_amr.host.postgres.backup import back_up, restore_command

    connection, passfile, programs = _where(asked)
    file = asked.path("file")
    if file is None:
        file = Path.cwd() / f"{connection.database}_{datetime.now():%Y%m%d_%H%M%S}.dump"
    found = programs()
    back_up(connection, file, programs=found, passfile=passfile)
    print(f"backup:  {file} ({_size(file.stat().st_size)})")
    print(f"restore: {restore_command(connection, file, programs=found)}")


def _where(asked: Asked) -> tuple[PostgresConnection, Path | None, Callable[[], Programs]]:
    """Return connection, password file and programs: those of PG_HOST, else the folder's server."""
    from abx_amr.host.postgres.account import caller
    from abx_amr.host.postgres.connection import PostgresConnection
    from abx_amr.host.postgres.programs import find_programs

    if "data_dir" not in asked.given and environ.get("PG_HOST"):
        told = PostgresConnection.from_environment(environ)
        bin_dir = asked.path("bin_dir")
        return told, None, lambda: find_programs(bin_dir, account=caller())
    server = asked.server
    state = server.recorded_state()
    if state is None or server.pid() is None:
        raise InputError(f"no server runs in {server.folder}: start it with `abx-postgres up`")
    return state.connection, server.passfile, server.programs


def _say(line: str) -> None:
    """Talk beside the output, which is read by the shell."""
    print(line, file=sys.stderr)


def _size(count: float) -> str:
    """Return a number of bytes for people.

    >>> _size(1536)
    '1.5 kB'
    """
    for unit in ("B", "kB", "MB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


VERBS: dict[str, Callable[[Asked], None]] = {
    "up": up,
    "down": down,
    "status": status,
    "url": url,
    "logs": logs,
    "backup": backup,
}


def run(arguments: Sequence[str]) -> None:
    """Do what the command line says.

    Raises:
        InputError: there is no such verb or key, or it cannot be done.
    """
    if not arguments:
        raise InputError(f"say what to do: {', '.join(VERBS)} (abx-postgres --help tells more)")
    verb, *rest = arguments
    if verb not in VERBS:
        raise InputError(unknown("verb", verb, VERBS))
    VERBS[verb](read(verb, rest))


def main() -> None:
    """Enter through the command line."""
    enter_without_hydra("abx-postgres", HELP, run, is_bare_help=False)


if __name__ == "__main__":
    main()
