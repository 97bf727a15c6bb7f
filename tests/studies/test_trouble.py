"""What a study meets in the field: a server restarted, a disk that fills up, a folder closed.

The real worker loop in processes of its own, with an objective that sleeps.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres import Server, Wish
from abx_amr.studies import patience
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import (
    JournalStorage,
    PostgresStorage,
    SqliteStorage,
    StorageError,
    StorageGoneError,
)
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests import services
from tests.studies.conftest import parabola

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
WITH_FILES = {"sqlite": SqliteStorage, "journal": JournalStorage}


def sleeping(seconds, record=None):
    """Sleep, then the parabola; what was returned is written down for a later comparison."""

    def run_trial(params, seeds, folder):
        time.sleep(seconds)
        outcomes = parabola(params, seeds, folder)
        if record is not None:
            value = [outcome.episode_return for outcome in outcomes]
            (record / folder.name).write_text(json.dumps(value))
        return outcomes

    return run_trial


def wait_until(is_so, *, seconds=60, what=""):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited {seconds} s in vain {what}"
        time.sleep(0.05)


def finished(settings, storage):
    backend = storage.open()
    trials = backend.get_all_trials(backend.get_study_id_from_name(settings.study_name))
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def assert_exact(settings, storage, record=None):
    """As many finished trials as asked for, no point twice, each with the value it returned."""
    trials = finished(settings, storage)
    assert len(trials) == settings.n_trials
    assert len({trial.user_attrs["lineage"] for trial in trials}) == settings.n_trials
    for trial in trials if record is not None else ():
        stored = [seed["episode_return"] for seed in trial.user_attrs["seeds"]]
        assert stored == json.loads((record / str(trial.number)).read_text())


@contextlib.contextmanager
def workers_at_work(count, work, folder):
    """Give workers as forked processes; their exit codes and what they said come at the end."""
    children, ended = [], {}
    for index in range(count):
        message = folder / f"worker_{index}.txt"
        child = os.fork()
        if child == 0:
            descriptor = os.open(message, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            status = 70
            try:
                work()
                status = 0
            except StorageError as error:
                os.write(2, f"error: {error}\n".encode())
                status = 2
            except BaseException as error:
                os.write(2, f"unexpected {type(error).__name__}: {error}\n".encode())
            os._exit(status)
        children.append((child, message))
    try:
        yield ended
    finally:
        for child, message in children:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            ended[child] = (code, message.read_text())


@contextlib.contextmanager
def small_disk(folder, *, megabytes):
    """Mount a disk of its own at the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={megabytes}m,mode=0755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk):
    """Leave no byte free."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as stream:
        block = bytes(1 << 16)
        while True:
            if stream.write(block) < len(block):
                break
    return filler


@pytest.fixture
def record(tmp_path):
    folder = tmp_path / "record"
    folder.mkdir()
    return folder


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)


# -- PostgreSQL goes away ---------------------------------------------------------------------


def _crash(server):
    os.kill(server.pid(), signal.SIGKILL)
    wait_until(lambda: server.pid() is None, what="for the server to die")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(Server.down, id="down", marks=pytest.mark.slow),
        pytest.param(_crash, id="kill -9"),
    ],
)
def test_workers_outlast_a_restart_of_postgres(own_server, configuration, record, tmp_path, end):
    settings = StudySettings.from_configuration(configuration(n_trials=24))
    storage = PostgresStorage()
    prepare_study(settings, storage)

    def work():
        run_worker(settings, storage, sleeping(0.3, record))

    with workers_at_work(4, work, tmp_path) as ended:
        wait_until(lambda: len(finished(settings, storage)) >= 6)
        before = {trial.number: trial.value for trial in finished(settings, storage)}
        end(own_server)
        time.sleep(1.5)  # as long as several trials: workers end theirs without a server
        own_server.up_again()
    assert [code for code, _ in ended.values()] == [0] * 4, ended
    assert "Traceback" not in "".join(message for _, message in ended.values())
    assert_exact(settings, storage, record)
    after = {trial.number: trial.value for trial in finished(settings, storage)}
    assert before.items() <= after.items()


def test_a_server_that_stays_away_ends_workers_in_one_line_and_the_study_goes_on_later(
    own_server, configuration, record, tmp_path, impatient
):
    settings = StudySettings.from_configuration(configuration(n_trials=8))
    storage = PostgresStorage()
    prepare_study(settings, storage)

    def work():
        run_worker(settings, storage, sleeping(0.3, record))

    with workers_at_work(2, work, tmp_path) as ended:
        wait_until(lambda: len(finished(settings, storage)) >= 2)
        own_server.down()
    for code, message in ended.values():
        assert code == 2, message
        assert "Traceback" not in message
        last = message.strip().splitlines()[-1]
        assert "run the same command again to go on" in last
    own_server.up_again()
    run_worker(settings, storage, sleeping(0, record))
    assert_exact(settings, storage, record)


def test_a_server_that_is_not_there_at_the_start_is_one_line(own_server, configuration):
    own_server.down()
    settings = StudySettings.from_configuration(configuration())
    with pytest.raises(StorageError) as caught:
        prepare_study(settings, PostgresStorage())
    line = str(caught.value)
    assert "\n" not in line
    there = own_server.recorded_state().connection
    for part in (there.host, str(there.port), there.user, "abx-postgres up"):
        assert part in line
    assert not settings.folder.exists()


# -- disks that fill up -----------------------------------------------------------------------


@NEEDS_ROOT
@pytest.mark.parametrize("kind", WITH_FILES)
def test_a_full_disk_stops_workers_in_one_line_and_the_study_goes_on_once_there_is_room(
    configuration, record, tmp_path, impatient, kind
):
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        changes = {"optimization_dir": str(disk / "optimization")}
        settings = StudySettings.from_configuration(configuration(changes, n_trials=10))
        storage = WITH_FILES[kind](path=settings.folder / "study")
        prepare_study(settings, storage)

        def work():
            run_worker(settings, storage, sleeping(0.3, record))

        with workers_at_work(2, work, tmp_path) as ended:
            wait_until(lambda: len(finished(settings, storage)) >= 2)
            filler = fill(disk)
        for code, message in ended.values():
            assert code == 2, message
            assert "Traceback" not in message
            last = message.strip().splitlines()[-1]
            assert "No space left" in last or "disk is full" in last
            assert "run the same command again to go on" in last
        filler.unlink()
        run_worker(settings, storage, sleeping(0, record))
        assert_exact(settings, storage, record)
        assert (settings.folder / "best_params.json").exists()


@NEEDS_ROOT
def test_workers_wait_while_a_full_disk_is_cleared(configuration, record, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        changes = {"optimization_dir": str(disk / "optimization")}
        settings = StudySettings.from_configuration(configuration(changes, n_trials=10))
        storage = JournalStorage(path=settings.folder / "study")
        prepare_study(settings, storage)
        with workers_at_work(
            2, lambda: run_worker(settings, storage, sleeping(0.3, record)), tmp_path
        ) as ended:
            wait_until(lambda: len(finished(settings, storage)) >= 2)
            filler = fill(disk)
            time.sleep(1.5)
            filler.unlink()
        assert [code for code, _ in ended.values()] == [0] * 2, ended
        assert_exact(settings, storage, record)


@NEEDS_ROOT
@pytest.mark.parametrize("kind", WITH_FILES)
def test_a_disk_that_is_full_at_the_start_is_one_line(configuration, tmp_path, kind):
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        filler = fill(disk)
        changes = {"optimization_dir": str(disk / "optimization")}
        settings = StudySettings.from_configuration(configuration(changes, n_trials=2))
        storage = WITH_FILES[kind](path=settings.folder / "study")
        with pytest.raises(InputError) as caught:
            prepare_study(settings, storage)
        assert "No space left" in str(caught.value) or "disk is full" in str(caught.value)
        assert "\n" not in str(caught.value)
        filler.unlink()
        prepare_study(settings, storage)
        run_worker(settings, storage, parabola)
        assert_exact(settings, storage)


@NEEDS_ROOT
def test_a_full_disk_under_postgres_loses_nothing(configuration, record, tmp_path, monkeypatch):
    with services.server_folder() as made, small_disk(made / "disk", megabytes=120) as disk:
        server = Server(disk / "pg")
        try:
            server.up(Wish(user="ada", database="studies", any_port=True))
        except InputError as error:
            services.lacking(str(error))
        for name, value in services.database_of(server).environment.items():
            monkeypatch.setenv(name, value)
        settings = StudySettings.from_configuration(configuration(n_trials=200))
        storage = PostgresStorage()
        prepare_study(settings, storage)
        monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)
        try:
            with workers_at_work(
                2, lambda: run_worker(settings, storage, sleeping(0.01, record)), tmp_path
            ) as ended:
                wait_until(lambda: len(finished(settings, storage)) >= 2)
                filler = fill(disk)
                with (
                    services.database_of(server).cursor() as cursor,
                    contextlib.suppress(Exception),
                ):
                    cursor.execute(  # more than what the log has room for
                        "CREATE TABLE big AS SELECT repeat(md5(i::text), 20) AS t "
                        "FROM generate_series(1, 60000) AS i"
                    )
            for code, message in ended.values():
                assert code == 2, message
                assert "Traceback" not in message
                assert "run the same command again to go on" in message.strip().splitlines()[-1]
            before = record_of(record)
            filler.unlink()
            server.up_again()
            kept = {trial.number: trial.value for trial in finished(settings, storage)}
            assert kept and set(kept) <= set(before)
            small = StudySettings.from_configuration(configuration(n_trials=len(kept) + 5))
            prepare_study(small, storage)
            run_worker(small, storage, sleeping(0, record))
            assert_exact(small, storage, record)
        finally:
            server.down()


def record_of(folder):
    return {int(path.name): json.loads(path.read_text()) for path in folder.iterdir()}


@NEEDS_ROOT
def test_a_server_does_not_start_on_a_disk_without_room_and_says_so():
    with services.server_folder() as made, small_disk(made / "disk", megabytes=8) as disk:
        server = Server(disk / "pg")
        with pytest.raises(InputError, match="No space left") as caught:
            server.up(Wish(user="ada", database="studies", any_port=True))
        assert "\n" not in str(caught.value)
        assert not server.data.exists()


# -- the command ------------------------------------------------------------------------------

SMALL = (
    *("-m", "+tuning=ppo_default", "environment.max_time_steps=16", "training.n_envs=2"),
    *("agent_algorithm.n_steps=16", "agent_algorithm.n_epochs=1", "figures=false"),
    *("training.num_eval_episodes=3", "tuning.n_seeds_per_trial=1", "tuning.truncated_episodes=2"),
    *("~tuning.search_space.n_steps", "~tuning.search_space.batch_size", "tuning.n_trials=2"),
    *("agent_algorithm.batch_size=8", "~tuning.search_space.n_epochs", "run_name=x"),
    "tuning.final=false",
)


def tune(folder, *arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "abx_amr.cli.tune", *SMALL, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_line(ended, *parts):
    lines = ended.stderr.strip().splitlines()
    assert ended.returncode == 2, ended
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("abx-tune: error: ")
    for part in parts:
        assert part in lines[0]


@NEEDS_ROOT
@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, configuration, kind, postgres):
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        settings = StudySettings.from_configuration(
            configuration({"optimization_dir": str(disk / "o")})
        )
        made = WITH_FILES.get(kind)
        storage = made(path=settings.folder / "study") if made else PostgresStorage()
        with pytest.raises(StorageError, match="Read-only file system") as caught:
            prepare_study(settings, storage)
        assert "\n" not in str(caught.value)
        assert PostgresStorage().names() == []


@NEEDS_ROOT
@pytest.mark.parametrize("kind", WITH_FILES)
def test_a_study_in_a_folder_that_cannot_be_written_is_read_and_not_worked_on(
    tmp_path, configuration, kind
):
    settings = StudySettings.from_configuration(configuration(n_trials=2))
    storage = WITH_FILES[kind](path=settings.folder / "study")
    prepare_study(settings, storage)
    run_worker(settings, storage, parabola)
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        shutil.copytree(settings.folder, disk / "o")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        closed = WITH_FILES[kind](path=disk / "o" / "study")
        assert read_study(closed, settings.study_name).n_finished == 2
        with pytest.raises(StorageError, match=r"copy it to a folder of your own|Read-only"):
            prepare_study(settings, closed)


@pytest.mark.parametrize("whole_folder", [True, False])
@pytest.mark.parametrize("kind", WITH_FILES)
def test_a_study_that_is_removed_meanwhile_ends_its_worker_at_once_and_is_not_made_again(
    configuration, kind, whole_folder
):
    settings = StudySettings.from_configuration(configuration())
    storage = WITH_FILES[kind](path=settings.folder / "study")
    prepare_study(settings, storage)
    numbers = []

    def run_trial(params, seeds, folder):
        numbers.append(int(folder.name))
        if folder.name == "1":
            if whole_folder:
                shutil.rmtree(settings.folder)
            else:
                storage.path.unlink()
        return parabola(params, seeds, folder)

    with pytest.raises(StorageGoneError, match="was removed while it was worked on"):
        run_worker(settings, storage, run_trial)
    assert numbers == [0, 1]
    assert not storage.path.exists()
    assert settings.folder.exists() is not whole_folder


def test_abx_tune_says_in_one_line_that_its_folder_cannot_be_made(tmp_path):
    (tmp_path / "optimization").write_text("in the way")
    assert_one_line(tune(tmp_path), "optimization")


@pytest.mark.slow
def test_abx_tune_says_in_one_line_where_it_expected_the_server(tmp_path):
    elsewhere = {"PG_HOST": "127.0.0.1", "PG_PORT": "1", "PG_USERNAME": "ada"}
    ended = tune(tmp_path, "storage=postgres", environment=elsewhere)
    assert_one_line(ended, "127.0.0.1", "port 1", "user ada", "abx-postgres up")
    assert list(Path(tmp_path).iterdir()) == []
