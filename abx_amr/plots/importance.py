"""How much of what trials are worth follows from each value that was searched."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "importance"
READS = ("importance",)
CAPTION = "importance of each searched value"


def draw(importance: pd.DataFrame, *, title: str) -> Figure:
    """Return a bar for each searched value, the most important above.

    Args:
        importance: One row per searched value: label, share (of 1).
        title: Says which study it is.
    """
    canvas.require(importance, ["label", "share"])
    rows = importance.sort_values("share", kind="stable").reset_index(drop=True)
    figure, (axis,) = canvas.blank(title, panel_height=0.4 + 0.26 * len(rows))
    axis.barh(rows.index, rows["share"], height=0.6, color=canvas.BLUE, alpha=0.85)
    for place, share in enumerate(rows["share"]):
        axis.annotate(
            f"{share:.2f}",
            (share, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    canvas.name_rows(axis, rows["label"])
    axis.set_xlim(0, min(1.12, 1.15 * max(0.05, float(rows["share"].max()))))
    axis.set_xlabel("share of the importance")
    axis.tick_params(axis="y", length=0)
    return figure
