"""The whole command with a final: announced, trained, printed, stored, and its point handed on."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abx_amr.cli import study, train, tune
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.stored import read_study
from tests.cli.conftest import SMALL, SMALL_STUDY, Call

FINAL = (*(s for s in SMALL_STUDY if s != "tuning.final=false"), "experiment=paper_two")
SIZE = ("tuning.n_trials=2", "tuning.final={top: 1, seeds: 2}", "run_name=small")
RELEASE_0_1 = Path(__file__).parents[1] / "release_0_1" / "data"


def summary(name: str = "small") -> dict:
    return json.loads(Path(f"optimization/{name}/study_summary.json").read_text())


def test_a_study_ends_with_its_winner_s_worth_and_the_selected_point(call: Call) -> None:
    done = call(tune.main, *FINAL, *SIZE)
    assert done.status == 0, done.err
    _, announced, *lines = done.out.splitlines()
    assert announced == (
        "trainings: 4 of the search, then a final (tuning.final) of 2 points x 2 seeds and 2 x 2 "
        "held out: at most 12"
    )
    assert [line for line in lines if line.startswith("[final 4/")]
    said = done.out[done.out.index("\nfinal: ") :]
    for word in ("found", "selected", "held out", "default", "best rule", "optimality gap"):
        assert f"\n  {word}" in said
    final = summary()["final"]
    assert [c["point"] for c in final["candidates"]] == [
        summary()["best_trial"]["number"],
        "default",
    ]
    assert final["held_out"]["seeds"] == [10000, 10001]
    assert final["held_out"]["episodes"] == 100
    assert final["held_out"]["gap"]["total"] == pytest.approx(
        final["held_out"]["optimum"] - final["held_out"]["selected"]["mean"]
    )
    assert final["held_out"]["best_rule"]["difference"]["seeds"] == 2
    best = json.loads(Path("optimization/small/best_params.json").read_text())
    assert best == final["params"]

    again = call(tune.main, *FINAL, *SIZE)
    assert (again.status, "[final" in again.out) == (0, False)
    assert f"selected {'the default' if final['selected'] == 'default' else 'trial'}" in (
        call(study.main, "show", "small").out
    )
    assert json.loads(call(study.main, "best", "small").out) == best


def test_a_finished_study_of_release_0_1_is_confirmed(call: Call) -> None:
    shutil.copytree(RELEASE_0_1 / "half_sqlite", "optimization/half_sqlite")
    refused = call(study.main, "confirm", "half_sqlite", "final=false")
    assert refused.status == 2
    assert "final must be true or {top: POINTS, seeds: SEEDS}, not False" in refused.err
    assert (
        "final: none (abx-study confirm half_sqlite" in call(study.main, "show", "half_sqlite").out
    )
    done = call(study.main, "confirm", "half_sqlite", "final={top: 1, seeds: 2}")
    assert done.status == 0, done.err
    assert summary("half_sqlite")["final"]["top"] == 1
    assert "abx-train best_params_from=half_sqlite" in done.out
    again = call(study.main, "confirm", "half_sqlite")
    assert (again.status, "[final" in again.out) == (0, False)


def test_an_unfinished_study_is_not_confirmed(call: Call) -> None:
    call(tune.main, *SMALL_STUDY, "tuning.n_trials=2", "tuning.n_trials_per_worker=1", "run_name=x")
    done = call(study.main, "confirm", "x")
    assert done.status == 2
    assert "study 'x' is unfinished, 1 of 2 trials are done: run its abx-tune command" in done.err


@pytest.mark.slow
def test_two_workers_one_of_them_killed_end_with_the_final_of_one(call: Call) -> None:
    command = [sys.executable, "-m", "abx_amr.cli.tune", *FINAL, *SIZE]
    workers = {
        process.pid: process
        for process in (subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2))
    }
    storage = SqliteStorage(path="optimization/small/optuna_study.db")
    victim = None
    end = time.monotonic() + 900
    while victim is None and time.monotonic() < end:
        time.sleep(0.02)
        if storage.exists("small"):
            claims = read_study(storage, "small").final.open_claims
            victim = next((claim.owner.process.pid for claim in claims if claim.owner), None)
    assert victim in workers
    workers[victim].kill()
    codes = {pid: process.wait(timeout=900) for pid, process in workers.items()}
    assert codes == {pid: -signal.SIGKILL if pid == victim else 0 for pid in workers}
    alone = call(tune.main, *FINAL, *SIZE, "optimization_dir=alone")
    assert alone.status == 0, alone.err
    one = json.loads(Path("alone/small/study_summary.json").read_text())["final"]
    assert summary()["final"] == one


def test_best_parameters_wait_for_a_final_that_is_under_way(call: Call) -> None:
    Path("optimization").mkdir()
    shutil.copytree(RELEASE_0_1 / "half_sqlite", "optimization/half_sqlite")
    file = Path("optimization/half_sqlite/study_summary.json")
    begun = {**json.loads(file.read_text()), "final_trainings": {"done": 3, "planned": 8}}
    file.write_text(json.dumps(begun))
    Path("optimization/half_sqlite/best_params.json").unlink()
    done = call(train.main, "best_params_from=half_sqlite", *SMALL)
    assert done.status == 2
    assert "final is unfinished, 3 of 8 trainings are done" in done.err
