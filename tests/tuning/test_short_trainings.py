"""What is left between the short trainings of a race and their rest, and what is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from abx_amr.configuration.composing import resolved
from abx_amr.studies.attempts import Part
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.seed_files import read_seed_results, remove_checkpoints, seed_checkpoint_file
from abx_amr.tuning.study import TuningStudy, settled
from abx_amr.tuning.trials import TrialRunner
from tests.cli.conftest import SMALL_STUDY

SEEDS = [1000, 1001]
POINT = {"agent_algorithm.learning_rate": 3e-3}


@pytest.fixture
def runner(tmp_path: Path) -> TrialRunner:
    config = composed_study(
        *SMALL_STUDY[1:], "tuning.truncated_episodes=12", f"optimization_dir={tmp_path}"
    )
    return TuningStudy(settled(resolved(config))).runner


def ran(runner: TrialRunner, folder: Path | None, part: Part | None = None) -> list[Any]:
    outcomes = runner.run(POINT, SEEDS, folder, part=part)
    return [replace(outcome, seconds=0.0) for outcome in outcomes]


def test_a_training_goes_on_where_its_checkpoint_is_and_begins_again_where_it_is_not(
    runner: TrialRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = ran(runner, None)
    folder = tmp_path / "race" / "trials" / "0"
    short = ran(runner, folder, Part(end=4))
    assert [outcome.episode_return for outcome in short] != [o.episode_return for o in whole]
    files = [seed_checkpoint_file(folder, seed) for seed in SEEDS]
    assert all(file.is_file() for file in files)
    assert ran(runner, folder, Part(end=4)) == short  # known, not trained again
    assert read_seed_results(tmp_path / "race").empty
    files[1].unlink()
    assert ran(runner, folder, Part(begin=4)) == whole
    assert "seed 1001 begins again, to the same bits" in caplog.text
    assert "seed 1000" not in caplog.text
    assert not any(file.is_file() for file in files)
    assert len(read_seed_results(tmp_path / "race")) == 2


def test_checkpoints_that_nobody_goes_on_with_are_removed(
    runner: TrialRunner, tmp_path: Path
) -> None:
    folder = tmp_path / "race" / "trials" / "0"
    ran(runner, folder, Part(end=4))
    remove_checkpoints(tmp_path / "race")
    assert not any(seed_checkpoint_file(folder, seed).exists() for seed in SEEDS)
