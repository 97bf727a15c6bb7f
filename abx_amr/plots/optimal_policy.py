"""The optimal policy: whom it treats at which AMR, and what its episode looks like."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.errors import InputError
from abx_amr.plots import canvas

Floats = NDArray[np.float64]


def draw(
    given: Floats,
    level: Floats,
    *,
    antibiotics: tuple[str, ...],
    num_patients: int,
    title: str,
) -> Figure:
    """Return the optimal episode: patients treated with each antibiotic, and AMR.

    Args:
        given: Patients treated with each antibiotic, mean over episodes, (T, K).
        level: AMR before the first step and after each, mean over episodes, (T + 1, K).
        antibiotics: The K antibiotics.
        num_patients: Patients per step.
        title: Says which clinic it is.
    """
    if given.ndim != 2 or given.shape != (len(level) - 1, len(antibiotics)):
        raise InputError(
            f"given must be (T, K) for level (T + 1, K), got {given.shape} and {level.shape}"
        )
    steps = len(given)
    window = canvas.smoothing_window(steps)
    figure, (treated, amr) = canvas.blank(title, rows=2, panel_height=2.6)
    time = np.arange(1, steps + 1)
    shares = [
        canvas.smooth(given[None, :, k] / num_patients, window)[0] for k in range(given.shape[1])
    ]
    colours = [canvas.CYCLE[k % len(canvas.CYCLE)] for k in range(len(antibiotics))]
    names = [canvas.wrapped(name, 26) for name in antibiotics]
    treated.stackplot(time, *shares, colors=colours, labels=names, alpha=0.85)
    treated.set_ylim(0.0, 1.0)
    treated.set_ylabel("share of patients treated")
    canvas.in_percent(treated.yaxis)
    canvas.legend_beside(treated, f"mean over\n{window} steps", upwards=True)
    for k, name in enumerate(names):
        amr.plot(np.arange(steps + 1), level[:, k], color=colours[k], linewidth=2.0, label=name)
    amr.set_ylim(0.0, max(0.05, 1.05 * float(level.max())))
    amr.set_ylabel("AMR level")
    canvas.in_percent(amr.yaxis)
    amr.set_xlabel("time (steps)")
    amr.set_xlim(0, steps)
    canvas.legend_beside(amr)
    return figure
