"""A manager's answer to the visible AMR."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "option_by_amr"
READS = ("option_by_amr",)
CAPTION = "options by visible AMR"
ORDER = 8

_MOST_BESIDE = 3  # panels in a row
_NAME_WIDTH = 20  # characters of a panel's title


def draw(table: pd.DataFrame, *, title: str) -> Figure:
    """Return P(option | quartile of the visible AMR), one panel per antibiotic.

    Args:
        table: One row per (antibiotic, quartile, option): low, high, probability.
        title: Says which run it is.
    """
    canvas.require(table, ["antibiotic", "quartile", "low", "high", "option", "probability"])
    antibiotics = list(dict.fromkeys(table["antibiotic"]))
    options = list(dict.fromkeys(table["option"]))
    columns = min(len(antibiotics), _MOST_BESIDE)
    rows = math.ceil(len(antibiotics) / columns)
    longest = max(len(str(option)) for option in options)
    figure, panels = canvas.blank(
        title,
        rows=rows,
        columns=columns,
        panel_height=canvas.panel_height(len(options)) + 0.5,
        share_x=False,
        share_y=True,
        width=max(8.0, 0.5 + 0.07 * longest + 2.3 * columns),
    )
    for axis in panels[len(antibiotics) :]:
        axis.set_visible(False)
    for axis, antibiotic in zip(panels, antibiotics, strict=False):
        one = table[table["antibiotic"] == antibiotic]
        bins = list(dict.fromkeys(zip(one["quartile"], one["low"], one["high"], strict=True)))
        shares = one.pivot(index="option", columns="quartile", values="probability")
        values = shares.loc[options, [name for name, _, _ in bins]].to_numpy()
        canvas.shade(axis, values)
        levels = [f"{canvas.percent(low)}\nto {canvas.percent(high)} %" for _, low, high in bins]
        axis.set_xticks(range(len(bins)), levels, fontsize=8)
        axis.set_title(canvas.wrapped(antibiotic, _NAME_WIDTH), fontsize=9)
    for axis in panels[::columns]:
        canvas.name_rows(axis, options)
    figure.supxlabel(
        "visible AMR of the antibiotic above, in quartiles of the decisions", fontsize=9
    )
    return figure
