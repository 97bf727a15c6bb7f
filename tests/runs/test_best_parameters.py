"""What a run takes from a study: its best values, and with another agent the length it brings."""

import json
from pathlib import Path

import pytest
import yaml

from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.reports.repeating import clinic_to_repeat, given_by, settings_to_repeat
from abx_amr.runs.best_parameters import with_best_parameters
from abx_amr.studies.best import read_best

FOUND = {"agent_algorithm.population": 24}


@pytest.fixture
def study(tmp_path: Path) -> str:
    """A complete study of policy_search, by its name below `tmp_path`."""
    studied = compose("tune", ["+tuning=policy_search_default", "run_name=found"]).plain
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "full_agent_env_config.yaml").write_text(yaml.safe_dump(studied), encoding="utf-8")
    (folder / "best_params.json").write_text(json.dumps(FOUND), encoding="utf-8")
    return "found"


def trained_with(folder: Path, *overrides: str) -> dict:
    overrides_given = [f"optimization_dir={folder}", "best_params_from=found", *overrides]
    config, tuned = with_best_parameters(compose("train", overrides_given).plain, overrides_given)
    assert (config["agent_algorithm"]["population"], tuned) == (24, FOUND)
    return config["training"]


@pytest.mark.usefixtures("study")
def test_the_agent_that_was_tuned_is_trained_as_long_as_it_brings(tmp_path: Path) -> None:
    training = trained_with(tmp_path)
    assert training["total_num_training_episodes"] == 76_800
    assert training["eval_freq_every_n_episodes"] == training["save_freq_every_n_episodes"] == 3840


@pytest.mark.usefixtures("study")
def test_a_length_that_the_command_line_gives_is_kept(tmp_path: Path) -> None:
    training = trained_with(tmp_path, "training.total_num_training_episodes=384")
    assert training["total_num_training_episodes"] == 384
    assert training["eval_freq_every_n_episodes"] == 3840


PPO_FOUND = {"agent_algorithm.gamma": 0.996}


def ppo_training_with(folder: Path, *overrides: str, tuning: str = "ppo_tutorial") -> dict:
    """Return the training section with the best values of a study of 60 episodes a trial."""
    studied = compose(
        "tune", [f"+tuning={tuning}", "run_name=long", "tuning.truncated_episodes=60"]
    ).plain
    study = folder / "long"
    study.mkdir()
    parts = {"full_agent_env_config": studied, "tuning_config": studied["tuning"]}
    for name, content in parts.items():
        (study / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (study / "best_params.json").write_text(json.dumps(PPO_FOUND), encoding="utf-8")
    given = [f"optimization_dir={folder}", "best_params_from=long", *overrides]
    return with_best_parameters(compose("train", given).plain, given)[0]["training"]


def test_an_agent_is_trained_no_shorter_than_the_trials_that_chose_its_values(
    tmp_path: Path,
) -> None:
    assert ppo_training_with(tmp_path)["total_num_training_episodes"] == 60


def test_an_agent_whose_own_length_is_longer_is_trained_as_long_and_both_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        training = ppo_training_with(tmp_path, tuning="ppo_default")
    assert training["total_num_training_episodes"] == 1000
    assert "trained for 60 episodes each, this run trains for 1000" in caplog.text


def test_a_study_of_an_earlier_release_lends_the_length_that_its_agent_had(tmp_path: Path) -> None:
    training = ppo_training_with(tmp_path)
    assert training["eval_freq_every_n_episodes"] == training["save_freq_every_n_episodes"] == 5


@pytest.mark.parametrize("episodes", [20, 400])
def test_a_given_length_wins_over_that_of_the_trials(tmp_path: Path, episodes: int) -> None:
    given = f"training.total_num_training_episodes={episodes}"
    assert ppo_training_with(tmp_path, given)["total_num_training_episodes"] == episodes


def test_a_study_of_another_clinic_is_one_readable_line_with_the_settings_to_add(
    tmp_path: Path, study: str, caplog: pytest.LogCaptureFixture
) -> None:
    command = "abx-tune -m +tuning=policy_search_default patient_generator=high_risk run_name=found"
    provenance = json.dumps({"command": command})
    (tmp_path / study / "provenance.json").write_text(provenance, encoding="utf-8")
    trained_with(tmp_path, "experiment=paper_two", "training.n_envs=4")
    clinic, rest = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert clinic.startswith("another clinic than that of the study (antibiotics, environment, ")
    assert clinic.endswith("to train in its own, give patient_generator=high_risk")
    assert rest.endswith("the one that was tuned in: training.n_envs 8 -> 4")
    caplog.clear()
    trained_with(tmp_path)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def summarised(folder: Path, **content: object) -> None:
    (folder / "found" / "study_summary.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"best_trial": {"params": FOUND}}, None),
        ({"best_trial": {"params": {"agent_algorithm.population": 12}}}, "population 24, not 12"),
        ({"best_trial": {"params": {}}, "final": {"params": FOUND}}, None),
        ({"best_trial": {"params": FOUND}, "final": {"params": {"a.b": 1}}}, "a.b left out, not 1"),
        ({"best_trial": None}, None),
    ],
)
def test_best_values_other_than_the_studys_own_are_said(
    tmp_path: Path, content: dict, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    summarised(tmp_path, **content)
    trained_with(tmp_path)
    lines = [text for text in caplog.messages if "other values than the study's best" in text]
    assert len(lines) == (said is not None)
    assert said is None or said in lines[0]


@pytest.mark.usefixtures("study")
def test_a_study_that_is_named_by_a_path_has_a_cure_that_works(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_best(tmp_path / "optimization", str(tmp_path / "found"))
    place = f"best_params_from=found optimization_dir={tmp_path}"
    assert str(refused.value).endswith(f"write {place}")
    assert read_best(tmp_path, "found").values == FOUND
    with pytest.raises(InputError, match="is the folder of one study, found: write"):
        read_best(tmp_path / "found", "found")


def test_what_a_study_fixed_is_repeated_and_what_it_gives_its_trials_is_not() -> None:
    command = (
        "abx-tune +tuning=ppo_default run_name=x training.n_envs=2 training.seed=4 "
        "agent_algorithm.vf_coef=0.7 training.total_num_training_episodes=30 tuning.n_trials=2"
    )
    given = given_by({"command": command}, searched={"agent_algorithm.gamma"})
    assert settings_to_repeat(given) == [
        "training.n_envs=2",
        "agent_algorithm.vf_coef=0.7",
        "training.total_num_training_episodes=30",
    ]
    assert clinic_to_repeat({**given, "experiment": "paper_two"}) == ["experiment=paper_two"]
