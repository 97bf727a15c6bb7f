"""Bars with rate and remaining time where somebody looks, silence elsewhere."""

import io
import logging
import sys
import time

import pytest

from abx_amr.host.progress import phase_display, progress_bar, waiting
from tests.host.terminal import Terminal


def test_a_terminal_sees_the_count_and_the_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("first", "transitions") as move:
        move(10, 40)
        move(40, 40)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "first" in shown
    assert "40/40" in shown
    assert "transitions" in shown


def test_a_file_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar("first", "transitions") as move:
        move(10, 40)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_a_terminal_sees_one_line_that_names_the_phase_and_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with phase_display() as move:
        assert move is not None
        move("exact optimum: step", 120, 500)
        time.sleep(0.3)
        move("audit: round", 7, 0)
        time.sleep(0.3)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "exact optimum: step 120 of 500" in shown
    assert "audit: round 7 " in shown


def test_a_file_is_given_no_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with phase_display() as move:
        assert move is None
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_a_bar_that_is_not_wanted_is_not_shown_on_a_terminal_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("first", "transitions", wanted=False) as move:
        move(40, 40)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def test_a_notebook_sees_a_line_that_ends_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("abx_amr.host.progress.line_in_cell", lambda: shown.append)
    with progress_bar("first", "transitions") as move:
        for done in range(0, 2001, 1):
            move(done, 2000)
    assert 1 < len(shown) < 100  # not once for each
    assert shown[-1].startswith("first: 2,000 of 2,000 transitions (100 %)")


def test_a_terminal_sees_what_is_waited_for_and_logged_lines_stand_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    handler = logging.StreamHandler(out)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    with waiting("playing the episodes"):
        logging.getLogger().warning("a line")
        assert handler.stream is sys.stdout is not out
    assert handler.stream is sys.stdout is out
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "playing the episodes" in shown
    assert "a line\n" in shown  # the display writes it, above itself
    assert out.getvalue() == ""


def test_a_file_sees_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with waiting("playing the episodes"):
        pass
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
