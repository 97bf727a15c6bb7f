"""Prescriptions over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "prescriptions"
READS = ("steps",)
CAPTION = "prescriptions"
ORDER = 2


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return how many patients per step get each antibiotic, and how many none.

    All prescriptions count, those to patients who are not infected too.

    Args:
        steps: One row per (episode, step): episode, step, prescriptions_<X> for each antibiotic X,
            untreated_infected, untreated_not_infected (trajectories.parquet).
        title: Says which run it is.
    """
    names = canvas.antibiotics(steps)
    untreated = ("untreated_infected", "untreated_not_infected")
    columns = [f"prescriptions_{name}" for name in names or ["A"]]
    canvas.require(steps, ["episode", "step", *columns, *untreated])
    figure, (axis,) = canvas.blank(title, panel_height=3.2)
    none = np.sum([canvas.by_episode(steps, name) for name in untreated], axis=0)
    lines = [
        *(
            (
                canvas.wrapped(f"antibiotic {name}", 26),
                canvas.by_episode(steps, f"prescriptions_{name}"),
            )
            for name in names
        ),
        ("no treatment", none),
    ]
    colours = [*(canvas.CYCLE[k % 6] for k in range(len(names))), canvas.BLACK]
    window = canvas.smoothing_window(lines[0][1].shape[1])
    for (label, counts), colour in zip(lines, colours, strict=True):
        time = np.arange(1, counts.shape[1] + 1)
        canvas.mean_and_band(
            axis,
            time,
            canvas.smooth(counts, window),
            colour=colour,
            label=label,
            dashed=label == "no treatment",
        )
    axis.set_xlabel("time (steps)")
    axis.set_ylabel(f"patients per step\n(running mean over {window} steps)")
    axis.set_ylim(bottom=0.0)
    axis.set_xlim(0, time[-1])
    canvas.legend_beside(axis, canvas.band_note(len(none)))
    return figure
