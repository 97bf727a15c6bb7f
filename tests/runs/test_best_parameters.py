"""What a run takes from a study: its best values, and with another agent the length it brings."""

import json
from pathlib import Path

import pytest
import yaml

from abx_amr.configuration.composing import compose
from abx_amr.runs.best_parameters import with_best_parameters

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
