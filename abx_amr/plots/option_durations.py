"""How long a manager's decisions last."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "option_durations"
READS = ("decisions",)
CAPTION = "durations"
ORDER = 7


def draw(decisions: pd.DataFrame, *, title: str) -> Figure:
    """Return the distribution of the decisions' durations, those cut by the episode's end apart.

    Args:
        decisions: One row per decision: duration (steps), option_clipped.
        title: Says which run it is.
    """
    canvas.require(decisions, ["duration", "option_clipped"])
    figure, (axis,) = canvas.blank(title, panel_height=3.2)
    clipped = decisions["option_clipped"].to_numpy(dtype=bool)
    durations = decisions["duration"].to_numpy()
    longest = int(durations.max())
    width = max(1, -(-longest // 60))
    edges = np.arange(0.5, longest + width + 0.5, width)
    axis.hist(
        [durations[~clipped], durations[clipped]],
        bins=edges.tolist(),
        stacked=True,
        color=[canvas.BLUE, canvas.VERMILION],
        label=["whole", "cut by the episode's end"],
    )
    axis.set_xlabel("duration of a decision (steps)")
    axis.set_ylabel("decisions")
    canvas.legend_beside(axis)
    return figure
