"""Text as a terminal may be given it: what would move its cursor or change its colours is shown.

Names, messages and files come from anybody. Control characters, and those that turn the direction
of writing, stand as their escapes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from abx_amr.errors import in_one_line


def shown(text: str) -> str:
    r"""Return a text with its control characters escaped, but for the ends of lines and tabs.

    >>> shown("mean \x1b[31mreturn\n")
    'mean \\x1b[31mreturn\n'
    """
    return re.sub(r"[^\n\t]+", lambda part: in_one_line(part[0]), text)


class ShownStream:
    """A text stream that is written to as `shown` has it; all else is the stream's own."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return the stream's own attribute."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, escaped."""
        self._stream.write(shown(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write texts, escaped."""
        for line in lines:
            self.write(line)


@contextmanager
def escaped_output() -> Iterator[None]:
    """Have what is printed meanwhile escaped."""
    before = sys.stdout
    if before is None or isinstance(before, ShownStream):
        yield
        return
    sys.stdout = cast(Any, ShownStream(before))
    try:
        yield
    finally:
        sys.stdout = before
