"""Figures left blank: drawing them takes longer than all else that a small command does."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import IO, Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

#: A pixel and an empty drawing: what a figure is saved as.
BLANK: dict[str, bytes | str] = {
    "png": base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwAB"
        "AQEAHLCMmQAAAABJRU5ErkJggg=="
    ),
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 576 1"/>',
}


def leave_blank(set_attribute: Callable[[object, str, object], None]) -> None:
    """Have figures saved as blank ones, by means of setattr or what takes it back."""
    set_attribute(Figure, "savefig", _save_blank)
    set_attribute(ConstrainedLayoutEngine, "execute", lambda engine, figure: None)


def _save_blank(figure: Figure, file: IO[Any], *, format: str, **settings: Any) -> None:
    file.write(BLANK[format])
