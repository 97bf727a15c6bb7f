"""The whole command on every storage: workers that learn, one is killed, the budget stays exact."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abx_amr.studies.storages import JournalStorage, PostgresStorage, SqliteStorage
from abx_amr.studies.stored import read_study

COMMAND = (
    *(sys.executable, "-m", "abx_amr.cli.tune", "-m", "+tuning=ppo_default", "run_name=real"),
    *("experiment=paper_single", "figures=false", "tuning.n_trials=8"),
    *("tuning.truncated_episodes=30", "tuning.n_seeds_per_trial=2"),
)


def wait_until(claim, seconds=120):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_workers_that_train_ppo_end_exact_although_two_are_killed(
    kind, request, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    marker = None
    if kind == "postgres":
        database = request.getfixturevalue("postgres")
        file = Path(database.passfile)
        marker = database.connection.password or file.read_text().strip().rsplit(":", 1)[-1]
        monkeypatch.setenv("PG_PASSWORD", marker)
        monkeypatch.delenv("PGPASSFILE", raising=False)
        storage = PostgresStorage()
    elif kind == "sqlite":
        storage = SqliteStorage(path="optimization/real/optuna_study.db")
    else:
        storage = JournalStorage(path="optimization/real/optuna_journal.log")

    def start(index):
        log = open(f"worker_{index}.txt", "wb")  # noqa: SIM115
        return subprocess.Popen(
            [*COMMAND, f"storage={kind}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    workers = [start(index) for index in range(4)]
    running = lambda: [  # noqa: E731
        trial.user_attrs["owner"]["pid"]
        for trial in read_study(storage, "real").trials
        if trial.state.name == "RUNNING" and "owner" in trial.user_attrs
    ]
    wait_until(lambda: storage.exists("real") and len(running()) >= 2)
    seen = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    killed = running()[:2]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    codes = {worker.pid: worker.wait(timeout=500) for worker in workers}
    assert all(code == (-signal.SIGKILL if pid in killed else 0) for pid, code in codes.items())

    trials = read_study(storage, "real").trials
    finished = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len(finished) == 8
    assert sorted(trial.user_attrs["lineage"] for trial in finished) == list(range(8))
    assert sum(trial.state.name == "FAIL" for trial in trials) == 2
    assert not [trial for trial in trials if trial.state.name in ("RUNNING", "WAITING")]
    printed = "".join(path.read_text() for path in tmp_path.glob("worker_*.txt"))
    assert "Traceback" not in printed
    assert "database is locked" not in printed
    assert Path("optimization/real/best_params.json").is_file()
    if marker is not None:
        written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not [text for text in [*written, *seen] if marker.encode() in text]
