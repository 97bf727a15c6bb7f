"""What is written is what counts: names to the letter, numbers as they look, ~ as home."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from abx_amr.configuration.composing import compose
from abx_amr.configuration.search_space import (
    entry_of,
    sweeps_of,
    values_of_range,
    without_sweeper_params,
)
from abx_amr.configuration.written import to_the_letter
from abx_amr.errors import InputError
from abx_amr.host.folder_names import check_folder_name
from abx_amr.host.locations import MARKER, Project
from abx_amr.project.checking import check_project
from hydra_plugins.abx_sweeper._set import combinations

ODD_NAMES = ["1e3", "1.10", "007", "1_000", "true", "FALSE", "nan", "inf", "-5", "12:30:45", "0x10"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MARKER).touch()
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    file = project / "conf" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_a_name_on_the_command_line_is_kept_to_the_letter() -> None:
    keys = ["run_name", "study_name", "best_params_from", "resume_from", "results_dir"]
    for first in range(0, len(ODD_NAMES), 3):
        names = [*ODD_NAMES[first:], *ODD_NAMES][: len(keys)]
        given_names = dict(zip(keys, names, strict=True))
        config = compose("train", [f"{key}={name}" for key, name in given_names.items()]).plain
        assert {key: config[key] for key in keys} == given_names


@given(text=st.text(alphabet="0123456789.eE_+-truefalsnNi", min_size=1, max_size=8))
def test_whatever_a_name_looks_like_hydra_reads_that_very_text(text: str) -> None:
    (override,) = to_the_letter([f"run_name={text}"])
    value: Any = OverridesParser.create().parse_override(override).value()
    assert (value is None and text.lower() == "null") or str(value) == text


def test_a_run_is_named_to_the_letter_too() -> None:
    config = compose("evaluate", ["run=1.10", "against=1e3"]).plain
    assert (config["run"], config["against"]) == ("1.10", "1e3")


def test_the_names_in_a_list_and_in_a_sweep_are_kept_to_the_letter() -> None:
    assert compose("gather", ["runs=[1.10,a_*,1e3]"]).plain["runs"] == ["1.10", "a_*", "1e3"]
    swept = to_the_letter(["best_params_from=1e3,b,1.10"])
    jobs = combinations(OverridesParser.create().parse_overrides(swept))
    assert [job.overrides[0] for job in jobs] == [
        "best_params_from='1e3'",
        "best_params_from=b",
        "best_params_from='1.10'",
    ]


@pytest.mark.parametrize("name", ["None", "none", "Null"])
def test_a_word_that_means_nothing_is_no_name(name: str) -> None:
    with pytest.raises(InputError, match=f"run_name={name} is no name: run_name=null"):
        check_folder_name("run_name", name)


@pytest.mark.parametrize(
    ("written", "read"), [("1.10", "1.1"), ("12:30:45", "45045"), ("on", "True"), ("1e3", "1000")]
)
def test_a_name_that_yaml_reads_as_something_else_is_refused_with_what_to_write(
    project: Path, written: str, read: str
) -> None:
    write(project, "experiment/mine", f"# @package _global_\nrun_name: {written}\n")
    if written == "1e3":  # YAML 1.1 has no such number, OmegaConf has
        with pytest.raises(InputError, match="run_name"):
            compose("train", ["experiment=mine"]).plain  # noqa: B018
        return
    with pytest.raises(InputError, match=f"line 2: YAML reads {written} as {read}: write"):
        compose("train", ["experiment=mine"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seed: 0100", "line 2: YAML reads 0100 as 64: write 100 for the number"),
        ("n_envs: 010", "YAML reads 010 as 8: write 10"),
        ("num_eval_episodes: 1:30", "YAML reads 1:30 as 90"),
    ],
)
def test_a_number_that_yaml_reads_as_another_is_refused(
    project: Path, line: str, message: str
) -> None:
    write(project, "training/mine", f"defaults: [default]\n{line}\n")
    with pytest.raises(InputError, match=message):
        compose("train", ["training=mine"])
    write(project, "training/heir", "defaults: [mine]\n")
    with pytest.raises(InputError, match=message):
        compose("train", ["training=heir"])
    compose("train")  # a file that is not chosen disturbs nobody


@pytest.mark.parametrize(
    ("name", "read"),
    [("NO", "false"), ("on", "true"), ("null", "nothing"), ("1e3", "a number"), ("7", "a number")],
)
def test_a_drug_whose_name_yaml_reads_as_no_text_is_refused_with_what_to_write(
    project: Path, name: str, read: str
) -> None:
    drug = (
        "{leak: 0.2, flatness_parameter: 50.0, permanent_residual_volume: 0.0, "
        "initial_amr_level: 0.0, adverse_effect_penalty: -2.0, adverse_effect_probability: 0.1}"
    )

    def file(written: str) -> str:
        return f"drugs:\n  {written}: {drug}\n  B: {drug}\ncross_resistance: {{}}\n"

    write(project, "antibiotics/mine", file(name))
    with pytest.raises(InputError) as refused:
        compose("train", ["antibiotics=mine"])
    assert f"line 2: YAML reads the name {name} as {read}: write '{name}' in quotes" in str(
        refused.value
    )
    write(project, "antibiotics/mine", file(f"'{name}'"))
    drugs = compose("train", ["antibiotics=mine"]).plain["antibiotics"]["drugs"]
    assert list(drugs) == [name, "B"]


def test_octal_looking_text_on_the_command_line_is_cured_by_the_number_that_was_meant() -> None:
    from abx_amr.configuration.training import build_training

    with pytest.raises(InputError, match=r"got '0100'; a number has no leading zeros: 100"):
        build_training(compose("train", ["training.seed=0100"]).plain)


def test_numbers_come_from_the_environment_and_names_stay_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"SEED": "7", "RATE": "1e-4", "FIGURES": "false", "NAME": "2024"}.items():
        monkeypatch.setenv(name, value)
    config = compose(
        "train",
        [
            "training.seed=${oc.env:SEED}",
            "training.evaluation_seed=${training.seed}",
            "agent_algorithm.learning_rate=${oc.env:RATE}",
            "training.early_stopping.enabled=${oc.env:FIGURES}",
            "run_name=${oc.env:NAME}",
        ],
    ).plain
    assert (config["training"]["seed"], config["training"]["evaluation_seed"]) == (7, 7)
    assert config["agent_algorithm"]["learning_rate"] == 1e-4
    assert config["training"]["early_stopping"]["enabled"] is False
    assert (config["run_name"], config["study_name"]) == ("2024", "2024")


def test_a_variable_that_is_not_set_is_named_with_the_way_to_set_it() -> None:
    with pytest.raises(InputError, match=r"variable NO_SUCH is not set: export NO_SUCH=VALUE"):
        compose("train", ["results_dir=${oc.env:NO_SUCH}"])
    with pytest.raises(InputError, match=r"\$HOME_X is not replaced .*=\$\{oc.env:HOME_X\}/a"):
        compose("train", ["results_dir=$HOME_X/a"])


def test_the_home_folder_is_meant_by_a_tilde_in_every_path(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    write(project, "experiment/mine", "# @package _global_\noptimization_dir: ~/studies\n")
    composition = compose("tune", ["+tuning=ppo_default", "experiment=mine", "results_dir=~/runs"])
    assert composition.plain["results_dir"] == "/home/me/runs"
    assert composition.plain["optimization_dir"] == "/home/me/studies"
    assert composition.plain["storage"]["path"].startswith("/home/me/studies/")
    assert composition.home_folders == ["optimization_dir='/home/me/studies'"]
    for key in ("run", "against"):
        assert compose("evaluate", [f"{key}=~/runs/a"]).plain[key] == "/home/me/runs/a"
    assert compose("gather", ["runs=[~/a,b]"]).plain["runs"] == ["/home/me/a", "b"]


def test_a_range_has_the_decimals_that_its_ends_and_step_have() -> None:
    override = OverridesParser.create().parse_override("a=range(0.1,0.5,0.1)")
    texts = list(override.sweep_string_iterator())
    sweep: Any = override.value()
    assert values_of_range(sweep, texts) == ["0.1", "0.2", "0.3", "0.4"]
    assert entry_of(override)["step"] == 0.1


def test_null_in_a_choice_is_read_as_in_a_list() -> None:
    assert to_the_letter(["a.b=choice(null,0.01)"]) == ["a.b=null,0.01"]


def test_the_search_of_another_sweeper_is_the_sweep_that_it_means() -> None:
    assert sweeps_of({"agent_algorithm.gamma": "interval(0.9, 0.99)"}) == [
        "agent_algorithm.gamma=interval(0.9, 0.99)"
    ]
    assert without_sweeper_params(["+hydra.sweeper.params.training.n_envs=choice(4,8)"]) == [
        "training.n_envs=choice(4,8)"
    ]
    with pytest.raises(InputError, match="must be a section"):
        without_sweeper_params(["hydra.sweeper.params=3"])


def test_a_sweeper_that_would_be_passed_over_is_refused(project: Path) -> None:
    chosen = "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n"
    write(project, "experiment/mine", chosen)
    for command in ("train", "tune"):
        with pytest.raises(InputError, match=r"override /hydra/sweeper: optuna' is not read"):
            compose(command, ["experiment=mine"])


def test_an_option_of_another_sweeper_is_answered_with_ours(project: Path) -> None:
    write(project, "experiment/mine", "# @package _global_\nhydra: {sweeper: {n_trials: 20}}\n")
    with pytest.raises(InputError, match=r"n_trials is not read here: write tuning.n_trials"):
        compose("tune", ["experiment=mine", "+tuning=ppo_default"])


def test_an_experiment_carries_its_search_which_only_tuning_reads(project: Path) -> None:
    head = "# @package _global_\ndefaults:\n  - /tuning: ppo_default\n"
    write(project, "experiment/mine", f"{head}tuning:\n  n_trials: 7\n")
    studied = compose("tune", ["experiment=mine", "run_name=a"])
    assert studied.plain["tuning"]["n_trials"] == 7
    trained = compose("train", ["experiment=mine"])
    assert "tuning" not in trained.plain and "tuning" not in trained.choices
    assert check_project(Project(project)).faults == []
    write(project, "experiment/mine", head.replace("ppo_default", "a2c_defalt"))
    assert "a2c_default" in str(check_project(Project(project)).faults[0])


def test_an_experiments_search_that_a_choice_would_hide_is_refused(project: Path) -> None:
    write(project, "experiment/mine", "# @package _global_\ntuning: {n_trials: 7}\n")
    with pytest.raises(InputError, match=r"add '- /tuning: base'"):
        compose("tune", ["experiment=mine", "+tuning=ppo_default"])


def test_a_tuning_file_chooses_its_experiment(project: Path) -> None:
    line = "  - override /experiment@_global_.experiment: paper_two\n"
    write(project, "tuning/mine", f"defaults:\n  - ppo_default\n{line}")
    composition = compose("tune", ["+tuning=mine", "run_name=a"])
    assert composition.choices["experiment"] == "paper_two"
    assert composition.choices["antibiotics"] == "paper_two"
    write(
        project, "tuning/mine", "defaults:\n  - ppo_default\n  - override /experiment: paper_two\n"
    )
    with pytest.raises(InputError, match=r"override /experiment@_global_.experiment: NAME"):
        compose("tune", ["+tuning=mine", "run_name=a"])


@pytest.mark.parametrize(
    ("config_name", "override", "message"),
    [
        ("tune", "storage=sqlite:///x.db", r"write storage=url storage.url=sqlite:///x.db"),
        ("tune", "+tuning=ppo_default.yaml", r"write \+tuning=ppo_default$"),
        ("tune", "tuning=conf/tuning/ppo_default.yaml", r"write \+tuning=ppo_default$"),
        ("train", "hydra.job.chdir=true", "would change the working folder"),
        ("train", "results_dir=3", None),
        ("train", "training=null", r"'training=null': training takes a name \(available: default"),
        ("train", "run_name=", r"run_name is empty .* write run_name=null or leave it out"),
        ("train", f"training.seed={'9' * 5000}", r"training.seed: a number of so many digits"),
        ("train", "results_dir=~nobody_here/x", "no home folder of such a user"),
        ("evaluate", "trust=no", "trust must be true or false, got 'no'"),
    ],
)
def test_a_cure_is_one_that_works(config_name: str, override: str, message: str | None) -> None:
    if message is None:
        assert compose(config_name, [override]).plain["results_dir"] == "3"
        return
    with pytest.raises(InputError, match=message):
        compose(config_name, [override]).plain  # noqa: B018


def test_a_name_in_any_script_needs_no_quotes() -> None:
    assert compose("train", ["run_name=日本-é"]).plain["run_name"] == "日本-é"
    with pytest.raises(InputError, match=r"plain folder name \(not ';'\)"):
        check_folder_name("run_name", compose("train", ["run_name=a;rm"]).plain["run_name"])


def test_a_mistyped_option_of_a_launcher_is_guessed() -> None:
    overrides = ["+tuning=ppo_default", "hydra/launcher=submitit_slurm", "hydra.launcher.partion=g"]
    with pytest.raises(InputError, match="did you mean 'partition'"):
        compose("tune", overrides)


def test_a_list_where_a_search_space_belongs_is_refused_in_one_line(project: Path) -> None:
    write(project, "tuning/mine", "defaults: [base]\nsearch_space: [gamma]\n")
    with pytest.raises(InputError, match=r"tuning/mine.yaml: a list stands where a section"):
        compose("tune", ["+tuning=mine"])


def test_a_byte_order_mark_that_hides_the_package_is_refused_with_its_cure(project: Path) -> None:
    write(project, "experiment/bom", "\ufeff# @package _global_\ntraining: {seed: 3}\n")
    with pytest.raises(InputError, match=r"bom\.yaml: a byte order mark .*\(sed -i") as refused:
        compose("train", ["experiment=bom"])
    cure = str(refused.value).rpartition("(")[2].rstrip(")")
    subprocess.run(cure, shell=True, check=True)
    assert compose("train", ["experiment=bom"]).plain["training"]["seed"] == 3


def test_a_file_that_is_no_utf_8_is_named(project: Path) -> None:
    write(project, "experiment/wide", "")
    file = project / "conf/experiment/wide.yaml"
    file.write_bytes("# @package _global_\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"^conf/experiment/wide\.yaml is no UTF-8 text"):
        compose("train", ["experiment=wide"])
