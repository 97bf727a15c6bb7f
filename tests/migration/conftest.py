"""Commands are called in this process, in an empty folder."""

from tests.cli.conftest import call

__all__ = ["call"]
