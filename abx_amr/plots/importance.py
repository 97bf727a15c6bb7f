"""How much of what trials are worth follows from each value that was searched."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "importance"
READS = ("importance",)
CAPTION = "importance of each searched value"


_COLOURS = (canvas.BLUE, canvas.ORANGE)


def draw(importance: pd.DataFrame, *, title: str) -> Figure:
    """Return a bar for each searched value and set of trials, the most important above.

    Args:
        importance: One row per searched value and set of trials: label, share (of 1), of (which
            trials; the first orders the values).
        title: Says which study it is.
    """
    canvas.require(importance, ["label", "share", "of"])
    sets = list(dict.fromkeys(importance["of"]))
    shares = importance.pivot(index="label", columns="of", values="share")[sets].fillna(0.0)
    shares = shares.sort_values(sets[0], kind="stable")
    figure, (axis,) = canvas.blank(
        title, panel_height=0.4 + (0.1 + 0.18 * len(sets)) * max(2, len(shares))
    )
    height = 0.7 / len(sets)
    for n, (name, colour) in enumerate(zip(sets, _COLOURS, strict=False)):
        places = np.arange(len(shares)) + ((len(sets) - 1) / 2 - n) * height
        axis.barh(places, shares[name], height=0.9 * height, color=colour, alpha=0.85, label=name)
        for place, share in zip(places, shares[name], strict=True):
            axis.annotate(
                f"{share:.2f}",
                (share, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
    canvas.name_rows(axis, list(shares.index))
    axis.set_xlim(0, min(1.12, 1.15 * max(0.05, float(shares.to_numpy().max()))))
    axis.set_xlabel("share of the importance")
    axis.tick_params(axis="y", length=0)
    canvas.legend_beside(axis, "among")
    return figure
