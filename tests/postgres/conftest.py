"""The command in processes of its own, as a shell calls it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.postgres.account import server_account
from abx_amr.postgres.programs import find_programs
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
def folder() -> Iterator[Path]:
    """A folder for a server that a test starts itself; one left running is stopped."""
    from abx_amr.postgres import Server

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
