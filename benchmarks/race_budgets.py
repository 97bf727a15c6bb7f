"""Exact budgets of races over seeds although workers die: `budgets --race`."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import budgets


def main(arguments: Sequence[str] = ()) -> str:
    """Return the table."""
    return budgets.main(["--race", *arguments])
