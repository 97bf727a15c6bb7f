"""A project is found from below, its files shadow, its classes import, its results stay in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from abx_amr.cli import evaluate, gather, study, train, tune
from abx_amr.cli.arguments import translate
from abx_amr.configuration.classes import locate
from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import available, groups
from abx_amr.configuration.training import build_training
from abx_amr.errors import InputError
from abx_amr.host.locations import MARKER, Project, find_project, from_here, working_in
from abx_amr.runs.folder import newest_run
from tests.cli import conftest
from tests.cli.conftest import SMALL_STUDY, Call, call

__all__ = ["call"]

#: One value of an agent of the library's own trainer, which is not compiled first.
SMALL = (*conftest.SMALL, "training.seed_batched=false", "training.total_num_training_episodes=2")
STUDY = (*SMALL_STUDY, "training.seed_batched=false", "tuning.n_seeds_per_trial=1")
REWARD = """
from abx_amr.simulator.rewards import ClinicalReward


class Own(ClinicalReward):
    weight = {weight}
"""


def make(root: Path, *, weight: int = 1) -> Project:
    """Make a small project by hand."""
    for name, text in (
        (MARKER, ""),
        ("components/__init__.py", ""),
        ("components/rewards.py", REWARD.format(weight=weight)),
        ("conf/antibiotics/two_cross_resistant.yaml", DRUGS.replace("LEAK", "0.31")),
        ("conf/antibiotics/mine.yaml", DRUGS.replace("LEAK", "0.32")),
        (
            "conf/reward_calculator/own.yaml",
            "# A reward.\ndefaults: [default]\n_target_: components.rewards.Own\n",
        ),
        ("below/deep/.keep", ""),
    ):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Project(root)


DRUGS = (
    "# A formulary.\ndrugs: {A: {leak: LEAK, flatness_parameter: 40.0, "
    "permanent_residual_volume: 0.0, initial_amr_level: 0.0, adverse_effect_penalty: -0.8, "
    "adverse_effect_probability: 0.2}}\ncross_resistance: {}\n"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = make(tmp_path / "clinic")
    monkeypatch.chdir(made.root)
    return made


def test_the_nearest_marker_above_is_the_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_project(project.root.parent) is None
    monkeypatch.chdir("below/deep")
    assert find_project() == project
    inner = make(Path.cwd() / "inner")
    assert find_project(inner.root / "conf") == inner


def test_a_marker_where_everybody_may_put_files_does_not_count(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    tmp_path.chmod(0o1777)
    assert find_project(tmp_path) is None
    tmp_path.chmod(0o777)  # some disks show every folder so
    assert find_project(tmp_path) == Project(tmp_path)


def test_a_file_of_the_project_shadows_the_packaged_one_and_others_stay(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(*overrides: str) -> float:
        value: float = compose("train", overrides).plain["antibiotics"]["drugs"]["A"]["leak"]
        return value

    monkeypatch.chdir("below/deep")
    assert (leak(), leak("antibiotics=mine"), leak("antibiotics=single")) == (0.31, 0.32, 0.2)
    monkeypatch.chdir(project.root.parent)
    assert leak() == 0.2
    with working_in(project):
        assert leak() == 0.31


def test_names_that_errors_list_are_those_of_project_and_package(project: Project) -> None:
    assert {"mine", "single"} <= set(available("antibiotics"))
    with pytest.raises(InputError, match=r"did you mean 'mine'.*available: mine, paper_single"):
        compose("train", ["antibiotics=mien"])
    (project.conf / "wards").mkdir()
    assert "wards" in groups()


def test_a_file_that_is_no_yaml_is_named_with_its_line(project: Project) -> None:
    (project.conf / "antibiotics/mine.yaml").write_text("drugs: [A\ncross: 1\n")
    with pytest.raises(InputError, match=r"^conf/antibiotics/mine\.yaml line 2, column 6 is no"):
        compose("train", ["antibiotics=mine"])


def test_results_lie_in_the_project_wherever_below_it_the_command_is_run(
    project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root / "below/deep")
    ended = call(train.main, *SMALL, "reward_calculator=own", "run_name=a")
    assert ended.status == 0, ended.err
    run = newest_run(project.root / "results", "a")
    assert run.read_config()["reward_calculator"]["_target_"] == "components.rewards.Own"
    played = ("evaluation.episodes=2", "figures=false", "run_name=b")
    assert call(evaluate.main, "run=a", *played).status == 0
    ended = call(tune.main, *STUDY, "tuning.n_trials=1", "reward_calculator=own")
    assert ended.status == 0, ended.err
    ended = call(study.main, "best", "ppo_default")
    assert ended.status == 0, ended.err
    ended = call(gather.main, "figures=false")
    assert ended.status == 0, ended.err
    assert (project.root / "gathered/runs.csv").is_file()
    assert sorted(os.listdir()) == [".keep"]
    assert (project.root / "optimization/ppo_default/best_params.json").is_file()
    ended = call(train.main, "best_params_from=ppo_default", *SMALL, "reward_calculator=own")
    assert ended.status == 0, ended.err
    # What is given is taken as it is: relative to the working folder.
    assert call(evaluate.main, "run=a", *played, "results_dir=here").status == 2
    assert from_here("results") == "../../results"


def test_staged_files_lie_in_the_project_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("below")
    (choice,) = translate(["-s", "antibiotics-subconfig=../conf/antibiotics/mine.yaml"])
    assert (project.root / ".abx/conf").is_dir()
    assert compose("train", [choice]).plain["antibiotics"]["drugs"]["A"]["leak"] == 0.32


def test_workers_in_processes_of_their_own_find_files_and_classes(
    project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root / "below")
    ended = call(
        tune.main,
        *STUDY,
        "tuning.n_trials=2",
        "tuning.n_workers=2",
        "storage=journal",
        "antibiotics=mine",
        "reward_calculator=own",
        "run_name=two",
    )
    assert ended.status == 0, ended.err
    assert "2 trials finished of 2" in ended.out


def test_a_project_file_that_changes_between_runs_of_a_study_is_a_mismatch(
    project: Project, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    command = (*STUDY, "antibiotics=mine", "reward_calculator=own", "run_name=s")
    assert call(tune.main, *command, "tuning.n_trials=1").status == 0
    for name, old, new, message in (
        ("conf/antibiotics/mine.yaml", "0.32", "0.33", "antibiotics.drugs.A.leak 0.32 -> 0.33"),
        ("components/rewards.py", "weight = 1", "weight = 2", "code.components.rewards"),
    ):
        file = project.root / name
        before = file.read_text()
        file.write_text(before.replace(old, new))
        ended = call(tune.main, *command, "tuning.n_trials=2")
        assert ended.status == 2
        assert "Configuration Mismatch Detected" in ended.err
        assert message in ended.err
        file.write_text(before)
    assert "1 trial finished of 1" in call(tune.main, *command, "tuning.n_trials=1").out


def test_a_run_whose_class_is_in_another_project_gets_one_clear_line(
    project: Project, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    assert call(train.main, *SMALL, "reward_calculator=own", "run_name=a").status == 0
    run = newest_run("results", "a").path.absolute()
    other = make(tmp_path / "other")
    for folder in (tmp_path, other.root):
        monkeypatch.chdir(folder)
        ended = call(evaluate.main, f"run={run}", "evaluation.episodes=2", "figures=false")
        assert ended.status == 2
        assert ended.out == ""
        (line,) = ended.err.splitlines()
        assert f"uses components.rewards.Own of the project {project.root}" in line
    moved = tmp_path / "moved"
    run.rename(moved)
    monkeypatch.chdir(tmp_path)
    ended = call(evaluate.main, f"run={moved}", "evaluation.episodes=2", "figures=false")
    assert ended.status == 2
    (line,) = ended.err.splitlines()
    assert "'components.rewards.Own' cannot be imported" in line
    assert "found inside the project" in line


def test_two_projects_in_one_process_keep_their_classes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for name, weight in (("one", 1), ("two", 2), ("one", 1)):
        monkeypatch.chdir(make(tmp_path / name, weight=weight).root)
        weights.append(locate("components.rewards.Own", key="x").weight)
    assert weights == [1, 2, 1]


def test_a_file_that_hides_the_packaged_one_and_lacks_a_key_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(tmp_path / "mine")
    monkeypatch.chdir(project.root)
    group = project.conf / "training"
    group.mkdir()
    (group / "default.yaml").write_text("seed: 3\n", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        build_training(compose("train").plain)
    assert " is missing: conf/training/default.yaml takes the place of the packaged file" in str(
        raised.value
    )
    (group / "default.yaml").rename(group / "bare.yaml")
    with pytest.raises(InputError, match="add it to the file that is chosen in conf/training"):
        build_training(compose("train", ["training=bare"]).plain)
    (group / "bare.yaml").write_text("defaults: [default]\nseed: 3\n", encoding="utf-8")
    assert build_training(compose("train", ["training=bare"]).plain).seed == 3
