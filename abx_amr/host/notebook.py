"""A line in the running cell of a notebook that is kept up to date."""

from __future__ import annotations

import sys
from collections.abc import Callable


def line_in_cell() -> Callable[[str], None] | None:
    """Return what puts a text into the running cell, in place of the text before.

    None where this is no notebook: IPython's kernel is what makes one.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if ipython is None or not hasattr(shell, "kernel"):
        return None
    cell = ipython.display.display({"text/plain": ""}, raw=True, display_id=True)
    return lambda text: cell.update({"text/plain": text}, raw=True)
