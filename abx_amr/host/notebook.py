"""What a cell of a notebook shows: a line that is kept up to date, and a result as HTML."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a table that a cell shows; a longer one is shown by its first and last.
MOST_ROWS = 20


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


def result_as_html(
    title: str, facts: Mapping[str, object], tables: Mapping[str, pd.DataFrame] | None = None
) -> str:
    """Return a result for a cell: its facts, one a line, and its tables; every text is escaped.

    A fact or table that is None or empty is left out.

    >>> result_as_html("Run <a>", {"mean return": "1.50", "optimum": None})
    '<div><b>Run &lt;a&gt;</b><table><tr><th>mean return</th><td>1.50</td></tr></table></div>'
    """
    from markupsafe import Markup

    row = Markup("<tr><th>{}</th><td>{}</td></tr>")
    rows = [row.format(name, fact) for name, fact in facts.items() if fact not in (None, "")]
    parts = [Markup("<b>{}</b>").format(title)]
    if rows:
        parts.append(Markup("<table>{}</table>").format(Markup("").join(rows)))
    for caption, table in (tables or {}).items():
        if len(table):
            shown = table.to_html(
                index=False, border=0, max_rows=MOST_ROWS, na_rep="-", float_format="{:.3f}".format
            )
            parts.append(Markup("<p>{}</p>{}").format(caption, Markup(shown)))
    return str(Markup("<div>{}</div>").format(Markup("").join(parts)))


def figure(value: float | None) -> str | None:
    """Return a number with two decimals, None for None.

    >>> figure(1.234), figure(None)
    ('1.23', None)
    """
    return None if value is None else f"{value:.2f}"


def with_interval(value: float, low: float | None, high: float | None) -> str:
    """Return a mean with its 95 % interval, alone where it has none.

    >>> with_interval(1.0, 0.5, 1.5), with_interval(1.0, None, None)
    ('1.00 (95 % interval 0.50 to 1.50)', '1.00')
    """
    if low is None or high is None:
        return f"{value:.2f}"
    return f"{value:.2f} (95 % interval {low:.2f} to {high:.2f})"
