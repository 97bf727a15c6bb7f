"""What every seed of every trial of a study earned while it learned."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from abx_amr.plots import canvas

NAME = "training_returns"
READS = ("curves",)
CAPTION = "what the seeds of each trial earned while they learned"
ORDER = 3


def is_worth_drawing(curves: pd.DataFrame) -> bool:
    """Return whether a seed has several points: of one there is no curve."""
    return bool((curves.groupby(["trial", "seed"]).size() > 1).any())


def draw(curves: pd.DataFrame, *, title: str, best: int | None = None) -> Figure:
    """Return a line for each seed: grey, and in colours for the seeds of the best trial.

    Args:
        curves: One row per point of a curve: trial, seed, transitions, training_return.
        title: Says which study it is.
        best: Number of the best trial; None: there is none.
    """
    canvas.require(curves, ["trial", "seed", "transitions", "training_return"])
    figure, (axis,) = canvas.blank(title, panel_height=3.4)
    of_best = 0
    pairs = curves[["trial", "seed"]].drop_duplicates().sort_values(["trial", "seed"])
    for trial, seed in pairs.itertuples(index=False):
        points = curves[(curves["trial"] == trial) & (curves["seed"] == seed)]
        is_best = trial == best
        (line,) = axis.plot(
            points["transitions"].to_numpy(dtype=np.float64),
            points["training_return"].to_numpy(dtype=np.float64),
            color=canvas.CYCLE[of_best % len(canvas.CYCLE)] if is_best else canvas.GREY,
            linewidth=2.0 if is_best else 0.9,
            alpha=1.0 if is_best else 0.5,
            label=f"trial {trial}, seed {seed}" if is_best else None,
            zorder=3 if is_best else 2,
        )
        of_best += is_best
        last = float(points["training_return"].iloc[-1])
        name = f"trial {trial}, seed {seed}: {last:.3f} at last"
        canvas.name_points(line, [canvas.Point(name, trial=int(trial))])
    if of_best:
        canvas.legend_beside(axis, "best trial")
    axis.set_xlabel("transitions trained")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_ylabel("return of its latest episodes")
    return figure
