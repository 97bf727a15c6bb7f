"""A study's trials in the order in which they were run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from abx_amr.plots import canvas

NAME = "study_history"
READS = ("trials",)
CAPTION = "trials"
ORDER = 1


def draw(trials: pd.DataFrame, *, title: str, direction: str = "maximize") -> Figure:
    """Return the value of each trial, the best so far, and the trials that failed.

    Args:
        trials: One row per trial: number, value (nan or infinite where there is none), state
            (COMPLETE, PRUNED, FAIL, ...). One without a finite value counts as failed; one that is
            PRUNED is out of a race, and its value of few seeds no best.
        title: Says which study it is.
        direction: maximize or minimize.
    """
    canvas.require(trials, ["number", "value", "state"])
    figure, (axis,) = canvas.blank(title, panel_height=3.4)
    ordered = trials.sort_values("number")
    number = ordered["number"].to_numpy(dtype=np.float64)
    value = ordered["value"].to_numpy(dtype=np.float64)
    state = ordered["state"].astype(str).to_numpy()
    out = np.isfinite(value) & (state == "PRUNED")
    good = np.isfinite(value) & (state == "COMPLETE")
    if out.any():
        (marks,) = axis.plot(
            number[out],
            value[out],
            "o",
            color=canvas.BLUE,
            markerfacecolor="none",
            markersize=5,
            label=f"out of the race ({out.sum()})",
        )
        canvas.name_points(
            marks,
            [
                canvas.Point(f"trial {n:.0f}, out of the race: {v:.3f}", trial=int(n))
                for n, v in zip(number[out], value[out], strict=True)
            ],
        )
    if good.any():
        best = np.maximum if direction == "maximize" else np.minimum
        so_far = best.accumulate(value[good])
        axis.step(
            np.append(number[good], number[-1]),
            np.append(so_far, so_far[-1]),
            where="post",
            color=canvas.VERMILION,
            linewidth=1.8,
            label=f"best so far: {so_far[-1]:.2f}".replace("-", "\N{MINUS SIGN}"),
        )
        (marks,) = axis.plot(
            number[good], value[good], "o", color=canvas.BLUE, markersize=5, label="trial's value"
        )
        canvas.name_points(
            marks,
            [
                canvas.Point(f"trial {n:.0f}: {v:.3f}", trial=int(n))
                for n, v in zip(number[good], value[good], strict=True)
            ],
        )
    failed = ~(good | out)
    if failed.any():
        axis.plot(
            number[failed],
            np.full(failed.sum(), 0.02),
            "x",
            color=canvas.BLACK,
            markersize=7,
            markeredgewidth=1.8,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
            label=f"failed ({failed.sum()})",
        )
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlabel("trial")
    wanted = "larger" if direction == "maximize" else "smaller"
    axis.set_ylabel(f"value of the trial ({wanted} is better)")
    axis.margins(y=0.12)
    canvas.legend_beside(axis)
    return figure
