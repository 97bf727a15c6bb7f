"""A warm server of commands for all pages, and an environment in which a page is run."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import services
from tests.docs import warm

START_SECONDS = 300


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """A folder of programs, the project's commands, answered by one warm process."""
    with tempfile.TemporaryDirectory(prefix="abx-docs-") as made:
        folder, address = Path(made), Path(made) / "socket"
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [sys.executable, warm.__file__, str(address)],
                env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for name in warm.SCRIPTS:
                warm.shim(folder, name, address)
            give_up = time.monotonic() + START_SECONDS
            while not address.exists():
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < give_up, (folder / "log").read_text()
                time.sleep(0.1)
            yield folder
        finally:
            os.killpg(server.pid, 9)  # commands that a page has left behind too
            server.wait()


@pytest.fixture
def environment(programs: Path, tmp_path: Path) -> dict[str, str]:
    """Variables of a user with an empty home, who has the commands on the PATH."""
    home = tmp_path / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if k not in services.VARIABLES}
    cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    return {
        **clean,
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), clean["PATH"]]),
        "HOME": str(home),
        "XDG_CACHE_HOME": cache,
        "PYTHONPATH": str(warm.ROOT),
        "OMP_NUM_THREADS": "1",
    }
