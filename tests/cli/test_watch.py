"""abx-study watch: a study that others work on is shown until it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abx_amr.cli import study as command
from abx_amr.cli.printed_study import PrintedStudy
from abx_amr.studies.events import Event
from abx_amr.tuning import display

WORK = """
import copy, sys, time
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import CONFIGURATION, parabola

made = copy.deepcopy(CONFIGURATION) | {"optimization_dir": "optimization"}
settings = StudySettings.from_configuration(made)
storage = SqliteStorage(path=settings.folder / "optuna_study.db")
prepare_study(settings, storage)
print("prepared", flush=True)
sys.stdin.readline()

def slowly(params, seeds, folder):
    time.sleep(float(sys.argv[1]))
    return parabola(params, seeds, folder)

run_worker(settings, storage, slowly)
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Return a maker of a process with a study of six trials; a line to it lets it begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(display, "LOOK_SECONDS", 0.2)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    children = []

    def make(seconds):
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(seconds)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout.readline() == "prepared\n"
        return child.stdin

    yield make
    for child in children:
        child.kill()
        child.communicate()


def test_a_study_elsewhere_is_told_trial_by_trial_and_the_watcher_ends_with_it(elsewhere, capsys):
    begin = elsewhere(0.5)
    begin.write("go\n")
    begin.flush()
    command.main(["watch", "parabola"])
    lines = capsys.readouterr().out.splitlines()
    counts = [line.split("]")[0] for line in lines if line.startswith("[")]
    assert counts == sorted(set(counts))  # each state once, in their order
    assert counts[-1] == "[6/6"
    assert len(counts) > 2
    assert "best -" in lines[-2]
    assert lines[-1].startswith("study parabola is complete")


def test_ctrl_c_ends_the_watcher_alone(elsewhere):
    elsewhere(0)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "abx_amr.cli.study", "watch", "parabola"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline().startswith("nobody is heard of who works on parabola")
    assert watcher.stdout.readline().startswith("[0/6]")
    watcher.send_signal(signal.SIGINT)
    _, error = watcher.communicate(timeout=60)
    assert watcher.returncode == 130
    assert error == "abx-study: interrupted\n"


def test_a_study_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        command.main(["watch", "nothing"])
    assert stop.value.code == 2
    assert "study 'nothing' does not exist" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_a_log_file_says_from_time_to_time_what_a_trial_has_earned(capsys, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    printed = PrintedStudy()
    printed.event(Event(kind="trial_started", finished=0, budget=6, number=3))
    for seconds in (30.0, 30.0, 30.0, 30.0):
        clock[0] += seconds
        printed.earned("trial 3", -12.34)
    assert capsys.readouterr().out == "trial 3: return so far -12.3\n" * 2
