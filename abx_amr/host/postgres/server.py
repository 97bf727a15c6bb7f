"""One server in one folder: start it once, whoever asks, stop it cleanly, say how it is.

The folder (default: below the user's data home) holds data/ (PostgreSQL's own), run/ (the socket),
log/, the configuration that this module writes, `pgpass` with the generated password (mode 0600)
and `server.json`, what the last `up` decided. The superuser enters through the socket alone, by
who he is on this machine (peer); everyone else needs the password.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json, write_text
from abx_amr.host.file_system import network_file_system
from abx_amr.host.postgres.account import Account, server_account
from abx_amr.host.postgres.connection import DEFAULT_PORT, PostgresConnection
from abx_amr.host.postgres.listening import Listening, free_port, is_free
from abx_amr.host.postgres.passwords import new_password, password_in, write_entry
from abx_amr.host.postgres.programs import Programs, find_programs

if TYPE_CHECKING:
    import psycopg2.extensions

FOLDER_VARIABLE = "ABX_POSTGRES_DIR"
ROOTS_FOLDER = Path("/var/lib/abx-amr/postgres")
SUPERUSER = "abx_superuser"
CONNECTIONS_PER_WORKER, CONNECTIONS_BESIDE_WORKERS = 3, 20
DEFAULT_WORKERS = 60
LAST_MAX_CONNECTIONS = 262_143
LONGEST_SOCKET_PATH = 107
LOCK_TIMEOUT_SECONDS = 120.0
START_ATTEMPTS = 5
LARGEST_LOG_BYTES = 10_000_000
# A node that vanishes must not hold its locks: the server asks after 30 s, gives up after 60 s.
SETTINGS = {
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "idle_in_transaction_session_timeout": "300000",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_timezone": "UTC",
}


def max_connections_for(workers: int) -> int:
    """Return how many connections a study with this many workers may need.

    >>> max_connections_for(8)
    44
    """
    return CONNECTIONS_PER_WORKER * workers + CONNECTIONS_BESIDE_WORKERS


def default_folder() -> Path:
    """Return ABX_POSTGRES_DIR, else abx-amr/postgres in the user's data home.

    For root it is /var/lib/abx-amr/postgres: the server runs as another user, to whom /root is
    closed.
    """
    told = os.environ.get(FOLDER_VARIABLE)
    if told:
        return Path(told)
    if os.geteuid() == 0:
        return ROOTS_FOLDER
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "abx-amr" / "postgres"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the server shall be like; None leaves it as it is, or the default for a new one."""

    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    port: int | None = None
    any_port: bool = False
    listening: Listening | None = None
    max_connections: int | None = None
    passfile: Path | None = None
    timeout: float = 60.0


@dataclass(frozen=True, kw_only=True)
class RecordedState:
    """What the last `up` decided: server.json."""

    port: int
    listening: Listening
    max_connections: int
    user: str
    database: str
    programs: str
    version: int
    account: str

    @property
    def connection(self) -> PostgresConnection:
        """How workers reach the database (the password is in the .pgpass file)."""
        return PostgresConnection(
            host=self.listening.host, port=self.port, user=self.user, database=self.database
        )


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a running server is."""

    pid: int
    since: datetime
    state: RecordedState
    connections: int
    databases: dict[str, int]
    bytes_on_disk: int


class Server:
    """The server whose files lie in `folder`; nothing is made before `up`."""

    def __init__(
        self, folder: Path | str, *, bin_dir: Path | None = None, account: str | None = None
    ) -> None:
        """Name the folder, and where programs or user are not to be looked for."""
        self.folder = Path(os.path.realpath(Path(folder).expanduser()))
        self._bin_dir = bin_dir
        self._account_name = account
        self.data = self.folder / "data"
        self.sockets = self.folder / "run"
        self.log_folder = self.folder / "log"
        self.log = self.log_folder / "server.log"
        self.passfile = self.folder / "pgpass"
        self._state = self.folder / "server.json"

    # -- the verbs ------------------------------------------------------------------------------

    def up(self, wish: Wish) -> RecordedState:
        """Start the server unless it runs, see to user, password and database; return how it is.

        Any number of processes may call this at once: one starts it, the others find it running.

        Raises:
            InputError: it cannot start, or it runs and is not as wished.
        """
        account = server_account(self._account_name)
        self._check_place(account)
        with _reported(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_reach(account)
            with self._lock(wish.timeout + LOCK_TIMEOUT_SECONDS):
                before = self.recorded_state()
                if self.pid() is not None and before is not None:
                    state = self._as_wished(before, wish)
                else:
                    state = self._start(wish, account, before)
                self._admit(wish, state, before)
                self._write_down(state)
                return state

    def up_again(self) -> RecordedState:
        """Start the server as it was started the last time; return how it is.

        Raises:
            InputError: it was never started, or cannot start.
        """
        before = self.recorded_state()
        if before is None:
            raise InputError(f"no server has been started in {self.folder}")
        return self.up(
            Wish(
                user=before.user,
                database=before.database,
                port=before.port,
                listening=before.listening,
                max_connections=before.max_connections,
            )
        )

    def down(self, *, timeout: float = 60.0) -> bool:
        """Stop the server once its transactions are written; return whether it was running.

        Raises:
            InputError: it does not stop.
        """
        if not self.data.is_dir():
            return False
        with _reported(self.folder), self._lock(timeout + LOCK_TIMEOUT_SECONDS):
            if self.pid() is None:
                return False
            self._stop(self.programs(), self._owner(), timeout)
            return True

    def status(self) -> Status | None:
        """Return how the running server is, None where none runs.

        Raises:
            InputError: it runs, but does not answer.
        """
        pid = self.pid()
        state = self.recorded_state()
        if pid is None or state is None:
            return None
        with self._superuser() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            connections = int(cursor.fetchone()[0])
            cursor.execute(
                "SELECT datname, pg_database_size(oid) FROM pg_database "
                "WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname"
            )
            databases = {name: int(size) for name, size in cursor.fetchall()}
        return Status(
            pid=pid,
            since=datetime.fromtimestamp(int(self._pid_file()[2])),
            state=state,
            connections=connections,
            databases=databases,
            bytes_on_disk=_size_of(self.data),
        )

    def recorded_state(self) -> RecordedState | None:
        """Return what the last `up` decided, None where there was none.

        Raises:
            InputError: the folder is closed to this user.
        """
        try:
            held = json.loads(self._state.read_text(encoding="utf-8"))
            return RecordedState(**{**held, "listening": Listening(**held["listening"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        except PermissionError:
            raise InputError(f"{self.folder} is closed to this user") from None

    def pid(self) -> int | None:
        """Return the process number of the running server, None where none runs."""
        lines = self._pid_file()
        if not lines or not lines[0].isdecimal():
            return None
        pid = int(lines[0])
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except OSError:
            return None
        if name not in ("postgres", "postmaster"):
            return None
        try:  # a number that was given away again may be another server's, which works elsewhere
            return pid if os.path.samefile(f"/proc/{pid}/cwd", self.data) else None
        except OSError:  # another account's cannot be looked at
            return pid

    def tail(self, lines: int) -> list[str]:
        """Return the last lines of the server's log.

        Raises:
            InputError: there is none.
        """
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            raise InputError(f"no server has been started in {self.folder}") from None
        except PermissionError:
            raise InputError(f"{self.log} is closed to this user") from None
        return text.splitlines()[-lines:] if lines else []

    def programs(self) -> Programs:
        """Return the programs that fit the data.

        Raises:
            InputError: there are none.
        """
        return find_programs(self._bin_dir, account=self._owner(), version=self._data_version())

    # -- starting -------------------------------------------------------------------------------

    def _check_place(self, account: Account) -> None:
        """Refuse a folder in which no server can work, before anything is made."""
        kind = network_file_system(self.folder)
        if kind is not None:
            raise InputError(
                f"PostgreSQL's data cannot lie in {self.folder}: its file system ({kind}) does not "
                "lock reliably; choose a local disk with data_dir=FOLDER (on a cluster $TMPDIR)"
            )
        socket = self.sockets / ".s.PGSQL.65535"
        if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
            raise InputError(
                f"data_dir is too long a path: the server's socket {socket} has "
                f"{len(os.fsencode(socket))} bytes, at most {LONGEST_SOCKET_PATH} are possible"
            )
        self._check_reach(account)

    def _check_reach(self, account: Account) -> None:
        closed = account.is_kept_out_of(self.folder)
        if closed is not None:
            raise InputError(
                f"the server runs as user {account.name}, to whom {closed} is closed: choose "
                f"another folder with data_dir=FOLDER (such as {ROOTS_FOLDER})"
            )

    def _as_wished(self, state: RecordedState, wish: Wish) -> RecordedState:
        """Return how the running server is, and refuse a wish that it does not meet."""
        cure = "use that, or `abx-postgres down` first"
        where = f"the server in {self.folder}"
        if wish.port is not None and wish.port != state.port:
            raise InputError(f"{where} runs on port {state.port}, not {wish.port}: {cure}")
        if wish.listening is not None and wish.listening != state.listening:
            heard = "/".join(filter(None, (state.listening.address, state.listening.allowed)))
            raise InputError(f"{where} listens on {heard or 'loopback only'}: {cure}")
        if wish.max_connections is not None and wish.max_connections > state.max_connections:
            raise InputError(
                f"{where} admits {state.max_connections} connections, not "
                f"{wish.max_connections}: {cure}"
            )
        return replace(state, user=wish.user, database=wish.database)

    def _start(self, wish: Wish, account: Account, before: RecordedState | None) -> RecordedState:
        is_new = not self.data.is_dir()
        if not is_new and self.data.stat().st_uid != account.uid:
            raise InputError(
                f"{self.data} belongs to user {self._owner().name}, not {account.name}: choose "
                "another folder with data_dir=FOLDER"
            )
        programs = find_programs(
            self._bin_dir, account=account, version=None if is_new else self._data_version()
        )
        listening = wish.listening or Listening()
        if is_new:  # a port that is taken is said before anything is made
            self._port(wish, listening.addresses, None)
        if self.pid() is not None:  # of an unknown configuration
            self._stop(programs, account, wish.timeout)
        for folder in (self.sockets, self.log_folder):
            account.own(folder)
        if is_new:
            self._initialise(programs, account)
        self._set_log_aside()
        state = RecordedState(
            port=0,
            listening=listening,
            max_connections=wish.max_connections
            or (before.max_connections if before else max_connections_for(DEFAULT_WORKERS)),
            user=wish.user,
            database=wish.database,
            programs=str(programs.folder),
            version=programs.version,
            account=account.name,
        )
        for attempt in range(START_ATTEMPTS):
            last_port = before.port if before and attempt == 0 else None
            port = self._port(wish, state.listening.addresses, last_port)
            state = replace(state, port=port)
            self._configure(state, account)
            self._write_down(state)
            failure = self._run_server(programs, account, wish.timeout)
            if failure is None:
                return state
            is_taken = "Address already in use" in failure
            if not (is_taken and wish.any_port) or attempt == START_ATTEMPTS - 1:
                raise InputError(f"the server does not start: {failure} (log: {self.log})")
        raise AssertionError

    def _port(self, wish: Wish, addresses: tuple[str, ...], last: int | None) -> int:
        """Return the port to listen on: as wished, else as the last time."""
        if wish.any_port:
            return last if last and is_free(addresses, last) else free_port(addresses)
        port = wish.port or last or DEFAULT_PORT
        if not is_free(addresses, port):
            raise InputError(
                f"port {port} on {', '.join(addresses)} is occupied by another program: choose "
                "another with port=N, or port=auto"
            )
        return port

    def _stop(self, programs: Programs, account: Account, timeout: float) -> None:
        command = [programs.path("pg_ctl"), "stop", "-D", str(self.data), "-m", "fast", "-w"]
        ended = account.run([*command, "-t", f"{timeout:.0f}"], timeout=timeout + 30)
        if ended.returncode != 0 and self.pid() is not None:
            raise InputError(f"the server in {self.folder} does not stop: {_last(ended)}")

    def _initialise(self, programs: Programs, account: Account) -> None:
        """Make the data folder; one that a killed process left half made is made anew."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        account.own(unfinished)
        command = [programs.path("initdb"), "-D", str(unfinished), "-U", SUPERUSER]
        access = ["--auth-local=peer", "--auth-host=scram-sha-256"]
        kind = ["--encoding=UTF8", "--locale=C", "--data-checksums"]
        ended = account.run([*command, *access, *kind], timeout=300)
        if ended.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise InputError(f"PostgreSQL cannot make its data in {self.folder}: {_last(ended)}")
        unfinished.rename(self.data)

    def _configure(self, state: RecordedState, account: Account) -> None:
        """Write the configuration, which lies outside the folder that the server may write to."""
        import pwd

        callers = {account.name, pwd.getpwuid(os.geteuid()).pw_name}
        rules = [
            f"local all {SUPERUSER} peer map=abx",
            "local all all scram-sha-256",
            f"host all {SUPERUSER} all reject",
            *state.listening.rules(),
        ]
        files = {
            "pg_hba.conf": "\n".join(rules),
            "pg_ident.conf": "\n".join(f'abx "{name}" {SUPERUSER}' for name in sorted(callers)),
        }
        settings = {
            **SETTINGS,
            "listen_addresses": ",".join(state.listening.addresses),
            "port": str(state.port),
            "max_connections": str(state.max_connections),
            "unix_socket_directories": f'"{self.sockets}"',
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
        }
        files["postgresql.conf"] = "\n".join(
            "{} = '{}'".format(name, value.replace("'", "''")) for name, value in settings.items()
        )
        for name, text in files.items():
            write_text(self.folder / name, f"# written by abx-postgres up\n{text}\n")
            os.chmod(self.folder / name, 0o644)  # the server's user reads them; no secret in them

    def _run_server(self, programs: Programs, account: Account, timeout: float) -> str | None:
        """Start the server and wait until it answers; return why it did not, None if it does."""
        options = f"-c config_file={shlex.quote(str(self.folder / 'postgresql.conf'))}"
        begin = self.log.stat().st_size if self.log.exists() else 0
        command = [programs.path("pg_ctl"), "start", "-D", str(self.data), "-l", str(self.log)]
        ended = account.run(
            [*command, "-o", options, "-w", "-t", f"{timeout:.0f}"], timeout=timeout + 30
        )
        if ended.returncode == 0:
            return None
        message = ""
        if self.log.exists():
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(begin)
                message = log.read()
        reasons = [line for line in message.splitlines() if "FATAL" in line or "could not" in line]
        return reasons[0].partition(": ")[2].strip() if reasons else _last(ended)

    def _set_log_aside(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG_BYTES:
            os.replace(self.log, self.log.with_suffix(".log.1"))

    # -- users and databases --------------------------------------------------------------------

    def _admit(self, wish: Wish, state: RecordedState, before: RecordedState | None) -> None:
        """See to it that the user can enter the database with the password of the .pgpass file."""
        from psycopg2 import sql
        from psycopg2.extensions import encrypt_password

        user, database = state.user, state.database
        if user == SUPERUSER or user.startswith("pg_"):
            raise InputError(f"PG_USERNAME must not be {user}, which is PostgreSQL's own")
        password = (
            wish.password or password_in(self.passfile, port=None, user=user) or new_password()
        )
        former = before.port if before else None
        for file in filter(None, (self.passfile, wish.passfile)):
            write_entry(file, port=state.port, user=user, password=password, replacing=former)
        with self._superuser(state.port) as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            # Encrypted here, so that the server never sees the password, nor its log.
            secret = encrypt_password(password, user, cursor.connection, "scram-sha-256")
            cursor.execute(
                sql.SQL("{} ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                    sql.SQL(verb), sql.Identifier(user), sql.Literal(secret)
                )
            )
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(database), sql.Identifier(user)
                    )
                )

    @contextmanager
    def _superuser(self, port: int | None = None) -> Iterator[psycopg2.extensions.cursor]:
        """Give a cursor of the superuser, who enters through the socket without a password."""
        import psycopg2

        state = self.recorded_state()
        known = port if port is not None else state.port if state else 0
        try:
            connection = psycopg2.connect(
                host=str(self.sockets),
                port=known,
                user=SUPERUSER,
                dbname="postgres",
                connect_timeout=10,
                application_name="abx-postgres",
            )
        except psycopg2.OperationalError as error:
            raise InputError(
                f"the server in {self.folder} does not let this user in: {_line(error)}"
            ) from None
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise InputError(f"the server in {self.folder} refuses: {_line(error)}") from None
        finally:
            connection.close()

    # -- the folder -----------------------------------------------------------------------------

    def _write_down(self, state: RecordedState) -> None:
        write_json(self._state, asdict(state))

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except PermissionError:
            raise InputError(f"{self.folder} is closed to this user") from None

    def _data_version(self) -> int | None:
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            raise InputError(f"{self.data} is no data of PostgreSQL: move it away") from None

    def _owner(self) -> Account:
        """Return the user to whom the data belong, as whom the server was started."""
        import pwd

        uid = self.data.stat().st_uid
        if uid == os.geteuid():
            return server_account(None)
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            raise InputError(f"{self.data} belongs to user number {uid}, who is unknown") from None
        if os.geteuid() != 0:
            raise InputError(f"{self.data} belongs to user {name}: only that user may do this")
        return server_account(name)

    @contextmanager
    def _lock(self, timeout: float) -> Iterator[None]:
        lock = FileLock(self.folder / "lock", timeout=timeout)
        began = time.monotonic()
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another abx-postgres has been busy in {self.folder} for "
                f"{time.monotonic() - began:.0f} s"
            ) from None
        try:
            yield
        finally:
            lock.release()


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """Say in one line what the file system refuses."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise InputError(f"cannot work in {folder}: {place}: {error.strerror}") from error


def _last(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the line in which a program says why it failed."""
    lines = [line.strip() for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
    told = [line for line in lines if "error" in line or "could not" in line or "FATAL" in line]
    return (told or lines or [f"exit status {ended.returncode}"])[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue  # gone meanwhile
    return total
