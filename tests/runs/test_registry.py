from abx_amr.runs.registry import completed_run, register_completion


def test_a_completed_run_is_in_the_registry_until_its_folder_is_gone(folder):
    results_dir = folder.path.parent
    assert completed_run(results_dir, "base_ppo") is None
    register_completion(folder, mean_return=-120.5)
    assert completed_run(results_dir, "base_ppo") == folder
    assert completed_run(results_dir, "base") is None
    text = (results_dir / ".training_completed.txt").read_text()
    assert text.splitlines()[0] == "run_name,timestamp,folder,mean_return"
    assert text.splitlines()[1].endswith(",base_ppo_20261123_120000,-120.5")
    folder.path.rename(results_dir.parent / "elsewhere")
    assert completed_run(results_dir, "base_ppo") is None
    assert len((results_dir / ".training_completed.txt").read_text().splitlines()) == 1
