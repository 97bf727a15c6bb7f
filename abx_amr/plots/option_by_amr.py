"""A manager's answer to the visible AMR."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "option_by_amr"
READS = ("option_by_amr",)
CAPTION = "options by visible AMR"
ORDER = 8


def draw(table: pd.DataFrame, *, title: str) -> Figure:
    """Return P(option | quartile of the visible AMR), one panel per antibiotic.

    Args:
        table: One row per (antibiotic, quartile, option): low, high, probability.
        title: Says which run it is.
    """
    canvas.require(table, ["antibiotic", "quartile", "low", "high", "option", "probability"])
    antibiotics = list(dict.fromkeys(table["antibiotic"]))
    options = list(dict.fromkeys(table["option"]))
    figure, panels = canvas.blank(
        title,
        columns=len(antibiotics),
        panel_height=canvas.panel_height(len(options)),
        share_y=True,
    )
    for axis, antibiotic in zip(panels, antibiotics, strict=True):
        one = table[table["antibiotic"] == antibiotic]
        bins = list(dict.fromkeys(zip(one["quartile"], one["low"], one["high"], strict=True)))
        shares = one.pivot(index="option", columns="quartile", values="probability")
        values = shares.loc[options, [name for name, _, _ in bins]].to_numpy()
        canvas.shade(axis, values)
        axis.set_xticks(range(len(bins)), [f"{low:.2f}-{high:.2f}" for _, low, high in bins])
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel(f"visible AMR of {antibiotic} (quartiles)")
    canvas.name_rows(panels[0], options)
    return figure
