"""The layout of a study's folder, which studies of release 0.1 have too."""

from __future__ import annotations

from pathlib import Path

from abx_amr.studies.folder import StudyFolder, registry_file, study_folders


def test_every_file_lies_where_studies_of_the_first_release_have_it(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path)
    seed = study.trial(3).seed(1000)
    files = (
        study.configuration_file,
        study.tuning_file,
        study.option_library_file,
        study.best_params_file,
        study.summary_file,
        study.figure_file("study_history"),
        study.trial(3).parameters_file,
        seed.result_file,
        seed.checkpoint_file,
        registry_file(tmp_path),
    )
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "full_agent_env_config.yaml",
        "tuning_config.yaml",
        "option_library.yaml",
        "best_params.json",
        "study_summary.json",
        "figures/study_history.png",
        "trials/3/parameters.json",
        "trials/3/seed_1000/result.json",
        "trials/3/seed_1000/checkpoint.zip",
        ".optimization_completed.txt",
    ]


def test_trials_and_seeds_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10/seed_1001", "10/seed_999", "2/seed_1000", "2/seed_x", ".hidden/seed_1"):
        (tmp_path / "trials" / name).mkdir(parents=True)
    trials = list(StudyFolder(tmp_path).trials())
    assert [trial.number for trial in trials] == [2, 10]
    assert [[seed.seed for seed in trial.seeds()] for trial in trials] == [[1000], [999, 1001]]
    assert not list(StudyFolder(tmp_path / "nothing").trials())


def test_trials_of_a_deleted_study_get_a_folder_that_nobody_has(tmp_path: Path) -> None:
    (tmp_path / "trials_earlier_1").mkdir()
    assert StudyFolder(tmp_path).free_trials_folder().name == "trials_earlier_2"


def test_a_folder_without_a_configuration_is_no_study(tmp_path: Path) -> None:
    for name in ("second", "first", "other"):
        (tmp_path / name).mkdir()
    for name in ("second", "first"):
        StudyFolder(tmp_path / name).configuration_file.write_text("{}")
    assert [study.path.name for study in study_folders(tmp_path)] == ["first", "second"]
