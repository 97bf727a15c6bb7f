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
    *("-m", "+tuning=ppo_default", "run_name=real", "experiment=paper_single", "figures=false"),
    *("tuning.n_trials=5", "tuning.truncated_episodes=20", "tuning.n_seeds_per_trial=2"),
    *("environment.max_time_steps=50", "tuning.final=false"),
)


def started(kind, log):
    """Start a worker; what it prints goes to the file `log`."""
    program = "from abx_amr.cli.tune import main; main()"
    command = [sys.executable, "-c", program, *COMMAND, f"storage={kind}"]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def first_running(storage, count, seconds=400):
    """Return the processes that run trials, once there are so many."""
    end = time.monotonic() + seconds
    found = []
    while len(found) < count:
        assert time.monotonic() < end
        time.sleep(0.05)
        if storage.exists("real"):
            trials = read_study(storage, "real").trials
            running = [t for t in trials if t.state == "RUNNING" and t.owner is not None]
            found = [trial.owner.process.pid for trial in running]
    return found[:count]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_workers_that_train_ppo_end_exact_although_two_are_killed(
    kind, request, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    marker = None
    if kind == "postgres":
        database = request.getfixturevalue("postgres")
        passfile = Path(database.passfile).read_text()
        marker = database.connection.password or passfile.strip().rsplit(":", 1)[-1]
        monkeypatch.setenv("PG_PASSWORD", marker)
        monkeypatch.delenv("PGPASSFILE", raising=False)
        storage = PostgresStorage()
    elif kind == "sqlite":
        storage = SqliteStorage(path="optimization/real/optuna_study.db")
    else:
        storage = JournalStorage(path="optimization/real/optuna_journal.log")

    # No forks: of a process whose torch has threads, they wait for locks that nobody opens.
    workers = [started(kind, tmp_path / f"worker_{index}.txt") for index in range(3)]
    killed = []
    try:
        killed += first_running(storage, 2)
        seen = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    finally:
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        codes = {worker.pid: worker.wait(timeout=600) for worker in workers}
    assert codes == {w.pid: -signal.SIGKILL if w.pid in killed else 0 for w in workers}

    trials = read_study(storage, "real").trials
    finished = [trial for trial in trials if trial.state == "COMPLETE"]
    assert len(finished) == 5
    assert sorted(trial.lineage for trial in finished) == list(range(5))
    assert sum(trial.state == "FAIL" for trial in trials) <= 2
    assert not [trial for trial in trials if trial.state in ("RUNNING", "WAITING")]
    printed = "".join(path.read_text() for path in tmp_path.glob("worker_*.txt"))
    assert "best value" in printed
    assert "Traceback" not in printed
    assert "database is locked" not in printed
    assert Path("optimization/real/best_params.json").is_file()
    if marker is not None:
        written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        assert not [text for text in [*written, *seen] if marker.encode() in text]
