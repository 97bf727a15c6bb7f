"""The returns of every condition: runs, mean and interval, one panel a clinic."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "returns"
READS = ("conditions", "runs")
CAPTION = "returns, by condition"

_LONGEST_LABEL, _LONGEST_TITLE = 40, 80  # characters of a line


def draw(conditions: pd.DataFrame, runs: pd.DataFrame, *, title: str) -> Figure:
    """Return a panel per clinic: each condition's runs, their mean and its bootstrap interval.

    Args:
        conditions: One row per condition: clinic, condition, mean, mean_low, mean_high (nan for a
            single run), optimum (nan where unknown), run_names where they are to be shown.
        runs: One row per run: clinic, condition, return, and collapse where it is known to what
            its policy has collapsed (a missing value: it has not).
        title: Says what is compared.
    """
    canvas.require(conditions, ["clinic", "condition", "mean", "mean_low", "mean_high", "optimum"])
    canvas.require(runs, ["clinic", "condition", "return"])
    clinics = list(dict.fromkeys(conditions["clinic"]))
    is_known = "collapse" in runs
    collapsed = runs["collapse"].notna() if is_known else pd.Series(False, index=runs.index)
    most = int(conditions.groupby("clinic").size().max())
    figure, axes = canvas.blank(
        title, rows=len(clinics), panel_height=1.2 + 0.4 * most, share_x=False, width=9.0
    )
    for axis, clinic in zip(axes, clinics, strict=True):
        here = conditions[conditions["clinic"] == clinic].sort_values("mean", kind="stable")
        for place, row in enumerate(here.to_dict("records")):
            of_it = (runs["clinic"] == clinic) & (runs["condition"] == row["condition"])
            _mark(axis, runs.loc[of_it & ~collapsed, "return"], place, "o", canvas.GREY)
            _mark(axis, runs.loc[of_it & collapsed, "return"], place, "x", canvas.VERMILION)
            if np.isfinite(row["mean_low"]):
                ends = (row["mean_low"], row["mean_high"])
                axis.plot(ends, (place, place), color=canvas.BLUE, linewidth=3, alpha=0.6)
            axis.plot(
                row["mean"],
                place,
                "D",
                color=canvas.BLUE,
                markersize=6,
                label="mean and interval" if place == 0 else None,
            )
        if len(here) and np.isfinite(here["optimum"].iloc[0]):
            optimum = float(here["optimum"].iloc[0])
            axis.axvline(optimum, color=canvas.GREEN, linewidth=1.2, label="optimum")
        axis.set_yticks(range(len(here)), _labels(here), fontsize=8)
        axis.set_ylim(-0.6, len(here) - 0.4)
        axis.set_title(canvas.wrapped(clinic, _LONGEST_TITLE), loc="left", fontsize=10)
    axes[0].plot([], [], "o", color=canvas.GREY, markersize=4, alpha=0.7, label="run")
    if collapsed.any():
        axes[0].plot([], [], "x", color=canvas.VERMILION, markersize=4, label="run that collapsed")
    canvas.legend_beside(axes[0])
    axes[-1].set_xlabel("episode return of a run")
    return figure


def _mark(axis: Axes, returns: pd.Series, place: int, marker: str, colour: str) -> None:
    """Draw the returns of runs in the row of their condition."""
    values = returns.to_numpy(dtype=np.float64)
    rows = np.full(len(values), place)
    axis.plot(values, rows, marker, color=colour, markersize=4, alpha=0.7)


def _labels(conditions: pd.DataFrame) -> list[str]:
    """Return what stands at each condition: its name and, where they say more, its runs'."""
    labels = []
    for row in conditions.to_dict("records"):
        name, runs = str(row["condition"]), str(row.get("run_names") or "")
        says_more = bool(runs) and not runs.endswith(name)
        lines = [canvas.wrapped(name, _LONGEST_LABEL)]
        lines += [canvas.wrapped(f"({runs})", _LONGEST_LABEL)] if says_more else []
        labels.append("\n".join(lines))
    return labels
