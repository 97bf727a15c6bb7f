"""Reward and its parts over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "reward_parts"
READS = ("steps",)
CAPTION = "reward and its parts"
ORDER = 4

PARTS = {
    "individual": ("individual", canvas.BLUE),
    "community": ("community", canvas.ORANGE),
    "reward": ("reward (weighted sum)", canvas.BLACK),
}


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return reward, individual and community part per step, and the return so far.

    Args:
        steps: One row per (episode, step): episode, step, reward, individual, community
            (trajectories.parquet).
        title: Says which run it is.
    """
    canvas.require(steps, ["episode", "step", *PARTS])
    figure, (now, so_far) = canvas.blank(title, rows=2, panel_height=2.6)
    for name, (label, colour) in PARTS.items():
        values = canvas.by_episode(steps, name)
        episodes, length = values.shape
        time, window = np.arange(1, length + 1), canvas.smoothing_window(length)
        dashed = name == "reward"
        smoothed, summed = canvas.smooth(values, window), values.cumsum(axis=1)
        canvas.mean_and_band(now, time, smoothed, colour=colour, label=label, dashed=dashed)
        canvas.mean_and_band(so_far, time, summed, colour=colour, label=label, dashed=dashed)
    for axis in (now, so_far):
        axis.axhline(0.0, color=canvas.GREY, linewidth=0.8)
    now.set_ylabel(f"per step\n(running mean over {window} steps)")
    so_far.set_ylabel("sum so far (undiscounted)")
    so_far.set_xlabel("time (steps)")
    so_far.set_xlim(0, length)
    canvas.legend_beside(now, canvas.band_note(episodes))
    return figure
