"""What a policy lacks to the optimum, part by part."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "gap_parts"
READS = ("gap",)
CAPTION = "what lies between the agent and the optimum"


def draw(gap: pd.DataFrame, *, title: str) -> Figure:
    """Return a bar for each part, from the return that it begins at to the one it ends at.

    Args:
        gap: One row per part that is known, the optimum's side first: name, start, end (returns).
        title: Says which run it is.
    """
    canvas.require(gap, ["name", "start", "end"])
    figure, (axis,) = canvas.blank(title, panel_height=0.5 + 0.34 * len(gap))
    rows = gap.iloc[::-1].reset_index(drop=True)
    for place, row in enumerate(rows.itertuples()):
        start, end = float(str(row.start)), float(str(row.end))
        colour = canvas.VERMILION if end < start else canvas.GREEN
        axis.barh(place, end - start, left=start, height=0.55, color=colour, alpha=0.8)
        axis.annotate(
            f"{start - end:.2f}",
            (min(start, end), place),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
        )
    canvas.name_rows(axis, rows["name"])
    axis.use_sticky_edges = False  # the optimum stands clear of the frame
    axis.margins(x=0.16)
    axis.set_xlabel("mean episode return (undiscounted)")
    axis.tick_params(axis="y", length=0)
    return figure
