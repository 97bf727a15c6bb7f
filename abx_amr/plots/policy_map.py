"""What a prescriber does: how often it gives an antibiotic, by AMR level and by time.

Drawn from what happened in its evaluation, so that it is the same figure for a rule, a network and
a manager. What was hardly ever visited stays empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.plots import canvas

NAME = "policy_map"
READS = ("steps",)
CAPTION = "what is given at which AMR, and when"
ORDER = 4

Floats = NDArray[np.float64]
Limits = tuple[tuple[float, float], tuple[float, float]]

_BINS = 24
_RARE = 3  # decisions in a cell below which it stays empty
_SHOWN = 0.995  # of the decisions lie on the axis of AMR levels
_PATIENTS = (
    *("treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"),
    *("untreated_infected", "untreated_not_infected"),
)


def is_worth_drawing(steps: pd.DataFrame) -> bool:
    """Return whether an episode has more than one step: the first has no level before it."""
    return int(steps["step"].max()) > 1


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return a column of two panels for each antibiotic: the share of patients who are given it.

    Above over its visible AMR and the lowest of the others (of a single antibiotic: over its own),
    below over time and its visible AMR.

    Args:
        steps: One row per (episode, step): episode, step, the counts of patients, and for each
            antibiotic X true_amr_X, visible_amr_X and prescriptions_X, levels after the step.
        title: Says which run it is.
    """
    names = canvas.antibiotics(steps)
    wanted = [f"{what}_{name}" for name in names for what in ("prescriptions", "visible_amr")]
    canvas.require(steps, ["episode", "step", *wanted, *_PATIENTS])
    known = before_each_step(steps)
    patients = known[[*_PATIENTS]].sum(axis=1).to_numpy(dtype=np.float64)
    levels = known[[f"seen_{name}" for name in names]].to_numpy(dtype=np.float64)
    time = known["step"].to_numpy(dtype=np.float64)
    top = highest_level(levels)
    figure, axes = canvas.blank(title, rows=2, columns=len(names), panel_height=3.0, share_x=False)
    for k, name in enumerate(names):
        above, below = axes[k], axes[len(names) + k]
        share = known[f"prescriptions_{name}"].to_numpy(dtype=np.float64) / patients
        own = levels[:, k]
        above.set_title(f"given {name}", fontsize=10)
        above.set_xlabel(f"visible AMR of {name}")
        if len(names) > 1:
            others = np.delete(levels, k, axis=1).min(axis=1)
            draw_cells(above, own, others, share, ((0.0, top), (0.0, top)))
            above.set_ylabel(
                "visible AMR of " + ("the other" if len(names) == 2 else "the best other")
            )
        else:
            _draw_line(above, own, share, (0.0, top))
        mesh = draw_cells(below, time, own, share, ((1.0, time.max() + 1.0), (0.0, top)))
        below.set_xlabel("time (steps)")
        below.set_ylabel(f"visible AMR of {name}")
    add_scale(figure, mesh, axes)
    return figure


def before_each_step(steps: pd.DataFrame) -> pd.DataFrame:
    """Return the steps with seen_X, the visible level when its prescriptions were made.

    The first step of an episode is left out: what was seen before it is not in the table.
    """
    visible = [column for column in steps if str(column).startswith("visible_amr_")]
    ordered = steps.sort_values(["episode", "step"], kind="stable")
    seen = ordered.groupby("episode")[visible].shift(1)
    seen.columns = [str(name).replace("visible_amr_", "seen_", 1) for name in visible]
    return ordered.join(seen).dropna(subset=list(seen.columns))


def highest_level(levels: Floats) -> float:
    """Return where the axis of AMR levels ends: few decisions lie beyond."""
    return max(0.02, float(np.quantile(levels, _SHOWN)))


def mean_by_cell(x: Floats, y: Floats, value: Floats, limits: Limits) -> tuple[Floats, ...]:
    """Return the mean value by cell (x, y), NaN where it is rare, and the edges of x and y."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=_BINS, range=limits)
    sums = np.histogram2d(x, y, bins=(x_edges, y_edges), weights=value)[0]
    means = np.full(sums.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts >= _RARE)
    return means, x_edges, y_edges


def draw_cells(axis: Axes, x: Floats, y: Floats, share: Floats, limits: Limits) -> Any:
    """Draw the mean share by cell and return what the scale is of."""
    means, x_edges, y_edges = mean_by_cell(x, y, share, limits)
    axis.grid(False)
    return axis.pcolormesh(
        x_edges, y_edges, np.ma.masked_invalid(means.T), cmap="cividis", vmin=0.0, vmax=1.0
    )


def add_scale(figure: Figure, mesh: Any, axes: list[Axes]) -> None:
    """Put the scale of the shares beside the panels."""
    bar = figure.colorbar(mesh, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("share of patients who are given it")


def _draw_line(axis: Axes, x: Floats, share: Floats, limits: tuple[float, float]) -> None:
    counts, edges = np.histogram(x, bins=_BINS, range=limits)
    sums = np.histogram(x, bins=edges, weights=share)[0]
    often = counts >= _RARE
    middle = (edges[:-1] + edges[1:]) / 2
    axis.plot(middle[often], sums[often] / counts[often], color=canvas.BLUE, marker="o")
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel("share of patients")
