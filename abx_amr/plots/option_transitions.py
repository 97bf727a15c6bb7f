"""Which option follows which. Shapes: O options."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "option_transitions"
READS = ("option_transitions", "option_trigrams")
CAPTION = "which option follows which"
ORDER = 9
_SHOWN_TRIGRAMS = 10


def draw(transitions: pd.DataFrame, trigrams: pd.DataFrame, *, title: str) -> Figure:
    """Return P(next option | option), and the commonest three in a row.

    Options have numbers behind their names, by which the columns are called.

    Args:
        transitions: How often each option (row) was followed by each (column), (O, O).
        trigrams: first, second, third, share; commonest first.
        title: Says which run it is.
    """
    names = [str(name) for name in transitions.index]
    shown = trigrams.head(_SHOWN_TRIGRAMS)
    longest = max(map(len, names), default=0)
    figure, (matrix, bars) = canvas.blank(
        title,
        columns=2,
        panel_height=canvas.panel_height(len(names)) + 1.0,
        width=max(8.0, 6.0 + 0.1 * longest),
    )
    counts = transitions.to_numpy(dtype=np.float64)
    canvas.shade(matrix, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))
    canvas.name_rows(matrix, [f"{name} [{n}]" for n, name in enumerate(names, start=1)])
    matrix.set_xticks(range(len(names)), [str(n) for n in range(1, len(names) + 1)], fontsize=8)
    matrix.set_xlabel("next option, by its number")
    matrix.set_ylabel("option")
    place = np.arange(len(shown))
    bars.barh(place, shown["share"], 0.6, color=canvas.PURPLE)
    sequences = zip(shown["first"], shown["second"], shown["third"], strict=True)
    bars.set_yticks(place, [_lines(options) for options in sequences], fontsize=6)
    bars.set_ylim(_SHOWN_TRIGRAMS - 0.5, -0.5)
    bars.set_xlabel("share of the trigrams")
    return figure


def _lines(options: tuple[object, ...]) -> str:
    return "\n".join(canvas.label(option) for option in options)
