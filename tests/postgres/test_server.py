"""A server starts once whoever asks, serves its users alone, and loses nothing."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres import Server, Wish, account
from abx_amr.host.postgres.passwords import password_in
from tests import services
from tests.postgres.conftest import Said, start

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
WISH = Wish(user="ada", database="studies", any_port=True)


def enter(exports, **changes):
    """Connect as a client that knows the printed variables and nothing else."""
    where = {
        "host": exports["PG_HOST"],
        "port": exports["PG_PORT"],
        "user": exports["PG_USERNAME"],
        "dbname": exports["DB_NAME"],
        "passfile": exports["PGPASSFILE"],
        "connect_timeout": 5,
    }
    return psycopg2.connect(**{**where, **changes})


def exports_of(server):
    return services.database_of(server).environment


def test_eight_processes_that_ask_at_once_find_one_server(folder):
    processes = [start("up", f"data_dir={folder}", "port=auto") for _ in range(8)]
    ended = [
        Said(p.returncode, *message) for p in processes if (message := p.communicate(timeout=180))
    ]
    assert [(e.status, e.err.count("\n")) for e in ended] == [(0, 1)] * 8, ended
    assert len({e.out for e in ended}) == 1
    assert Server(folder).log.read_text().count("starting PostgreSQL") == 1
    with enter(ended[0].exports) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == (ended[0].exports["PG_USERNAME"], "optuna_tuning")
    connection.close()


def test_what_was_written_is_there_after_down_and_up_on_the_same_port(command, folder):
    told = {"PG_USERNAME": "ada", "DB_NAME": "my studies"}
    first = command("up", f"data_dir={folder}", "port=auto", environment=told)
    connection = enter(first.exports)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert command("down", f"data_dir={folder}").out == f"stopped, in {folder}\n"
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    again = command("down", f"data_dir={folder}")
    assert (again.status, again.out) == (0, f"no server runs in {folder}\n")
    assert command("status", f"data_dir={folder}").status == 1

    second = command("up", f"data_dir={folder}", environment=told)
    assert second.exports == first.exports
    with enter(second.exports) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    connection.close()
    log = Server(folder).log.read_text()
    assert "database system is shut down" in log
    assert "not properly shut down" not in log


def test_a_killed_server_comes_back_with_all_that_was_committed(folder):
    server = Server(folder)
    server.up(WISH)
    with enter(exports_of(server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    connection.close()
    os.kill(server.pid(), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while server.pid() is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert server.status() is None
    server.up(WISH)
    with enter(exports_of(server)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    connection.close()


def test_data_that_a_killed_process_left_half_made_are_made_anew(folder):
    half = folder / "data.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    server = Server(folder)
    server.up(WISH)
    assert not half.exists()
    enter(exports_of(server)).close()


def test_nobody_enters_without_the_password_and_the_superuser_not_at_all(server):
    there = exports_of(server)
    for changes in ({"passfile": "/dev/null"}, {"password": "guess"}):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            enter(there, **changes)
    with pytest.raises(psycopg2.OperationalError, match="pg_hba"):
        enter(there, user="abx_superuser", password="guess")
    with enter(there) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, True)
    connection.close()


def test_it_listens_on_loopback_alone_unless_told_otherwise(server):
    port = server.recorded_state().port
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


@NEEDS_ROOT
def test_it_never_runs_as_root_and_its_user_cannot_change_its_configuration(server):
    uid = Path(f"/proc/{server.pid()}").stat().st_uid
    assert uid != 0
    for name in ("pg_hba.conf", "postgresql.conf", "pg_ident.conf", "server.json"):
        assert (server.folder / name).stat().st_uid == 0


def test_its_environment_holds_no_variable_of_the_caller_s_databases(folder, command):
    secrets = {"PG_PASSWORD": "x9-secret", "ABX_STORAGE_URL": "postgresql://a:x9-secret@b/c"}
    assert command("up", f"data_dir={folder}", "port=auto", environment=secrets).status == 0
    environment = Path(f"/proc/{Server(folder).pid()}/environ").read_bytes()
    assert b"x9-secret" not in environment


def test_a_port_that_is_taken_is_said_and_auto_finds_another(command, folder):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        message = command("up", f"data_dir={folder}", f"port={taken}")
        assert f"port {taken} on 127.0.0.1 is occupied" in message.line
        assert "port=auto" in message.line
        told = {"PG_PORT": str(taken)}
        assert f"port {taken}" in command("up", f"data_dir={folder}", environment=told).line
        found = command("up", f"data_dir={folder}", "port=auto", environment=told)
        assert found.exports["PG_PORT"] not in ("", str(taken))


def test_a_running_server_that_is_not_as_wished_is_said(command, server):
    port = server.recorded_state().port
    for wish, reason in {
        f"port={port + 1}": f"runs on port {port}, not {port + 1}",
        "workers=5000": "connections, not 15020",
        "--listen=0.0.0.0": "listens on loopback only",
    }.items():
        line = command("up", f"data_dir={server.folder}", wish).line
        assert reason in line
        assert "abx-postgres down" in line


def test_another_user_and_database_are_added_to_a_running_server(command, server):
    told = {"PG_USERNAME": 'o"dd:\\name', "DB_NAME": 'qu"oted', "PG_PASSWORD": "a:b\\c'd"}
    message = command("up", f"data_dir={server.folder}", environment=told)
    assert message.status == 0, message.err
    with psycopg2.connect(
        host="127.0.0.1",
        port=server.recorded_state().port,
        user=told["PG_USERNAME"],
        dbname=told["DB_NAME"],
        passfile=str(server.passfile),
    ) as connection:
        assert connection.info.dbname == told["DB_NAME"]
    connection.close()
    assert (
        "is PostgreSQL's own"
        in command("up", f"data_dir={server.folder}", "username=abx_superuser").line
    )
    server.up(Wish(user="tester", database="tests"))  # as the other tests know it


def test_a_second_password_file_gets_our_line_and_keeps_its_others(command, server, tmp_path):
    passfile = tmp_path / ".pgpass"
    passfile.write_text("# mine\nelsewhere:5432:*:me:pass\n*:1:*:tester:other server\n")
    message = command(
        "up",
        f"data_dir={server.folder}",
        "username=tester",
        "database=tests",
        f"passfile={passfile}",
    )
    assert message.exports["PGPASSFILE"] == str(passfile)
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    lines = passfile.read_text().splitlines()
    assert lines[1:] == ["# mine", "elsewhere:5432:*:me:pass", "*:1:*:tester:other server"]
    enter(message.exports).close()


def test_an_ordinary_user_needs_no_root(as_another_user):
    uid = pwd.getpwnam("nobody").pw_uid
    with services.server_folder() as made:
        home = made / "home"
        home.mkdir()
        os.chown(home, uid, uid)
        told = {"HOME": str(home), "USER": "nobody", "XDG_DATA_HOME": ""}
        message = as_another_user(uid, "up", "port=auto", environment=told)
        try:
            assert message.status == 0, message.err
            place = home / ".local/share/abx-amr/postgres"
            assert message.exports["PGPASSFILE"] == str(place / "pgpass")
            assert (place / "data").stat().st_uid == uid
            enter(message.exports).close()
            assert as_another_user(uid, "status", environment=told).status == 0
        finally:
            assert as_another_user(uid, "down", environment=told).status == 0


def test_a_user_without_passwd_entry_is_told_so(as_another_user):
    told = {"USER": "ghost", "HOME": "/tmp"}
    line = as_another_user(54321, "up", "data_dir=/tmp/ghost-pg", environment=told).line
    assert "user number 54321 has no entry in /etc/passwd" in line
    assert not Path("/tmp/ghost-pg").exists()


def test_a_network_file_system_is_refused_before_anything_is_made(folder, monkeypatch):
    monkeypatch.setattr("abx_amr.host.postgres.server.network_file_system", lambda path: "nfs4")
    with pytest.raises(InputError, match=r"file system \(nfs4\) does not lock.*data_dir"):
        Server(folder).up(WISH)
    assert not folder.exists()


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(folder, command):
    deep = folder / ("x" * 90)
    line = command("up", f"data_dir={deep}", "port=auto").line
    assert "at most 107 are possible" in line
    assert not folder.exists()


@NEEDS_ROOT
def test_a_folder_closed_to_the_server_s_user_is_refused_before_anything_is_made(command, tmp_path):
    tmp_path.chmod(0o700)
    line = command("up", f"data_dir={tmp_path / 'pg'}", "port=auto").line
    assert "closed: choose another folder" in line
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_one_line(command, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    line = command("up", f"data_dir={folder}", "port=auto").line
    assert str(folder) in line
    folder.unlink()


def test_root_may_not_be_chosen(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(InputError, match="must not be root"):
        account.server_account("root")
    with pytest.raises(InputError, match="there is no user no-such-user"):
        account.server_account("no-such-user")


def test_the_password_is_nowhere_but_in_its_files(folder, command, tmp_path):
    """Every verb, every error, the log with all statements, and the list of processes."""
    seen = []
    over = threading.Event()

    def watch():
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    seen.append((process / "cmdline").read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        first = command("up", f"data_dir={folder}", "port=auto")
        password = password_in(folder / "pgpass", port=None, user=first.exports["PG_USERNAME"])
        assert password and len(password) >= 32
        with Server(folder)._superuser() as cursor:
            cursor.execute("ALTER SYSTEM SET log_statement = 'all'")
            cursor.execute("ALTER SYSTEM SET log_connections = on")
            cursor.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        ended = [
            first,
            command("up", f"data_dir={folder}", f"passfile={tmp_path / 'pass'}"),
            command("up", f"data_dir={folder}", "database=other"),
            command("up", f"data_dir={folder}", "port=1024"),
            command("status", f"data_dir={folder}"),
            command("url", f"data_dir={folder}"),
            command("url", environment={**first.exports, "PG_PASSWORD": password}),
            command("backup", f"data_dir={folder}", f"file={tmp_path / 'x.dump'}"),
            command(
                "backup",
                f"file={tmp_path / 'y.dump'}",
                environment={**first.exports, "PGPASSFILE": "/dev/null", "PG_PASSWORD": password},
            ),
            command(
                "backup",
                f"file={tmp_path / 'z.dump'}",
                environment={**first.exports, "PG_PASSWORD": "wrong-guess"},
            ),
            command("logs", f"data_dir={folder}", "lines=1000"),
        ]
    finally:
        over.set()
        watcher.join()
    assert [e.status for e in ended] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0], ended
    for message in ended:
        assert password not in message.out + message.err
        assert "wrong-guess" not in message.out + message.err
    assert not any(password.encode() in line or b"wrong-guess" in line for line in seen)
    assert any(b"initdb" in line for line in seen)  # the watcher was quick enough to see programs
    log = (folder / "log" / "server.log").read_text()
    assert "ALTER ROLE" in log
    assert password not in log
    holders = {
        path
        for path in [*folder.rglob("*"), *tmp_path.rglob("*")]
        if path.is_file() and password.encode() in path.read_bytes()
    }
    assert holders == {folder / "pgpass", tmp_path / "pass"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}


def test_connections_follow_from_the_number_of_workers(folder, command):
    assert command("up", f"data_dir={folder}", "port=auto", "workers=5").status == 0
    connection = enter(exports_of(Server(folder)))
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        assert cursor.fetchone() == ("35",)
    message = command("status", f"data_dir={folder}").out
    connection.close()
    assert "connections  1 of 35" in message
    assert "database     optuna_tuning (" in message
    assert time.strftime("%Y-%m-%d") in message
    assert f"process {Server(folder).pid()} of" in message


def _address_of_this_machine():
    message = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout
    found = [address for address in message.split() if "." in address]
    if not found:
        pytest.skip("this machine has no address but loopback")
    return found[0]


def test_a_range_decides_who_is_let_in(folder, command):
    address = _address_of_this_machine()
    wrong = command(
        "up", f"data_dir={folder}", "port=auto", "--listen", f"{address}/203.0.113.0/24"
    )
    assert wrong.status == 0, wrong.err
    assert "open to 203.0.113.0/24" in wrong.err
    assert "without TLS" in wrong.err
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry"):
        enter(wrong.exports)
    enter(wrong.exports, host="127.0.0.1").close()
    assert "listens on" in command("up", f"data_dir={folder}", "--listen", f"{address}/16").line
    assert command("down", f"data_dir={folder}").status == 0
    right = command("up", f"data_dir={folder}", "--listen", f"{address}/16")
    assert right.exports["PG_HOST"] == address
    with enter(right.exports) as connection:
        assert connection.info.host == address
    connection.close()
    assert command("down", f"data_dir={folder}").status == 0
    closed = command("up", f"data_dir={folder}")  # loopback unless told otherwise
    assert closed.exports["PG_HOST"] == "127.0.0.1"
    with pytest.raises(psycopg2.OperationalError):
        enter(closed.exports, host=address)
