"""The command in processes of its own, as a shell calls it."""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres.account import server_account
from abx_amr.host.postgres.programs import find_programs
from tests import services


@dataclass
class Said:
    """How the command ended."""

    status: int
    out: str
    err: str

    @property
    def exports(self) -> dict[str, str]:
        """The variables that `up` printed."""
        pairs = (line.removeprefix("export ").split("=", 1) for line in self.out.splitlines())
        return {name: value.strip("'") for name, value in pairs}

    @property
    def line(self) -> str:
        """The one line of an error that is the user's to mend."""
        lines = self.err.strip().splitlines()
        assert self.status == 2, (self.status, self.out, self.err)
        assert len(lines) == 1 and lines[0].startswith("abx-postgres: error: "), self.err
        return lines[0]


Command = Callable[..., Said]


def start(*arguments: object, environment: dict[str, str] | None = None, **options: object):
    """Start the command without waiting for it; no PG_* of this process reach it."""
    clean = {k: v for k, v in os.environ.items() if k not in services.VARIABLES}
    return subprocess.Popen(
        [sys.executable, "-m", "abx_amr.cli.postgres", *map(str, arguments)],
        env={**clean, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def command() -> Command:
    """Run abx-postgres and return how it ended."""

    def run(*arguments: object, environment: dict[str, str] | None = None, **options: object):
        process = start(*arguments, environment=environment, **options)
        out, err = process.communicate(timeout=180)
        return Said(process.returncode, out, err)

    return run


@pytest.fixture
def as_another_user(tmp_path_factory) -> Command:
    """Run abx-postgres in a forked process that has become another user; only root may.

    Forked, because this interpreter itself may lie where only root may read.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    import filelock  # noqa: F401
    import psycopg2
    import psycopg2.sql  # noqa: F401

    from abx_amr.cli import postgres

    def run(uid: int, *arguments: object, environment: dict[str, str]) -> Said:
        files = [tmp_path_factory.mktemp("said") / name for name in ("out", "err")]
        child = os.fork()
        if child == 0:
            status = 70
            try:
                for number, file in enumerate(files, start=1):
                    os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY), number)
                sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
                for name in services.VARIABLES:
                    os.environ.pop(name, None)
                os.environ.update(environment)
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                os.chdir("/")
                sys.argv = ["abx-postgres", *map(str, arguments)]
                status = 0
                postgres.main()
            except SystemExit as stop:
                status = stop.code
            except BaseException:
                traceback.print_exc()
                status = 70
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Said(status, files[0].read_text(), files[1].read_text())

    return run


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a server that a test starts itself; one left running is stopped."""
    from abx_amr.host.postgres import Server

    try:
        find_programs(account=server_account())
    except InputError as error:
        services.lacking(str(error))
    with services.server_folder() as made:
        place = made / "pg"
        try:
            yield place
        finally:
            Server(place).down()


@pytest.fixture(scope="module")
def server():
    """A running server for the tests of one file that leave it as it is."""
    with services.running_server() as running:
        yield running
