"""What a prescriber does: how often it gives an antibiotic at which AMR, when, and at which risk.

Drawn from what happened in its evaluation, so that it is the same figure for a rule, a network and
a manager. A cell that was hardly ever visited stays empty.

Shapes: K antibiotics, B bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.plots import canvas

Floats = NDArray[np.float64]

_BINS = 24
_RARE = 3  # decisions in a cell below which it stays empty
_SHOWN = 0.995  # of the decisions lie on the axis of AMR levels
_COLOURS = "cividis"


def draw(
    steps: pd.DataFrame, *, num_patients: int, title: str, patients: pd.DataFrame | None = None
) -> Figure:
    """Return a column of panels for each antibiotic: share of patients who are given it.

    First row: over its own visible AMR and the lowest of the others (of a single antibiotic: over
    its own). Second row: over time. Third row, where patients are given: over their observed
    probability of infection.

    Args:
        steps: One row per (episode, step): episode, step, prescriptions_X and visible_amr_X, levels
            after the step.
        num_patients: Patients per step.
        title: Says which run it is.
        patients: One row per (episode, step, patient): episode, step, treatment,
            observed_prob_infected.
    """
    names = canvas.antibiotics(steps)
    wanted = [f"{what}_{name}" for name in names for what in ("prescriptions", "visible_amr")]
    canvas.require(steps, ["episode", "step", *wanted])
    known = before_each_step(steps, names)
    sees_risk = patients is not None and "observed_prob_infected" in patients
    figure, axes = canvas.blank(
        title,
        rows=3 if sees_risk else 2,
        columns=len(names),
        panel_height=3.0,
        share_x=False,
    )
    levels = known[[f"seen_{name}" for name in names]].to_numpy(dtype=np.float64)
    top = max(0.02, float(np.quantile(levels, _SHOWN)))
    mesh: Any = None
    for k, name in enumerate(names):
        share = known[f"prescriptions_{name}"].to_numpy(dtype=np.float64) / num_patients
        own = levels[:, k]
        if len(names) > 1:
            others = np.delete(levels, k, axis=1).min(axis=1)
            mesh = _map(axes[k], own, others, share, ((0.0, top), (0.0, top)))
            axes[k].set_ylabel("visible AMR, the other" if len(names) == 2 else "lowest other AMR")
        else:
            _line(axes[k], own, share, (0.0, top))
        axes[k].set_title(f"given {name}", fontsize=10)
        axes[k].set_xlabel(f"visible AMR of {name}")
        time = known["step"].to_numpy(dtype=np.float64)
        second = axes[len(names) + k]
        mesh = _map(second, time, own, share, ((1.0, max(2.0, time.max())), (0.0, top)))
        second.set_xlabel("time (steps)")
        second.set_ylabel(f"visible AMR of {name}")
        if sees_risk:
            assert patients is not None
            third = axes[2 * len(names) + k]
            mesh = _risk(third, patients, known, name, top)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("share of patients who are given it")
    return figure


def before_each_step(steps: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the steps with seen_X, the level when its prescriptions were made.

    The first step of an episode is left out: what was seen before it is not in the table.
    """
    ordered = steps.sort_values(["episode", "step"], kind="stable").copy()
    seen = ordered.groupby("episode")[[f"visible_amr_{name}" for name in names]].shift(1)
    for name in names:
        ordered[f"seen_{name}"] = seen[f"visible_amr_{name}"]
    return ordered.dropna(subset=[f"seen_{name}" for name in names])


def mean_by_cell(
    x: Floats, y: Floats, value: Floats, limits: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[Floats, Floats, Floats]:
    """Return the mean value by cell (B, B), NaN where it is rare, and the edges of x and y."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=_BINS, range=limits)
    sums = np.histogram2d(x, y, bins=(x_edges, y_edges), weights=value)[0]
    means = np.full_like(sums, np.nan)
    np.divide(sums, counts, out=means, where=counts >= _RARE)
    return means, x_edges, y_edges


def _map(
    axis: Axes,
    x: Floats,
    y: Floats,
    share: Floats,
    limits: tuple[tuple[float, float], tuple[float, float]],
) -> Any:
    means, x_edges, y_edges = mean_by_cell(x, y, share, limits)
    axis.grid(False)
    return axis.pcolormesh(
        x_edges, y_edges, np.ma.masked_invalid(means.T), cmap=_COLOURS, vmin=0.0, vmax=1.0
    )


def _line(axis: Axes, x: Floats, share: Floats, limits: tuple[float, float]) -> None:
    counts, edges = np.histogram(x, bins=_BINS, range=limits)
    sums = np.histogram(x, bins=edges, weights=share)[0]
    often = counts >= _RARE
    middle = (edges[:-1] + edges[1:]) / 2
    axis.plot(middle[often], sums[often] / counts[often], color=canvas.BLUE, marker="o")
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel("share of patients")


def _risk(axis: Axes, patients: pd.DataFrame, known: pd.DataFrame, name: str, top: float) -> Any:
    """Draw who is given the antibiotic, over observed risk and its visible AMR."""
    joined = patients.merge(known[["episode", "step", f"seen_{name}"]], on=["episode", "step"])
    risk = joined["observed_prob_infected"].to_numpy(dtype=np.float64)
    given = (joined["treatment"] == name).to_numpy(dtype=np.float64)
    level = joined[f"seen_{name}"].to_numpy(dtype=np.float64)
    mesh = _map(axis, risk, level, given, ((0.0, max(1.0, float(risk.max()))), (0.0, top)))
    axis.set_xlabel("observed probability of infection")
    axis.set_ylabel(f"visible AMR of {name}")
    return mesh
