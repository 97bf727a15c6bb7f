"""Where a prescriber treats otherwise than the optimum does, and what that costs, by AMR level."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "regret_by_amr"
READS = ("regret_by_amr",)
CAPTION = "expected regret to the optimum, and agreement with it, by AMR level"
ORDER = 6

_RARE = 0.001  # share of the states below which a level says nothing


def draw(regret_by_amr: pd.DataFrame, *, title: str) -> Figure:
    """Return a column of two panels for each antibiotic: regret above, agreement below.

    Args:
        regret_by_amr: One row per (antibiotic, level visited): antibiotic, level_low, level_high,
            share_of_states_visited, regret (per step) and agrees (a share).
        title: Says which run it is.
    """
    columns = ["antibiotic", "level_low", "level_high", "share_of_states_visited"]
    canvas.require(regret_by_amr, [*columns, "regret", "agrees"])
    names = list(dict.fromkeys(regret_by_amr["antibiotic"]))
    figure, axes = canvas.blank(
        title, rows=2, columns=len(names), panel_height=2.8, share_x=False, share_y=False
    )
    often = regret_by_amr[regret_by_amr["share_of_states_visited"] >= _RARE]
    highest = max(float(often["regret"].max()) if len(often) else 0.0, 1e-9)
    for k, name in enumerate(names):
        rows = often[often["antibiotic"] == name]
        above, below = axes[k], axes[len(names) + k]
        place = np.arange(len(rows))
        visited = rows["share_of_states_visited"].to_numpy(dtype=np.float64)
        above.bar(place, rows["regret"], color=canvas.ORANGE, width=0.8)
        for x, height, share in zip(place, rows["regret"], visited, strict=True):
            above.text(float(x), height, f"{share:.0%}", ha="center", va="bottom", fontsize=8)
        above.set_ylim(0.0, 1.15 * highest)
        above.set_title(f"AMR of {name}", fontsize=10)
        above.set_ylabel("regret a step" if k == 0 else "")
        below.bar(place, rows["agrees"], color=canvas.BLUE, width=0.8)
        below.set_ylim(0.0, 1.02)
        canvas.in_percent(below.yaxis)
        below.set_ylabel("acts as the optimum" if k == 0 else "")
        below.set_xlabel("AMR level (above the bars: share of the states)")
        labels = [
            f"{canvas.percent(low)}-{canvas.percent(high)} %"
            for low, high in zip(rows["level_low"], rows["level_high"], strict=True)
        ]
        for axis in (above, below):
            axis.set_xticks(place, labels, rotation=45, ha="right", fontsize=8)
    return figure
