"""What a trial is worth over each value that was searched."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullFormatter

from abx_amr.plots import canvas

NAME = "parameter_slices"
READS = ("trials", "space")
CAPTION = "value of each trial over each searched value"
ORDER = 4

_COLUMNS = 3


def is_worth_drawing(trials: pd.DataFrame, space: pd.DataFrame) -> bool:
    """Return whether several trials have a value."""
    return len(space) > 0 and int(np.isfinite(trials["value"]).sum()) > 1


def draw(trials: pd.DataFrame, space: pd.DataFrame, *, title: str) -> Figure:
    """Return a panel for each searched value: every trial's value over it.

    Args:
        trials: One row per trial: number, value, params.<path> for each path of the space.
        space: One row per searched value: path, label, low, high, is_log, choices (None: a number).
        title: Says which study it is.
    """
    canvas.require(trials, ["number", "value"])
    known = trials[np.isfinite(trials["value"].to_numpy(dtype=np.float64))]
    columns = min(_COLUMNS, len(space))
    rows = math.ceil(len(space) / columns)
    figure, axes = canvas.blank(
        title, rows=rows, columns=columns, panel_height=2.0, share_x=False, share_y=True
    )
    newest = known["number"].to_numpy(dtype=np.float64)
    for index, (axis, row) in enumerate(zip(axes, space.to_dict("records"), strict=False)):
        given = known[f"params.{row['path']}"]
        if row["choices"] is None:
            places = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
            if row["is_log"]:
                axis.set_xscale("log")
                axis.xaxis.set_major_formatter(LogFormatter())
                axis.xaxis.set_minor_formatter(NullFormatter())
        else:
            names = [str(choice) for choice in row["choices"]]
            places = np.array([names.index(str(v)) if str(v) in names else np.nan for v in given])
            axis.set_xticks(range(len(names)), names, fontsize=8)
            axis.set_xlim(-0.5, len(names) - 0.5)
        seen = np.isfinite(places)
        (marks,) = axis.plot(
            places[seen], known["value"][seen], "o", color=canvas.BLUE, markersize=4, alpha=0.7
        )
        canvas.name_points(
            marks,
            [
                canvas.Point(f"trial {n:.0f}: {v:.3f} at {p}", int(n))
                for n, v, p in zip(newest[seen], known["value"][seen], given[seen], strict=True)
            ],
        )
        axis.set_title(str(row["label"]), fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        if index % columns == 0:
            axis.set_ylabel("value", fontsize=8)
    for axis in axes[len(space) :]:
        axis.set_axis_off()
    return figure
