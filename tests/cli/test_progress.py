"""Bars with rate and remaining time where somebody looks, silence elsewhere."""

import io
import sys

import pytest

from abx_amr.cli.progress import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


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
