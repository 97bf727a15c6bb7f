"""Reward and its weighted parts over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "reward_parts"
READS = ("steps",)
CAPTION = "reward and its parts"
ORDER = 4

_ROUNDING = 1e-6  # of the largest reward, below which weighted parts and reward are the same


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return reward and its two parts per step, and their sums so far.

    The parts are weighted, so that they add up to the reward.

    Args:
        steps: One row per (episode, step): episode, step, reward, individual, community
            (trajectories.parquet).
        title: Says which run it is.
    """
    canvas.require(steps, ["episode", "step", "reward", "individual", "community"])
    figure, (now, so_far) = canvas.blank(title, rows=2, panel_height=2.6)
    for name, (label, colour, weight) in parts_of(steps).items():
        values = canvas.by_episode(steps, name) * weight
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


def parts_of(steps: pd.DataFrame) -> dict[str, tuple[str, str, float]]:
    """Return column -> label, colour and weight of what is drawn."""
    weight = community_weight(steps)
    if weight is None:
        return {
            "individual": ("individual, unweighted", canvas.BLUE, 1.0),
            "community": ("community, unweighted", canvas.ORANGE, 1.0),
            "reward": ("reward (another function\nof the two)", canvas.BLACK, 1.0),
        }
    return {
        "individual": (f"individual · {1.0 - weight:.3g}", canvas.BLUE, 1.0 - weight),
        "community": (f"community · {weight:.3g}", canvas.ORANGE, weight),
        "reward": ("reward: the sum of both", canvas.BLACK, 1.0),
    }


def community_weight(steps: pd.DataFrame) -> float | None:
    """Return w with reward = w * community + (1 - w) * individual; None where there is none.

    >>> steps = pd.DataFrame({"reward": [-0.6], "individual": [-1.0], "community": [-0.5]})
    >>> round(community_weight(steps), 6)
    0.8
    """
    reward, individual, community = (
        steps[name].to_numpy(dtype=np.float64) for name in ("reward", "individual", "community")
    )
    apart = community - individual
    square = float(apart @ apart)
    weight = float((reward - individual) @ apart) / square if square > 0 else 0.0
    error = np.abs(individual + weight * apart - reward).max()
    is_sum = error <= _ROUNDING * max(1.0, float(np.abs(reward).max()))
    return weight if is_sum and -_ROUNDING <= weight <= 1.0 + _ROUNDING else None
