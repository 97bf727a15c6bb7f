"""How often a worker asks its storage; while it is inside the critical section, all others wait."""

import os
from pathlib import Path

import pytest

from abx_amr.studies.storages import JournalStorage, SqliteStorage
from abx_amr.studies.worker import run_worker
from benchmarks.bookkeeping import exchanges_of
from tests.studies.conftest import parabola


def test_a_trial_costs_few_exchanges_with_its_storage(stored_study):
    settings, storage = stored_study(n_trials=12)
    asked = exchanges_of(settings, storage)
    if isinstance(storage, JournalStorage):
        assert (asked["inside"], asked["outside"]) == (1.0, 1.0)
        return
    begins = 4.0 if isinstance(storage, SqliteStorage) else 0.0  # others begin without a statement
    assert 0.0 < asked["inside"] <= 10.0 + begins
    assert 0.0 < asked["outside"] <= 4.0 + begins


def test_what_a_death_leaves_of_the_changes_of_a_trial_is_tried_again(
    configuration, tmp_path, in_processes
):
    """A journal takes changes line by line: cut after each, the budget is spent exactly."""
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.studies.settings import StudySettings

    settings = StudySettings.from_configuration(configuration(n_trials=2))
    storage = JournalStorage(path=tmp_path / "journal.log")
    prepare_study(settings, storage)
    begun = storage.path.read_bytes().count(b"\n")
    assert in_processes(1, lambda _: run_worker(settings, storage, parabola)) == [0]
    whole = storage.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    ends = [n for n in range(begun, len(lines)) if b'"op_code":6' in lines[n]]
    for n in range(begun, ends[1] + 1):
        half = lines[n][: len(lines[n]) // 2]
        storage.path.write_bytes(b"".join([*lines[:n], half]))

        def go_on(_):
            run_worker(settings, storage, parabola)
            trials = storage.open().get_all_trials(0)
            complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
            assert len(complete) == 2
            assert sorted(trial.user_attrs["lineage"] for trial in complete) == [0, 1]

        assert in_processes(1, go_on) == [0]


@pytest.mark.slow
def test_a_worker_keeps_of_a_trial_no_more_than_the_trial(study):
    settings, storage = study(n_trials=600)
    kept: list[int] = []

    def run_trial(params, seeds, folder):
        pages = Path("/proc/self/statm").read_text().split()[1]
        kept.append(int(pages) * os.sysconf("SC_PAGE_SIZE"))
        return parabola(params, seeds, folder)

    run_worker(settings, storage, run_trial, write_summary=lambda: None)
    assert (kept[-1] - kept[100]) / 500 < 24 * 1024  # 12 KiB were measured with eight parameters
