"""What a prescriber does: how often it gives an antibiotic, by AMR level and by time.

Drawn from what happened in its evaluation, so that it is the same figure for a rule, a network and
a manager. Levels are cut into bands of about equally many decisions, so that the levels which a
prescriber holds fill the figure, be they 0.01 or 0.8; what hardly ever happened is hatched.

Shapes: N decisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.plots import canvas

NAME = "policy_map"
READS = ("steps",)
CAPTION = "what is given at which AMR, and when"
ORDER = 5

Floats = NDArray[np.float64]

_BANDS = 8
_TIMES = 10
_DIGITS = 4  # to which levels are told apart
_RARE = 3  # decisions in a cell below which it stays empty
_FAINT = 10.0  # percent: the scale ends there at least
_COLOURS, _UNSEEN, _HATCH = "Blues", "none", "////"
_PATIENTS = (
    *("treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"),
    *("untreated_infected", "untreated_not_infected"),
)


@dataclass(frozen=True)
class Bands:
    """Which band each decision is in.

    Attributes:
        number: Of its band, the lowest first, (N,).
        labels: What stands at each band on the axis.
    """

    number: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Mean shares by two bands, ready to be drawn.

    Attributes:
        axis: Where.
        shares: By band of y and x, NaN where it is rare.
        x: The bands across.
        y: The bands upwards.
    """

    axis: Axes
    shares: Floats
    x: Bands
    y: Bands


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
    time = even_bands(known["step"].to_numpy(dtype=np.float64), _TIMES, digits=0)
    figure, axes = canvas.blank(title, rows=2, columns=len(names), panel_height=3.2, share_x=False)
    panels = []
    for k, name in enumerate(names):
        above, below = axes[k], axes[len(names) + k]
        share = known[f"prescriptions_{name}"].to_numpy(dtype=np.float64) / patients
        own = level_bands(levels[:, k])
        above.set_title(f"given {name}", fontsize=10)
        above.set_xlabel("its visible AMR (%)")
        if len(names) > 1:
            others = level_bands(np.delete(levels, k, axis=1).min(axis=1))
            panels.append(Panel(above, mean_by_cell(own, others, share), own, others))
            above.set_ylabel(
                f"visible AMR of {'the other' if len(names) == 2 else 'the best other'} (%)"
            )
        else:
            _draw_line(above, own, share)
        panels.append(Panel(below, mean_by_cell(time, own, share), time, own))
        below.set_xlabel("time (steps)")
        below.set_ylabel("its visible AMR (%)")
    draw_panels(figure, panels)
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


def bands(values: Floats, count: int = _BANDS) -> Bands:
    """Return bands of about equally many values, named by their means; of few levels, each its own.

    >>> bands(np.array([0.2, 0.1, 0.2])).labels
    ('0.1', '0.2')
    """
    rounded = values.round(_DIGITS)
    inner = np.unique(rounded)[1:]
    if len(inner) >= count:
        shares = np.arange(1, count) / count
        quantiles = np.quantile(rounded, shares, method="inverted_cdf")
        inner = np.intersect1d(quantiles, inner)
    number = np.searchsorted(inner, rounded, side="right")
    means = np.bincount(number, weights=values) / np.bincount(number)
    return Bands(number, _apart(means))


def level_bands(levels: Floats) -> Bands:
    """Return bands of levels of AMR as `bands` does, named by their means in percent.

    >>> level_bands(np.array([0.2, 0.004, 1.0])).labels
    ('0.4', '20', '100')
    """
    number = bands(levels).number
    means = np.bincount(number, weights=levels) / np.bincount(number)
    return Bands(number, _apart(100.0 * means))


def _apart(means: Floats) -> tuple[str, ...]:
    """Return numbers in as few digits as tell them apart, two at least."""
    for digits in range(2, _DIGITS + 1):
        labels = tuple(
            f"{mean:.{digits}g}" if abs(mean) < 10**digits - 0.5 else f"{mean:.0f}"
            for mean in means
        )
        if len(set(labels)) == len(labels):
            break
    return labels


def even_bands(values: Floats, count: int, *, digits: int) -> Bands:
    """Return bands of the same width from the lowest to the highest value, named by their middle.

    >>> even_bands(np.array([1.0, 2.0, 5.0]), 2, digits=0).labels
    ('2', '4')
    """
    edges = np.linspace(values.min(), values.max(), count + 1)
    number = np.searchsorted(edges[1:-1], values, side="right")
    middles = (edges[:-1] + edges[1:]) / 2
    return Bands(number, tuple(f"{middle:.{digits}f}" for middle in middles))


def mean_by_cell(x: Bands, y: Bands, value: Floats) -> Floats:
    """Return the mean value by band of y and x, NaN where it is rare."""
    shape = (len(y.labels), len(x.labels))
    cell = y.number * shape[1] + x.number
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    sums = np.bincount(cell, weights=value, minlength=len(counts))
    means = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=means, where=counts >= _RARE)
    return means.reshape(shape)


def draw_panels(figure: Figure, panels: list[Panel]) -> None:
    """Draw the shares in percent, all on one scale, which ends above the highest of them."""
    shares = np.concatenate([panel.shares.ravel() for panel in panels])
    highest = 0.0 if np.isnan(shares).all() else float(np.nanmax(shares))
    scale = Normalize(0.0, max(_FAINT, math.ceil(10.0 * highest - 1e-9) * 10.0))
    for panel in panels:
        _draw_cells(panel, scale)
    bar = figure.colorbar(
        ScalarMappable(scale, _COLOURS),
        ax=[panel.axis for panel in panels],
        shrink=0.9,
        pad=0.02,
    )
    bar.set_label("% of patients given it (hatched: not visited)", fontsize=8)


def _draw_cells(panel: Panel, scale: Normalize) -> None:
    axis, percent = panel.axis, 100.0 * panel.shares
    axis.grid(False)
    axis.set_facecolor(_UNSEEN)
    axis.patch.set(hatch=_HATCH, edgecolor=canvas.GREY, linewidth=0.0)
    decimals = 1 if scale.vmax == _FAINT else 0
    axis.pcolormesh(
        np.ma.masked_invalid(percent), cmap=_COLOURS, norm=scale, edgecolors="white", linewidth=0.5
    )
    for (row, column), value in np.ndenumerate(percent):
        if np.isfinite(value):
            colour = "white" if scale(value) > 0.6 else canvas.BLACK
            axis.text(
                *(column + 0.5, row + 0.5, f"{value:.{decimals}f}"),
                ha="center",
                va="center",
                fontsize=6.5,
                color=colour,
            )
    axis.set_xticks(np.arange(len(panel.x.labels)) + 0.5, panel.x.labels, fontsize=7, rotation=45)
    axis.set_yticks(np.arange(len(panel.y.labels)) + 0.5, panel.y.labels, fontsize=7)


def _draw_line(axis: Axes, own: Bands, share: Floats) -> None:
    means = np.bincount(own.number, weights=share) / np.bincount(own.number)
    at = np.arange(len(means))
    axis.bar(at, 100.0 * means, color=canvas.BLUE, width=0.9)
    axis.set_xticks(at, own.labels, fontsize=7, rotation=45)
    axis.set_ylim(0.0, 100.0)
    axis.set_ylabel("% of patients who are given it")
