"""True and visible AMR over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "amr"
READS = ("steps",)
CAPTION = "AMR"
ORDER = 1


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return true and visible AMR over time, one panel per antibiotic, with bands over episodes.

    Args:
        steps: One row per (episode, step): episode, step, true_amr_<X> and visible_amr_<X> for each
            antibiotic X (trajectories.parquet).
        title: Says which run it is.
    """
    names = canvas.antibiotics(steps)
    canvas.require(steps, ["episode", "step", *(f"visible_amr_{name}" for name in names or ["A"])])
    figure, axes = canvas.blank(title, rows=len(names), panel_height=2.3, share_y=True)
    highest = 0.0
    for k, (axis, name) in enumerate(zip(axes, names, strict=True)):
        true, visible = (
            canvas.by_episode(steps, f"{kind}_amr_{name}") for kind in ("true", "visible")
        )
        highest = max(highest, float(true.max()), float(visible.max()))
        time = np.arange(1, true.shape[1] + 1)
        canvas.mean_and_band(axis, time, true, colour=canvas.CYCLE[k % 6], label="true")
        canvas.mean_and_band(axis, time, visible, colour=canvas.BLACK, label="visible", dashed=True)
        axis.set_ylabel(canvas.wrapped(f"AMR level of {name}", 22))
        canvas.in_percent(axis.yaxis)
        canvas.legend_beside(axis, canvas.band_note(len(true)))
    axes[-1].set_xlabel("time (steps)")
    axes[-1].set_xlim(0, time[-1])
    axes[-1].set_ylim(0.0, 1.04 * max(highest, 0.05))
    return figure
