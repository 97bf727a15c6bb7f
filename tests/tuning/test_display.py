"""A study is shown where somebody looks, whoever works on it."""

import io
import sys
import time

import pytest

from abx_amr.studies.overview import StudyOverview, WorkerLine
from abx_amr.tuning import display
from abx_amr.tuning.display import study_display
from tests.host.terminal import Terminal

OVERVIEW = StudyOverview(
    budget=40,
    n_finished=12,
    n_running=2,
    n_waiting=0,
    n_failed=3,
    best_value=-51.8,
    best_trial=7,
    trials_per_hour=28.0,
    typical_trial_seconds=120.0,
    workers=[
        WorkerLine(name="worker 0 on node1 (17, SLURM 5_0)", n_finished=8, trial=14, seconds=61.0),
        WorkerLine(name="worker 1 on node2 (99, SLURM 5_1)", n_finished=4),
    ],
)


def test_a_terminal_sees_the_whole_study_and_a_line_for_each_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(display, "LOOK_SECONDS", 0.01)
    looks: list[int] = []

    def look() -> StudyOverview:
        looks.append(1)
        if len(looks) == 1:
            raise ConnectionError("the server restarts")
        return OVERVIEW

    with study_display(look, "transitions") as move:
        move(10, 40)
        end = time.monotonic() + 30
        shown = ""
        while "node2" not in shown and time.monotonic() < end:
            time.sleep(0.05)
            shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    for text in (
        *("12 of 40 trials finished", "2 running", "3 failed", "best -51.800", "28 trials/h"),
        *("1 h 0 min left", "node1 (17, SLURM 5_0)", "trial 14 for 1 min 1 s", "10/40"),
    ):
        assert text in shown, text


def test_a_study_is_not_read_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    def look() -> StudyOverview:
        raise AssertionError("nobody looks")

    with study_display(look, "transitions") as move:
        move(10, 40)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_the_bar_of_a_trial_says_what_it_has_earned_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    listener = display.DisplayedStudy()
    with listener.watching(lambda: OVERVIEW) as move:
        listener.earned("trial 14", -51.84)
        move(10, 40)
        end = time.monotonic() + 30
        shown = ""
        while "10/40" not in shown and time.monotonic() < end:
            time.sleep(0.05)
            shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "trial 14, return so far -51.8" in shown
