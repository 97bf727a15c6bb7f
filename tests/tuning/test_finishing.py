"""One way of finishing, whoever ends the work on a study."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import abx_amr
from abx_amr.cli import tune as door
from abx_amr.studies.events import WorkerReport
from abx_amr.studies.preparation import Preparation
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.listening import StudyListener
from abx_amr.tuning.service import TuneService
from tests.cli.conftest import SMALL_STUDY, Call

STUDY = (*SMALL_STUDY[1:], "experiment=paper_single", "run_name=small")
SUMMARY = Path("optimization/small/study_summary.json")
ONE, TWO = "tuning.n_trials=1", "tuning.n_trials=2"


def best_trial() -> dict[str, Any]:
    return dict(json.loads(SUMMARY.read_text(encoding="utf-8"))["best_trial"])


def as_a_worker(call: Call) -> None:
    """Be a worker of a sweep that somebody else will finish."""
    service = TuneService(StudyListener())
    config = composed_study(*STUDY, ONE, "tuning.worker=0")
    assert service.prepare(config, is_here=True) is Preparation.FINISHED
    service(config)


def as_a_worker_that_is_left_alone(call: Call) -> None:
    """Be a worker that finishes for nobody."""
    config = composed_study(*STUDY, ONE, "tuning.worker=0", "tuning.wait=false")
    TuneService(StudyListener())(config)


def as_the_command_again(call: Call) -> None:
    """Run the command of a finished study."""
    assert call(door.main, "-m", *STUDY, ONE).status == 0


def as_the_command_that_goes_on(call: Call) -> None:
    """Run the command with a larger budget: its worker writes, and the sweeper does."""
    assert call(door.main, "-m", *STUDY, TWO).status == 0


def as_jobs(call: Call) -> None:
    """Run the command with a job for each seed."""
    jobs = ("tuning.parallel=jobs", "tuning.n_workers=2")
    assert call(door.main, "-m", *STUDY, TWO, *jobs).status == 0


def as_a_notebook(call: Call) -> None:
    """Call the function."""
    abx_amr.tune(*STUDY, ONE)


PARTIES = (
    as_a_worker,
    as_a_worker_that_is_left_alone,
    as_the_command_again,
    as_the_command_that_goes_on,
    as_jobs,
    as_a_notebook,
)


@pytest.mark.usefixtures("warm_python")
@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.__name__)
def test_a_summary_holds_the_gap_whoever_wrote_it(
    call: Call, party: Callable[[Call], None]
) -> None:
    abx_amr.tune(*STUDY, ONE)
    SUMMARY.unlink()
    party(call)
    best = best_trial()
    assert best["optimality_gap"] == pytest.approx(best["optimum"] - best["mean_reward"])


def test_the_best_trial_is_told_as_a_run_is_and_how_long_to_train_with_it(call: Call) -> None:
    result = abx_amr.tune(*STUDY, ONE)
    gap = result.gap
    assert gap["total"] == pytest.approx(result.optimality_gap)
    assert sum(part["value"] or 0.0 for part in gap["parts"]) == pytest.approx(gap["total"])
    assert best_trial()["best_rule"] == result.best_rule
    treated = best_trial()["treatments"]
    patients = sum(treated["given"].values()) + treated["none"]
    training, environment = result.configuration["training"], result.configuration["environment"]
    assert patients == (
        len(best_trial()["seeds"])
        * training["num_eval_episodes"]
        * environment["max_time_steps"]
        * environment["num_patients_per_time_step"]
    )
    assert result.best_rule["difference"]["mean"] == pytest.approx(
        result.best_trial["mean_reward"] - result.best_rule["mean_return"]
    )
    assert result.training_episodes >= 25


def test_a_worker_that_leaves_early_writes_the_gap_too_and_says_how_to_go_on(call: Call) -> None:
    class Listener(StudyListener):
        said = ""

        def stopped(self, report: WorkerReport) -> None:
            self.said = report.message

    service = TuneService(listener := Listener())
    alone = ("tuning.worker=0", "tuning.wait=false", "tuning.n_trials_per_worker=1")
    config = composed_study(*STUDY, TWO, *alone)
    service.prepare(config, is_here=True)
    service(config)
    assert best_trial()["optimality_gap"] is not None
    assert listener.said == (
        "this worker has run its 1 trial (tuning.n_trials_per_worker): run the same command again "
        "to go on"
    )


def test_the_figures_of_a_study_are_drawn_once_for_its_trials(call: Call) -> None:
    drawn = Path("optimization/small/figures/study_history.png")
    abx_amr.tune(*STUDY, ONE, "figures=true")
    first = drawn.stat().st_mtime_ns
    abx_amr.tune(*STUDY, ONE, "figures=true")
    assert drawn.stat().st_mtime_ns == first
    time.sleep(0.02)
    abx_amr.tune(*STUDY, TWO, "figures=true")
    assert drawn.stat().st_mtime_ns > first


def test_figures_that_were_not_wanted_are_drawn_when_they_are(call: Call) -> None:
    abx_amr.tune(*STUDY, ONE)
    assert not Path("optimization/small/figures").exists()
    abx_amr.tune(*STUDY, ONE, "figures=true")
    assert Path("optimization/small/figures/study_history.png").is_file()
