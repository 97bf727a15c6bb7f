"""Evaluation returns over the training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from abx_amr.plots import canvas

NAME = "learning_curve"
READS = ("evaluations",)
CAPTION = "learning curve"
ORDER = 5

_LINES = (canvas.GREEN, canvas.ORANGE, canvas.PURPLE, canvas.GREY)


def is_worth_drawing(evaluations: pd.DataFrame) -> bool:
    """Return whether there are several evaluations: of one there is no curve."""
    return evaluations["transitions"].nunique() > 1


def draw(
    evaluations: pd.DataFrame, *, title: str, references: Mapping[str, float] | None = None
) -> Figure:
    """Return the mean return of each evaluation over the transitions trained, with its band.

    Args:
        evaluations: One row per (transitions trained, episode): transitions, episode,
            episode_return (evaluations.csv).
        title: Says which run it is.
        references: Name -> mean return of what the run is measured against, such as the optimum.
    """
    canvas.require(evaluations, ["transitions", "episode", "episode_return"])
    figure, (axis,) = canvas.blank(title, panel_height=3.4)
    # Evaluations may differ in their number of episodes: groups, not a rectangle.
    groups = evaluations.groupby("transitions")["episode_return"]
    mean = groups.mean()
    low, high = (groups.quantile(q) for q in (canvas.LOW_QUANTILE, canvas.HIGH_QUANTILE))
    seen = mean.index.to_numpy(dtype=np.float64)
    axis.fill_between(
        seen, low, high, color=canvas.BLUE, alpha=0.18, linewidth=0, label=canvas.BAND
    )
    axis.plot(
        seen, mean, color=canvas.BLUE, linewidth=1.8, marker="o", markersize=4, label="mean return"
    )
    best = mean.to_numpy().argmax()
    axis.plot(
        seen[best],
        mean.iloc[best],
        marker="*",
        markersize=13,
        linestyle="none",
        color=canvas.VERMILION,
        label=f"best: {mean.iloc[best]:.1f}",
        zorder=4,
    )
    for (name, value), colour in zip((references or {}).items(), _LINES, strict=False):
        axis.axhline(
            value,
            color=colour,
            linewidth=1.4,
            linestyle=(0, (5, 2)),
            label=f"{canvas.wrapped(name, 24)}: {value:.1f}",
        )
    axis.set_xlabel("transitions trained")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_ylabel("episode return (undiscounted)")
    canvas.legend_beside(axis)
    return figure
