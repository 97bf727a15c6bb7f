"""What every storage must do, run over all of them."""

import gc
import math
import os
import pickle
import signal
import threading
import time
from contextlib import closing

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.event import listen

from abx_amr.errors import InputError
from abx_amr.studies.storages import (
    JournalStorage,
    PostgresStorage,
    SqliteStorage,
    StorageError,
    network_file_system,
)


def make_study(storage, name="study"):
    return optuna.create_study(
        study_name=name, storage=storage.open(), direction="maximize", load_if_exists=True
    )


def test_asking_whether_a_study_exists_creates_nothing(storage, tmp_path, request):
    storage.check()
    assert not storage.exists("study")
    assert storage.names() == []
    assert list(tmp_path.iterdir()) == []
    if isinstance(storage, PostgresStorage):
        with request.getfixturevalue("postgres").cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert cursor.fetchone() == (0,)


def test_a_study_exists_from_its_creation_to_its_deletion(storage):
    make_study(storage)
    make_study(storage, "other")
    assert storage.exists("study")
    storage.delete("study")
    assert not storage.exists("study")
    assert storage.exists("other")
    assert storage.names() == ["other"]
    storage.delete("study")


def test_eight_processes_open_an_empty_storage_at_once(storage, in_processes):
    def work(index):
        storage.open()
        with storage.critical_section():
            make_study(storage)

    for _ in range(2):
        assert in_processes(8, work) == [0] * 8
        storage.delete("study")


def test_the_critical_section_lets_one_process_in(storage, in_processes, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")

    def work(index):
        for _ in range(20):
            with storage.critical_section():
                value = int(counter.read_text())
                time.sleep(0.001)
                counter.write_text(str(value + 1))

    assert in_processes(4, work) == [0] * 4
    assert counter.read_text() == "80"


def test_a_process_killed_in_the_critical_section_blocks_nobody(storage, in_processes):
    def die(index):
        with storage.critical_section():
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_processes(1, die) == [-signal.SIGKILL]
    with storage.critical_section():
        pass


def test_a_waiting_trial_is_claimed_once_by_four_processes(storage, in_processes, tmp_path):
    study = make_study(storage)
    for n in range(24):
        study.enqueue_trial({"x": n})

    def work(index):
        mine = optuna.load_study(study_name="study", storage=storage.open())
        with (tmp_path / f"claimed_{index}").open("w") as out:
            for _ in range(6):
                trial = mine.ask({"x": optuna.distributions.IntDistribution(0, 100)})
                out.write(f"{trial.number}\n")
                mine.tell(trial, 1.0)

    assert in_processes(4, work) == [0] * 4
    claimed = [int(n) for path in tmp_path.glob("claimed_*") for n in path.read_text().split()]
    assert sorted(claimed) == list(range(24))


def test_four_processes_write_without_an_error(storage, in_processes):
    make_study(storage)

    def work(index):
        mine = optuna.load_study(
            study_name="study",
            storage=storage.open(),
            sampler=optuna.samplers.RandomSampler(seed=index),
        )
        for _ in range(10):
            trial = mine.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
            trial.set_user_attr("a", [1, {"b": None}])
            mine.tell(trial, trial.params["x"])

    assert in_processes(4, work) == [0] * 4
    trials = make_study(storage).trials
    assert [t.number for t in trials] == list(range(40))
    assert all(t.state == TrialState.COMPLETE for t in trials)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.1 + 0.2])
def test_a_value_comes_back_as_it_was_told(storage, value):
    study = make_study(storage)
    study.tell(study.ask(), value)
    assert make_study(storage).trials[0].value == value


def test_what_a_process_wrote_is_seen_by_one_that_had_opened_before(storage, in_processes):
    study = make_study(storage)

    def work(index):
        make_study(storage).ask().set_user_attr("by", index)

    assert in_processes(2, work) == [0, 0]
    assert sorted(t.user_attrs["by"] for t in study.trials) == [0, 1]


def test_nothing_open_goes_through_a_fork(storage, in_processes):
    make_study(storage)
    mine = storage.open()

    def work(index):
        assert storage.open() is not mine
        make_study(storage).ask()

    assert in_processes(2, work) == [0, 0]
    assert storage.open() is mine
    assert len(make_study(storage).trials) == 2


def test_a_process_killed_while_it_makes_the_storage_leaves_a_usable_one(storage, in_processes):
    """The tables of a relational storage are many; a death may come after any of them."""

    def die(delay):
        def work(index):
            threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            storage.open()
            time.sleep(10)

        return work

    for delay in (0.02, 0.05, 0.1, 0.2, 0.3):
        assert in_processes(1, die(delay)) == [-signal.SIGKILL]
    make_study(storage)
    assert storage.exists("study")


def test_a_storage_that_is_open_goes_to_another_process_closed(storage):
    make_study(storage)
    other = pickle.loads(pickle.dumps(storage))
    assert other.exists("study")
    assert other.open() is not storage.open()


def test_the_label_names_the_storage_and_no_secret(storage):
    assert storage.label
    assert "@" not in storage.label


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
//nas/share /with\\040space cifs rw 0 0
mds:/x /scratch lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data/opt", None),
        ("/home/me/opt", "nfs4"),
        ("/home/local/opt", None),
        ("/homework", None),
        ("/with space/opt", "cifs"),
        ("/scratch/study.db", "lustre"),
    ],
)
def test_the_file_system_of_a_path_is_the_one_mounted_nearest(tmp_path, path, kind):
    from pathlib import Path

    assert network_file_system(Path(path), mounts=MOUNTS) == kind


def test_sqlite_refuses_a_network_file_system_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("abx_amr.studies.storages.sqlite.network_file_system", lambda path: "nfs4")
    storage = SqliteStorage(path=tmp_path / "x" / "study.db")
    with pytest.raises(InputError, match=r"nfs4.*storage=journal or storage=postgres"):
        storage.check()
    with pytest.raises(InputError):
        storage.open()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path):
    storage = SqliteStorage(path=tmp_path / "study.db")
    storage.path.write_text("notes, and many of them, so that it is no database for sure\n" * 40)
    with pytest.raises(StorageError, match=r"sqlite \(.*study.db\): file is not a database"):
        storage.exists("study")


@pytest.mark.parametrize("name", ["a b?c=1#d%20", "x{y}z", "ü"])
@pytest.mark.parametrize("made", [SqliteStorage, JournalStorage])
def test_a_path_may_hold_what_means_something_in_a_url(tmp_path, name, made):
    storage = made(path=tmp_path / name / "study")
    make_study(storage)
    assert storage.exists("study")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "study").is_file()


@pytest.mark.parametrize("made", [SqliteStorage, JournalStorage])
def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path, made):
    (tmp_path / "file").touch()
    storage = made(path=tmp_path / "file" / "study")
    for use in (storage.open, storage.critical_section().__enter__):
        with pytest.raises(StorageError, match=r"is a file, or a link that leads nowhere") as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_is_left_with_its_connections_closed(tmp_path, request, in_processes, kind):
    if kind == "postgres":
        request.getfixturevalue("postgres")
    held = [PostgresStorage() if kind == "postgres" else SqliteStorage(path=tmp_path / "s.db")]
    make_study(held[0])
    closed = []
    listen(held[0].open()._backend.engine, "close", lambda *_: closed.append(os.getpid()))

    def leave(_=0):
        held.clear()
        gc.collect()

    assert in_processes(1, leave) == [0]  # nothing of the parent's is touched by its child
    assert held[0].exists("study")
    assert not closed
    leave()
    assert set(closed) == {os.getpid()}


def test_sqlite_is_opened_with_a_write_ahead_log(tmp_path):
    import sqlite3

    storage = SqliteStorage(path=tmp_path / "study.db")
    make_study(storage)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_relative_path_is_kept_when_the_working_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = SqliteStorage(path="study.db")
    monkeypatch.chdir("/")
    assert storage.path == tmp_path / "study.db"
