"""Every figure that is drawn from tables: found in this folder, no list names them.

A module of this folder that declares NAME, READS, CAPTION and `draw` is a figure. Whoever has
tables (a run, a study) draws all figures that read nothing else.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import pandas as pd
from matplotlib.figure import Figure

import abx_amr.plots

#: Where a figure stands among the others that does not say it.
LAST = 100


@runtime_checkable
class FigureModule(Protocol):
    """A module of one figure.

    It may also say where it stands among the others (ORDER, the lowest first), and by
    `is_worth_drawing(*tables)` that there is nothing to see in some tables.
    """

    NAME: str  #: of the file, without its ending
    READS: tuple[str, ...]  #: the tables that `draw` takes, in this order
    CAPTION: str  #: the second line of the title

    @property
    def draw(self) -> Callable[..., Figure]:
        """What draws the tables, given in the order of READS, under a `title`."""
        ...


@functools.cache
def figures() -> tuple[FigureModule, ...]:
    """Return the figures of this folder in the order in which they are drawn.

    >>> [figure.NAME for figure in figures()][:2]
    ['amr', 'study_history']
    """
    package = abx_amr.plots
    names = [found.name for found in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    declared = [module for module in modules if isinstance(module, FigureModule)]
    return tuple(sorted(declared, key=lambda figure: (getattr(figure, "ORDER", LAST), figure.NAME)))


def draw_all(
    tables: Mapping[str, pd.DataFrame],
    *,
    title: Callable[[FigureModule], str],
    **settings: Any,
) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure of each that reads these tables alone, the first of them with rows.

    Args:
        tables: name -> table, such as `steps` and `evaluations` of a run.
        title: what stands above a figure.
        settings: further arguments, given to the figures that take them.
    """
    for module in figures():
        given = [tables[name] for name in module.READS if name in tables]
        if len(given) < len(module.READS) or given[0].empty:
            continue
        if not getattr(module, "is_worth_drawing", lambda *tables: True)(*given):
            continue
        taken = inspect.signature(module.draw).parameters
        own = {name: value for name, value in settings.items() if name in taken}
        yield module.NAME, module.draw(*given, title=title(module), **own)
