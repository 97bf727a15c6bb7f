"""A command goes on without the application, is found again, stopped, and tells how it ended."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from abx_amr.app import jobs as module
from abx_amr.app.jobs import Job, Jobs
from abx_amr.app.workplace import Workplace
from abx_amr.host.atomic_files import write_json
from abx_amr.host.processes import ProcessIdentity
from tests.app.asking import Asking

SCRIPT = """
import signal, sys, time
print("at work", flush=True)
try:
    time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    print("kept", flush=True)
    sys.exit(130)
sys.exit(int(sys.argv[2]))
"""


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def jobs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Jobs of a program of the test in place of a training."""
    monkeypatch.setattr(module, "_program", lambda command: [sys.executable, "-c", SCRIPT])
    return Jobs(Workplace.at(project))


@pytest.mark.parametrize(("status", "state"), [(0, "complete"), (2, "refused"), (1, "failed")])
def test_how_a_command_ended_is_told(jobs: Jobs, status: int, state: str) -> None:
    job = jobs.start(["abx-train", "0", str(status)])
    until(lambda: job.state() != "runs")
    assert job.state() == state
    assert job.log() == "at work\n"


def test_stop_is_ctrl_c_and_kill_the_end(jobs: Jobs) -> None:
    job = jobs.start(["abx-train", "600", "0"])
    until(lambda: "at work" in job.log())
    job.stop()
    until(lambda: job.state() != "runs")
    assert job.state() == "stopped" and job.log().endswith("kept\n")
    job = jobs.start(["abx-train", "600", "0"])
    until(lambda: "at work" in job.log())
    job.stop(signal.SIGKILL)
    until(lambda: job.state() != "runs")
    assert job.state() == "failed"


def test_a_command_stops_also_where_the_application_itself_ignores_ctrl_c(jobs: Jobs) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script's background does
    try:
        job = jobs.start(["abx-train", "600", "0"])
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: "at work" in job.log())
    job.stop()
    until(lambda: job.state() == "stopped")


def test_a_command_has_a_session_of_its_own_and_is_found_by_who_opens_again(jobs: Jobs) -> None:
    job = jobs.start(["abx-train", "600", "0"], {"run_name": "x"})
    until(lambda: "at work" in job.log())
    (found,) = Jobs(jobs.workplace).all()
    assert found.state() == "runs" and found.asked["form"] == {"run_name": "x"}
    group = module._read(found.path / "process.json")["group"]
    assert os.getsid(group) != os.getsid(0)
    found.stop()
    until(lambda: job.state() == "stopped")


def test_one_that_died_without_a_word_is_known(jobs: Jobs, project: Path) -> None:
    path = jobs.folder / "20261129_100000_abcdef"
    path.mkdir(parents=True)
    write_json(path / "job.json", {"words": ["abx-train"], "started": "2026-11-29T10:00:00"})
    assert Job(path).state() == "runs", "it may not have begun yet"
    dead = {**ProcessIdentity.of_this_process().as_record(), "started": "1"}
    write_json(path / "process.json", {"watcher": dead, "group": os.getpid()})
    assert Job(path).state() == "lost"
    Job(path).stop()  # nobody is harmed: the number belongs to another process now


def test_a_log_is_shown_as_a_terminal_would(project: Path) -> None:
    job = Job(project)
    (project / "log.txt").write_bytes(b"\x1b[31mred\x1b[0m\n10 %\r20 %\r\n\xff end")
    assert job.log() == "red\n20 %\n\ufffd end"
    (project / "log.txt").write_bytes(b"x" * 100_000 + b"\nabx-train: error: no such thing\n")
    assert job.log() == "abx-train: error: no such thing\n"
    assert job.error() == "no such thing"


@pytest.mark.parametrize("name", ["..", "20261129_100000_abcdef", "20261129_100000_abcde/", "x"])
def test_no_name_leads_to_another_folder(app: Asking, name: str) -> None:
    assert app.get(f"/jobs/{name}").status in (404, 422)
    assert app.post(f"/jobs/{name}/stop").status in (404, 422)


def test_the_page_of_a_command_follows_it_to_its_end(app: Asking, jobs: Jobs) -> None:
    job = jobs.start(["abx-train", "0.4", "0"])
    assert "Nothing was started here yet" not in app.get("/jobs").text
    page = app.get(f"/jobs/{job.name}")
    assert "abx-train 0.4 0" in page.text
    events = app.get(f"/jobs/{job.name}/events").text
    assert events.rstrip().endswith("event: end\ndata: {}")
    assert re.search(r'"id": "state".*finished', events)
    assert "at work" in events


def test_only_the_public_commands_are_started(project: Path) -> None:
    from abx_amr.errors import InputError

    for command in ("sh", "abx-init", "abx-postgres", "abx-app", "../abx-train"):
        with pytest.raises(InputError, match="not started from here"):
            Jobs(Workplace.at(project)).start([command])
