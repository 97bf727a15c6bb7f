"""Commands are called as in tests/cli."""

from tests.cli.conftest import call

__all__ = ["call"]
