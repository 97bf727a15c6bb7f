"""A run is not gone on with while somebody writes its folder, on this machine or another."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.host.processes import ProcessIdentity
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.writers import check_nobody_writes, written_here

FILE = ".written_by.json"


def say(folder: Path, *, beats: int = 0, interval: float = 0.05, **changed: object) -> None:
    """Write who writes a folder, this process but for what is changed."""
    process = {**ProcessIdentity.of_this_process().as_record(), **changed}
    (folder / FILE).write_text(json.dumps({**process, "interval": interval, "beats": beats}))


def test_a_folder_says_who_writes_it_only_while_that_lasts(tmp_path: Path) -> None:
    with written_here([RunFolder(tmp_path)]):
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_process_here_writes_is_refused_in_one_line(tmp_path: Path) -> None:
    with written_here([RunFolder(tmp_path)]), pytest.raises(InputError) as refused:
        check_nobody_writes(RunFolder(tmp_path))
    assert f"is being written by process {os.getpid()} on " in str(refused.value)
    assert str(refused.value).endswith("or stop it, then run the same command again")


def test_a_writer_that_was_killed_here_is_known_at_once(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    say(tmp_path, pid=ended.pid, started="1", interval=1000.0)
    check_nobody_writes(RunFolder(tmp_path))


def test_a_process_id_that_another_process_has_now_is_no_writer(tmp_path: Path) -> None:
    say(tmp_path, started="1", interval=1000.0)
    check_nobody_writes(RunFolder(tmp_path))


def test_a_silent_writer_of_another_machine_is_taken_for_gone(tmp_path: Path) -> None:
    say(tmp_path, host="elsewhere")
    check_nobody_writes(RunFolder(tmp_path))


def test_a_writer_of_another_machine_that_gives_signs_of_life_is_refused(tmp_path: Path) -> None:
    say(tmp_path, host="elsewhere", interval=20.0)

    def beat() -> None:
        time.sleep(0.2)
        say(tmp_path, host="elsewhere", interval=20.0, beats=1)

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(InputError, match=r"is being written by process \d+ on elsewhere"):
        check_nobody_writes(RunFolder(tmp_path))
    thread.join()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00"])
def test_a_damaged_or_older_folder_is_gone_on_with(tmp_path: Path, text: str) -> None:
    check_nobody_writes(RunFolder(tmp_path))
    (tmp_path / FILE).write_text(text)
    check_nobody_writes(RunFolder(tmp_path))
