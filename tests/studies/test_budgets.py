"""Workers that die anywhere cost no trial and add none (at length: the benchmark budgets)."""

import random

import pytest

from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.storages import JournalStorage, PostgresStorage, SqliteStorage
from benchmarks import budgets


@pytest.fixture(params=budgets.STORAGES)
def empty(request, tmp_path):
    if request.param == "postgres":
        request.getfixturevalue("postgres")
        return PostgresStorage()
    made = {"sqlite": SqliteStorage, "journal": JournalStorage}[request.param]
    return made(path=tmp_path / "study.file")


def test_a_study_ends_exact_although_half_its_workers_are_killed(empty, tmp_path):
    outcome = budgets.repeat_once(
        tmp_path,
        empty,
        rng=random.Random(7),
        n_trials=10,
        n_workers=4,
        n_victims=2,
        seconds=(0.05, 0.2),
    )
    assert outcome.faults == ()
    assert outcome.is_exact
    assert sum(outcome.killed.values()) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_study_of_40_trials_ends_exact_although_5_of_8_workers_are_killed(empty, tmp_path, seed):
    outcome = budgets.repeat_once(
        tmp_path,
        empty,
        rng=random.Random(seed),
        n_trials=40,
        n_workers=8,
        n_victims=5,
        seconds=(0.2, 2.0),
    )
    assert outcome.faults == ()
    assert (outcome.finished, sum(outcome.killed.values())) == (40, 5)


def test_the_check_sees_a_lineage_that_was_finished_twice_and_a_trial_left_over(tmp_path):
    import optuna

    settings = budgets.settings_of(tmp_path, n_trials=2, n_workers=1)
    storage = SqliteStorage(path=tmp_path / "study.db")
    prepare_study(settings, storage)
    study = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    for _ in range(3):
        trial = study.ask(settings.space)
        trial.set_user_attr("lineage", 0)
        if trial.number < 2:
            study.tell(trial, 1.0)
    finished, faults = budgets.stored(settings, storage)
    assert finished == 2
    assert "lineage 0 was finished 2 times" in faults
    assert "trials [2] were left running or waiting" in faults


def test_the_check_sees_what_a_worker_printed(tmp_path):
    def fail():
        raise KeyError("lost")

    child = budgets.fork(fail, tmp_path / "worker_0.txt")
    assert list(budgets.ended({child: None}, 1e9)) == [(child, 1)]
    assert "Traceback" in (tmp_path / "worker_0.txt").read_text()
