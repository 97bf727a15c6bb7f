import os

import numpy as np
import pandas as pd
import pytest

from abx_amr.errors import InputError
from abx_amr.runs.folder import RunFolder, find_run, newest_run, run_folders, run_folders_below
from tests.runs.conftest import LATER, NOON


def test_two_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    first = RunFolder.create(tmp_path, "base_ppo", moment=NOON)
    second = RunFolder.create(tmp_path, "base_ppo", moment=NOON)
    assert first.path != second.path
    assert first.path.name == "base_ppo_20261123_120000"
    assert first.run_name == second.run_name == "base_ppo"


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up"])
def test_a_run_name_that_names_no_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="run_name must be a plain folder name"):
        RunFolder.create(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_configuration_and_overrides_are_read_back_as_they_were(folder):
    folder.write_overrides(["training.seed=42", "experiment=paper_two"])
    assert folder.read_config()["training"] == {"seed": 42, "learning_rate": 1e-5}
    assert folder.read_overrides() == ["training.seed=42", "experiment=paper_two"]


def test_a_run_is_complete_when_its_summary_is_written(folder):
    assert not folder.is_complete
    folder.write_summary({"run_name": "base_ppo", "mean_return": -120.5, "std": float("nan")})
    assert folder.is_complete
    found = folder.read_summary()
    assert found == {"run_name": "base_ppo", "mean_return": -120.5, "std": None}


def test_evaluations_are_appended_and_lose_no_digit(folder):
    third = 1.0 / 3.0
    episodes = {"episode": np.arange(2), "episode_return": np.array([-third, 2 * third])}
    folder.append_evaluation(2048, episodes)
    folder.append_evaluation(4096, episodes)
    table = folder.read_evaluations()
    assert table["transitions"].tolist() == [2048, 2048, 4096, 4096]
    assert table["episode"].tolist() == [0, 1, 0, 1]
    assert table["episode_return"].tolist() == [-third, 2 * third] * 2


def test_an_evaluation_with_other_columns_is_not_mixed_in(folder):
    folder.append_evaluation(1, {"episode": np.arange(2)})
    with pytest.raises(InputError, match="has the columns"):
        folder.append_evaluation(2, {"patient": np.arange(2)})
    assert len(folder.read_evaluations()) == 2


def test_trajectories_are_read_back_as_they_were(folder):
    steps = pd.DataFrame({"episode": [0, 0], "step": [0, 1], "reward": [0.25, -1.0]})
    folder.write_trajectories(steps, steps.assign(patient=0))
    pd.testing.assert_frame_equal(folder.read_trajectories(), steps)
    assert "patient" in folder.read_patients()


def test_tables_that_were_not_asked_for_are_said_to_be_missing(folder):
    with pytest.raises(InputError, match="run with trajectories=true"):
        folder.read_trajectories()
    with pytest.raises(InputError, match=r"no evaluations\.csv"):
        folder.read_evaluations()


def test_no_temporary_file_is_left_behind(folder):
    folder.write_summary({})
    folder.write_checkpoint("last", state={"a": np.zeros(1)})
    folder.append_evaluation(1, {"episode": np.arange(2)})
    names = {path.name for path in folder.path.rglob("*") if path.is_file()}
    assert names == {"config.yaml", "summary.json", "last.zip", "evaluations.csv"}


def test_a_checkpoint_that_never_ends_is_not_waited_for(folder):
    file = folder.checkpoint_file("best")
    file.parent.mkdir()
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir):
        make(file)
        with pytest.raises(InputError, match=r"best\.zip is no file: put the checkpoint back"):
            folder.read_checkpoint("best")
        file.rmdir() if file.is_dir() else file.unlink()


def test_a_checkpoint_holds_arrays_and_plain_values_as_they_were(folder):
    state = {
        "stream": np.array([2**64 - 1, 1], dtype=np.uint64),
        "time": np.array(3),
        "of_fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array("identity"),
        "none": np.zeros((0, 4)),
    }
    facts = {"count": 3, "value": 0.1, "unknown": None, "nested": [{"a": [1, 2]}]}
    folder.write_checkpoint("best", state=state, facts=facts)
    checkpoint = folder.read_checkpoint("best")
    assert checkpoint.facts == facts
    assert checkpoint.state.keys() == state.keys()
    for name, value in state.items():
        found = checkpoint.state[name]
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(found, value)


def test_an_array_of_objects_is_not_kept(folder):
    with pytest.raises(ValueError, match="allow_pickle"):
        folder.write_checkpoint("best", state={"odd": np.array([object()])})


def test_a_checkpoint_that_is_not_there_is_an_error_that_lists_those_that_are(folder):
    folder.write_checkpoint("last", state={})
    assert folder.has_checkpoint("last") and not folder.has_checkpoint("best")
    with pytest.raises(InputError, match=r"no checkpoint 'best' \(available: last\)"):
        folder.read_checkpoint("best")
    with pytest.raises(InputError, match=r"checkpoint 'lats' does not exist; did you mean 'last'"):
        folder.read_checkpoint("lats")


def test_the_newest_run_of_a_name_is_found_among_similar_names(folder):
    results_dir = folder.path.parent
    newer = RunFolder.create(results_dir, "base_ppo", moment=LATER)
    newer.write_config({})
    twin = RunFolder.create(results_dir, "base_ppo", moment=LATER)
    twin.write_config({})
    RunFolder.create(results_dir, "base_ppo_optimized", moment=LATER).write_config({})
    assert newest_run(results_dir, "base_ppo") == twin
    assert run_folders(results_dir, "base_ppo") == [folder, newer, twin]
    newer.write_summary({})
    assert newest_run(results_dir, "base_ppo", only_complete=True) == newer


def test_a_run_is_found_by_path_folder_or_name(folder):
    results_dir = folder.path.parent
    assert find_run(folder.path, results_dir="elsewhere") == folder
    assert find_run(folder.path.name, results_dir=results_dir) == folder
    assert find_run("base_ppo", results_dir=results_dir) == folder


def test_a_run_that_does_not_exist_is_an_error_that_names_the_nearest(folder):
    results_dir = folder.path.parent
    with pytest.raises(InputError, match="did you mean 'base_ppo'"):
        find_run("base_pp0", results_dir=results_dir)
    with pytest.raises(InputError, match="run folder results/gone does not exist"):
        find_run("results/gone", results_dir=results_dir)
    with pytest.raises(InputError, match="holds no runs"):
        newest_run(results_dir / "empty", "base_ppo")
    with pytest.raises(InputError, match="is no run folder"):
        find_run(results_dir, results_dir=results_dir)


def test_a_run_behind_links_is_found_once_and_by_its_own_name(folder):
    results = folder.path.parent
    (results / "latest").symlink_to(folder.path.name)
    (results / "in_circles").symlink_to(".")
    (results / "to_itself").symlink_to("to_itself")
    (results / "again").mkdir()
    (results / "again" / "copy_20260101_000000").symlink_to(folder.path)
    assert run_folders_below(results) == [folder]
    assert RunFolder.open(results / "latest").path == folder.path.resolve()
    assert find_run("latest", results_dir=results).run_name == folder.run_name


def test_a_run_is_found_by_its_folders_name_with_the_slash_of_a_shell(folder):
    found = find_run(f"{folder.path.name}/", results_dir=folder.path.parent)
    assert found.path == folder.path


def test_a_file_or_folder_of_a_run_is_refused_with_the_run_that_it_is_of(folder):
    folder.write_config({"a": 1})
    folder.write_checkpoint("best", state={})
    with pytest.raises(InputError) as refused:
        find_run(folder.checkpoint_file("best"), results_dir="results")
    assert str(refused.value).endswith(
        f"give the folder of the run, {folder.path}, and checkpoint=best"
    )
    with pytest.raises(InputError, match=f"the run's folder is {folder.path}$"):
        find_run(folder.path / "checkpoints", results_dir="results")
    with pytest.raises(InputError, match="write checkpoint=best, and the run by run="):
        folder.checkpoint_file("x/checkpoints/best.zip")


def test_the_folder_of_one_run_is_not_taken_for_that_of_all(folder):
    folder.write_config({"a": 1})
    with pytest.raises(InputError) as refused:
        find_run("other", results_dir=folder.path)
    place = f"results_dir={folder.path.parent}"
    assert f"is the folder of one run: write {place}, and {folder.path.name} where" in str(
        refused.value
    )
