"""The whole command with a race over seeds: searched, told, audited, gone on with."""

import json
from pathlib import Path

import optuna
import pytest

from abx_amr.cli import report, study, tune
from abx_amr.studies.storages import SqliteStorage
from tests.cli.conftest import SMALL_STUDY, Call

RACE = (*SMALL_STUDY, "experiment=paper_two", "tuning.race={trainings: 7, first_seeds: 1}")


def summary(name: str) -> dict:
    return json.loads(Path(f"optimization/{name}/study_summary.json").read_text())


def points(name: str) -> list[tuple]:
    storage = SqliteStorage(path=Path("optimization", name, "optuna_study.db"))
    trials = optuna.load_study(study_name=name, storage=storage.open()).trials
    return [
        (t.params, t.state.name, [s["episode_return"] for s in t.user_attrs["seeds"]], t.value)
        for t in trials
    ]


def test_a_race_is_searched_told_and_audited(call: Call) -> None:
    done = call(tune.main, *RACE, "run_name=race")
    assert done.status == 0, done.err
    assert "a race of 7 trainings, each point begins with 1 seed (1000..;" in done.out
    assert "\n7 trainings finished of 7, in optimization/race" in done.out
    assert "(1 seed)  " in done.out
    told = summary("race")["race"]
    assert told["rungs"][0] == {"seeds": 1, "points": told["points"]}
    assert sum(len(returns) for _, _, returns, _ in points("race")) == 7
    shown = call(study.main, "show", "race").out
    assert "budget: 7 trainings; finished: 7" in shown
    audit = call(study.main, "audit", "race").out
    assert "pass    budget exact              7 trainings of" in audit
    assert "pass    no failed seeds hidden" in audit
    assert call(report.main, "optimization/race").status == 0
    page = Path("optimization/race/report.html").read_text()
    assert "The race over seeds" in page
    assert f"7 trainings were given out among {told['points']} points" in page
    again = call(tune.main, *RACE, "run_name=race")
    assert (again.status, "[7/7]" in again.out) == (0, False)


@pytest.mark.usefixtures("warm_python")
@pytest.mark.slow
def test_a_race_of_jobs_spends_its_budget(call: Call) -> None:
    done = call(tune.main, *RACE, "run_name=jobs", "tuning.parallel=jobs", "tuning.n_workers=3")
    assert done.status == 0, done.err
    assert summary("jobs")["status"] == "complete"
    assert sum(len(returns) for _, _, returns, _ in points("jobs")) == 7
    assert {state for _, state, _, _ in points("jobs")} <= {"COMPLETE", "PRUNED"}


SHORT = (
    *SMALL_STUDY,
    "tuning.truncated_episodes=8",
    "tuning.race={trainings: 8, first_seeds: 1, episodes: [4, 8]}",
)


def test_a_race_of_short_and_whole_trainings_counts_episodes_and_says_what_short_ones_told(
    call: Call,
) -> None:
    done = call(tune.main, *SHORT, "run_name=short")
    assert done.status == 0, done.err
    assert "a race of 8 trainings (64 episodes), each point begins with 1 seed x 4 ep" in done.out
    assert "(1 seed x 4 episodes)  " in done.out
    assert "\n64 episodes finished of 64, in optimization/short" in done.out
    line = "hort trainings (4 of 8 episodes) are not known to tell the ranks of whole ones"
    assert f"\ns{line}" in done.out
    assert not [*Path("optimization/short/trials").rglob("checkpoint.zip")]
    assert "budget: 64 episodes; finished: 64" in call(study.main, "show", "short").out
    audit = call(study.main, "audit", "short").out
    assert "pass    budget exact              64 episodes of" in audit
    failed = [line for line in audit.splitlines() if line.startswith("FAIL")]
    assert all("discount" in line for line in failed)  # which is not the race's to pass
    assert call(report.main, "optimization/short").status == 0
    page = Path("optimization/short/report.html").read_text()
    assert f"S{line}" in page
    assert "1 x 4 episodes" in page


@pytest.mark.usefixtures("warm_python")
@pytest.mark.slow
def test_short_trainings_that_are_jobs_give_what_a_worker_gives(call: Call) -> None:
    for name, jobs in (("jobs", ("tuning.parallel=jobs", "tuning.n_workers=1")), ("one", ())):
        assert call(tune.main, *SHORT, f"run_name={name}", *jobs).status == 0
    assert points("jobs") == points("one")
