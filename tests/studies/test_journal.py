"""A journal of whole lines, and locks that outlive no holder for long."""

import errno
import json
import os
import signal
import threading
import time

import optuna
import pytest

from abx_amr.host.processes import ProcessIdentity
from abx_amr.studies.storages import JournalStorage, StorageError
from abx_amr.studies.storages.lease import LeaseLock


@pytest.fixture
def storage(tmp_path):
    return JournalStorage(path=tmp_path / "study.log")


def make_study(storage):
    return optuna.create_study(study_name="study", storage=storage.open(), load_if_exists=True)


def fresh(storage):
    return optuna.load_study(study_name="study", storage=JournalStorage(path=storage.path).open())


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_removed_and_the_study_goes_on(storage, cut, caplog):
    study = make_study(storage)
    for _ in range(3):
        study.tell(study.ask(), 1.0)
    whole = storage.path.read_bytes()
    storage.path.write_bytes(whole[:-cut])  # the last line says that trial 2 is complete
    again = fresh(storage)
    assert [t.state.name for t in again.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    assert "was cut short" in caplog.text
    again.tell(2, 5.0)
    assert fresh(storage).trials[2].value == 5.0
    assert all(json.loads(line) for line in storage.path.read_text().splitlines())


def test_a_line_torn_while_others_have_the_file_open_is_removed_before_the_next(storage):
    study = make_study(storage)
    study.tell(study.ask(), 1.0)
    with storage.path.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study')  # a death in mid-line
    study.tell(study.ask(), 2.0)
    assert [t.value for t in fresh(storage).trials] == [1.0, 2.0]


@pytest.mark.parametrize("text", ["notes without an end", "notes\n", '{"a": 1}\n', '{"op'])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(storage, text):
    storage.path.write_text(text)
    if text == '{"op':  # what a death may leave of the very first line
        assert not storage.exists("study")
        return
    with pytest.raises(StorageError, match="is no journal of Optuna"):
        storage.exists("study")
    assert storage.path.read_text() == text


def test_a_file_of_one_torn_line_becomes_empty(storage):
    storage.path.write_bytes(b'{"op_code"')
    assert not storage.exists("study")
    make_study(storage)
    assert storage.exists("study")


def test_a_damaged_line_in_the_middle_is_told_and_skipped(storage, caplog):
    study = make_study(storage)
    study.tell(study.ask(), 1.0)
    lines = storage.path.read_bytes().splitlines(keepends=True)
    storage.path.write_bytes(b"".join([*lines[:1], b'{"torn{"op_code":9}\n', *lines[1:]]))
    assert [t.value for t in fresh(storage).trials] == [1.0]
    assert "is damaged" in caplog.text


def test_a_line_that_the_disk_has_no_room_for_leaves_the_file_whole(storage, monkeypatch):
    study = make_study(storage)
    study.tell(study.ask(), 1.0)
    before = storage.path.read_bytes()
    honest = os.write

    def half(descriptor, content):
        if len(content) > 10:
            return honest(descriptor, bytes(content[:10]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("abx_amr.studies.storages.journal_file.os.write", half)
    with pytest.raises(OSError, match="No space left"):
        study.ask()
    monkeypatch.undo()
    assert storage.path.read_bytes() == before
    study.tell(study.ask(), 2.0)
    assert [t.value for t in fresh(storage).trials] == [1.0, 2.0]


# -- leases ------------------------------------------------------------------------------------


def elsewhere(path, token="t"):
    path.write_text(
        json.dumps(
            {**ProcessIdentity.of_this_process().as_record(), "host": "elsewhere", "token": token}
        )
    )


def test_a_lock_of_a_dead_process_of_this_machine_is_broken_at_once(tmp_path, in_processes):
    lock = LeaseLock(tmp_path / "lock", lease=600.0)

    def die(index):
        with lock.hold():
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_processes(1, die) == [-signal.SIGKILL]
    assert lock.path.exists()
    began = time.monotonic()
    with lock.hold() as lease:
        assert lease.is_mine()
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_is_broken_after_its_lease(tmp_path):
    lock = LeaseLock(tmp_path / "lock", lease=0.5)
    elsewhere(lock.path)
    began = time.monotonic()
    with lock.hold():
        assert time.monotonic() - began >= 0.5


def test_a_lock_that_is_renewed_is_not_broken(tmp_path):
    lock = LeaseLock(tmp_path / "lock", lease=0.4, is_renewed=True)
    entered = []

    def wait():
        with lock.hold():
            entered.append(time.monotonic())

    with lock.hold() as lease:
        other = threading.Thread(target=wait)
        other.start()
        time.sleep(1.5)
        assert lease.is_mine()
        left = time.monotonic()
    other.join()
    assert entered[0] >= left


def test_many_find_a_dead_lock_and_one_at_a_time_gets_it(tmp_path, in_processes):
    counter = tmp_path / "counter"
    counter.write_text("0")
    lock = LeaseLock(tmp_path / "lock", lease=600.0, breaker=LeaseLock(tmp_path / "break"))

    def work(index):
        for _ in range(15):
            with lock.hold():
                value = int(counter.read_text())
                time.sleep(0.001)
                counter.write_text(str(value + 1))
        with lock.hold():
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_processes(5, work) == [-signal.SIGKILL] * 5
    assert counter.read_text() == "75"


def test_who_stood_still_past_the_lease_can_no_longer_write_in_the_section(tmp_path):
    storage = JournalStorage(path=tmp_path / "study.log")
    study = make_study(storage)
    with storage.critical_section():
        elsewhere(tmp_path / "study.log.section", token="another")
        with pytest.raises(StorageError, match="its turn was taken"):
            study.ask()
    assert fresh(storage).trials == []
