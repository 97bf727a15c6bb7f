"""A run folder that is removed while its run goes on, or because its run was in vain."""

import errno
import shutil
from threading import Thread
from types import SimpleNamespace

import pytest

from abx_amr.errors import InputError
from abx_amr.runs.run import removed_where_in_vain
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


@pytest.mark.parametrize("has_learned", [False, True])
def test_a_disk_that_takes_no_more_leaves_a_run_that_can_go_on_and_no_empty_one(
    folder, has_learned
):
    if has_learned:
        folder.write_checkpoint("last", state={})
    with pytest.raises(OSError), removed_where_in_vain([SimpleNamespace(opened=[folder])]):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert folder.path.exists() is has_learned
