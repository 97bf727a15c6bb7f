"""What tests of every room may use: PostgreSQL, SLURM, and processes that may die."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import hypothesis
import pytest

from abx_amr.host.postgres import Server
from abx_amr.planning import kept_values
from tests import services, warm
from tests.once import make_once
from tests.services import Database
from tests.slurm.cluster import Cluster, running_cluster

START_SECONDS = 300  # of what compiles first, where nothing is kept
#: What takes longest, as folders, longest first: it is begun first, so that the processes
#: of a parallel run end together. The first two compile nothing that the other needs too.
LONGEST = (
    "slurm",
    "docs",
    "agents",
    "cli",
    "hierarchy",
    "app",
    "reports",
    "tuning",
    "studies",
    "postgres",
    "sweeper",
)


def pytest_configure() -> None:
    """Decide where temporary files lie, before the first one is made; obey Ctrl-C; no timed test.

    What a script starts in its background ignores SIGINT, and so do all commands that it starts.
    Hypothesis fails an example that takes 0.2 s, as on a busy machine any may, and would draw
    others in each run.
    """
    services.keep_files_in_memory()
    hypothesis.settings.register_profile(
        "alike",
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("alike")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _turn(item: pytest.Item) -> int:
    """Return when a test is begun: the place of its folder in LONGEST, else after all of them."""
    folder = item.path.parent.name
    return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and never among what stays: all modules and tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


#: Folders and files whose tests ask the warm process, of which one is enough.
WARM = (
    "slurm",
    "docs/test_harness.py",
    "docs/test_pages.py",
    "cli/test_tune.py",
    "cli/test_tune_parallel.py",
    "sweeper/test_command_line.py",
    "tuning/test_finishing.py",
)


def group_of(nodeid: str) -> str:
    """Return with which others a test runs in one process: its file, or the service they need.

    Services are PostgreSQL and the warm process of commands, which the SLURM cluster asks too.

    >>> group_of("tests/slurm/test_launcher.py::test_a"), group_of("tests/cli/test_abx.py::test_a")
    ('warm', 'tests/cli/test_abx.py')
    """
    file = PurePosixPath(nodeid.partition("::")[0])
    if file.parent.name == "postgres":
        return "postgres"
    is_warm = any(path.as_posix().endswith(WARM) for path in (file, file.parent))
    return "warm" if is_warm else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler by `group_of`: pytest 9.2 overlooks how xdist 3.8 marks its own groups."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session", autouse=True)
def key_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let runs be signed with a key of the tests, not with that of the account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def kept_plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is known of clinics in one folder for all tests, of a parallel run too."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_values, "FOLDER", str(shared / "plans"))
        yield


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """Let libraries read the same files once for all tests, not in each."""
    with pytest.MonkeyPatch.context() as patch:
        make_once(patch.setattr)
        yield


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
def warm_python(programs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Python as a program that starts at once: what sys.executable is for this test.

    It is for processes of which many are started; that a new interpreter can be one too is proved
    by tests of launchers, of locations and of the installed package.
    """
    program = str(programs / warm.PYTHON)
    monkeypatch.setattr(sys, "executable", program)
    return program


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Database]:
    """A running server: the one PG_* point at, else one started here for the session."""
    with services.some_server() as there:
        yield there


@pytest.fixture
def postgres(postgres_server: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A fresh database for this test, to which PG_* point."""
    with services.fresh_database(postgres_server) as database:
        for name in services.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in database.environment.items():
            monkeypatch.setenv(name, value)
        yield database


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of this test alone, which it may stop and start; PG_* point at it."""
    with services.running_server() as server:
        for name in services.VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in services.database_of(server).environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real SLURM cluster of one node; it is skipped, or failed, where it cannot be started."""
    with running_cluster() as started:
        yield started


@pytest.fixture
def in_processes():
    """Return a runner: work(i) in processes of their own, at once; the exit codes come back.

    A negative code is the signal that ended the process.
    """

    def run(count, work):
        children = []
        for index in range(count):
            child = os.fork()
            if child == 0:
                try:
                    work(index)
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
            children.append(child)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    return run
