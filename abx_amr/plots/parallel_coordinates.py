"""Every trial as a line through its values, coloured by what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.plots import canvas

NAME = "parallel_coordinates"
READS = ("trials", "space")
CAPTION = "values of each trial, coloured by what it is worth"
ORDER = 3

Floats = NDArray[np.float64]
#: Without the ends that are lost on a dark or on a white ground.
_SHADES = ListedColormap(colormaps["viridis"](np.linspace(0.25, 0.92, 256)))


def is_worth_drawing(trials: pd.DataFrame, space: pd.DataFrame) -> bool:
    """Return whether several trials have a value, and several values were searched."""
    return len(space) > 1 and int(np.isfinite(trials["value"]).sum()) > 1


def draw(
    trials: pd.DataFrame, space: pd.DataFrame, *, title: str, direction: str = "maximize"
) -> Figure:
    """Return an axis for each searched value and a line for each trial that has a value.

    Args:
        trials: One row per trial: number, value, params.<path> for each path of the space.
        space: One row per searched value: path, label, low, high, is_log, choices (None: a number).
        title: Says which study it is.
        direction: maximize or minimize: the best trials are drawn last, above the others.
    """
    canvas.require(trials, ["number", "value"])
    figure, (axis,) = canvas.blank(title, panel_height=3.6)
    known = trials[np.isfinite(trials["value"].to_numpy(dtype=np.float64))]
    known = known.sort_values("value", ascending=direction == "maximize", kind="stable")
    values = known["value"].to_numpy(dtype=np.float64)
    shade = Normalize(*_limits(values))
    places = np.column_stack(
        [position(known[f"params.{row['path']}"], row) for row in space.to_dict("records")]
    )
    colours = _SHADES(shade(values))
    last = len(values) - 1
    for index, (number, value) in enumerate(zip(known["number"], values, strict=True)):
        (line,) = axis.plot(
            np.arange(len(space)),
            places[index],
            color=colours[index],
            linewidth=2.6 if index == last else 1.2,
            alpha=1.0 if index == last else 0.75,
            marker="o" if index == last else None,
            markersize=4,
        )
        if index < last:
            canvas.name_points(line, [canvas.Point(f"trial {number}: {value:.3f}", int(number))])
    axis.set_xlim(-0.15, len(space) - 0.85)
    axis.set_ylim(-0.09, 1.09)
    axis.set_xticks(range(len(space)), [str(label) for label in space["label"]], fontsize=8)
    axis.set_yticks([])
    axis.grid(True, axis="x", color=canvas.GREY, linewidth=0.8)
    axis.spines["left"].set_visible(False)
    for place, row in enumerate(space.to_dict("records")):
        for height, text in _ends(row):
            axis.annotate(
                text,
                (place, height),
                xytext=(0, 3 if height == 1.0 else -10),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    bar = figure.colorbar(ScalarMappable(shade, _SHADES), ax=axis, pad=0.02, shrink=0.8)
    bar.set_label("value of the trial")
    return figure


def position(values: pd.Series, row: Mapping[Any, Any]) -> Floats:
    """Return where values lie on their axis, from 0 (lowest or first choice) to 1."""
    if row["choices"] is not None:
        names = [str(choice) for choice in row["choices"]]
        order = {name: place / max(len(names) - 1, 1) for place, name in enumerate(names)}
        return np.array([order.get(str(value), np.nan) for value in values])
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    low, high = float(row["low"]), float(row["high"])
    if row["is_log"]:
        numbers, low, high = np.log(numbers), float(np.log(low)), float(np.log(high))
    return (numbers - low) / ((high - low) or 1.0)


def _ends(row: Mapping[Any, Any]) -> list[tuple[float, str]]:
    if row["choices"] is not None:
        names = [str(choice) for choice in row["choices"]]
        return [(0.0, names[0]), (1.0, names[-1])] if len(names) > 1 else [(0.0, names[0])]
    return [(0.0, f"{row['low']:.4g}"), (1.0, f"{row['high']:.4g}")]


def _limits(values: Floats) -> tuple[float, float]:
    """Return where the colours begin and end: few very bad trials do not take all of them."""
    low, high = np.quantile(values, [0.1, 0.9])
    spread = float(high - low)
    return max(float(values.min()), float(low) - spread), min(
        float(values.max()), float(high) + spread
    )
