"""A run folder that is removed while its run goes on."""

import shutil
from threading import Thread

import pytest

from abx_amr.errors import InputError
from abx_amr.runs.training import _removal_said


def test_a_folder_that_is_removed_meanwhile_is_one_line_without_a_thread_s_traceback(
    folder, capsys
):
    with (
        pytest.raises(InputError, match="was removed while it was trained: run the same command"),
        _removal_said([folder]),
    ):
        shutil.rmtree(folder.path)
        writer = Thread(target=folder.summary_file.touch)
        writer.start()
        writer.join()
        folder.evaluations_file.touch()
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_there_keeps_the_system_s_own_reason(folder):
    with pytest.raises(FileNotFoundError), _removal_said([folder]):
        (folder.path / "not_there/file").touch()
