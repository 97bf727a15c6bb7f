"""Clinical benefit against AMR over the episode: the exact front, rules and agents.

Shapes: W weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from abx_amr.plots import canvas
from abx_amr.plots.labels import place_labels

NAME = "front"
READS = ("front",)
CAPTION = (
    "stewardship front: between two optima the line is reached by mixing them,\n"
    "and no policy lies above the shade"
)

COLUMNS = ["kind", "name", "individual", "mean_amr", "steps"]

Floats = NDArray[np.float64]


def table_of(
    front: Iterable[Mapping[str, Any]], policies: Iterable[Mapping[str, Any]], *, steps: int
) -> pd.DataFrame:
    """Return what `draw` draws, from the entries `front` and `policies` of a plan.json.

    Args:
        front: Each with lambda_weight, individual, mean_amr.
        policies: Each with kind, name, individual, mean_amr.
        steps: Length of an episode.
    """
    rows = [
        {"kind": "optimum", **point, "name": f"{point['lambda_weight']:g}"} for point in front
    ] + [dict(row) for row in policies]
    return pd.DataFrame([{**row, "steps": steps} for row in rows])[COLUMNS]


def draw(points: pd.DataFrame, *, title: str) -> Figure:
    """Return the stewardship front: the hull of the optima, and what no policy can surpass.

    The optimum for a weight lies on a line that no policy surpasses: individual - w * mean_amr with
    w = steps * lambda / (1 - lambda). Between two optima the lines meet above the hull: the front
    itself lies in the shade between.

    Args:
        points: One row per policy: kind (optimum, rule or agent), name, individual (clinical part
            of the return), mean_amr (as reported, mean over antibiotics and steps), steps (of an
            episode); the name of an optimum is its lambda_weight.
        title: Says which clinic it is.
    """
    canvas.require(points, COLUMNS)
    figure, (axis,) = canvas.blank(title, panel_height=4.6)
    optima = points[points["kind"] == "optimum"]
    hull = upper_hull(optima)
    axis.plot(
        hull["mean_amr"],
        hull["individual"],
        "o-",
        color=canvas.BLUE,
        linewidth=1.5,
        markersize=5,
        label="optimum, by lambda_weight",
    )
    x, y = bound(hull)
    if len(x) > 2:
        outline = (np.append(x, hull["mean_amr"][::-1]), np.append(y, hull["individual"][::-1]))
        axis.fill(*outline, color=canvas.BLUE, alpha=0.15, linewidth=0, label="the front lies here")
    for kind, colour, marker in (("rule", canvas.ORANGE, "s"), ("agent", canvas.GREEN, "D")):
        some = points[points["kind"] == kind]
        if not some.empty:
            axis.plot(
                some["mean_amr"], some["individual"], marker, color=colour, markersize=6, label=kind
            )
    axis.set_xlabel("AMR over the episode (mean reported level)")
    canvas.in_percent(axis.xaxis)
    axis.set_ylabel("clinical benefit (individual part of the return)")
    axis.margins(x=0.08, y=0.08)
    axis.set_xlim(left=min(-0.02, axis.get_xlim()[0]))
    legend = axis.legend(frameon=False, fontsize=9, loc="best")
    _name(axis, points, hull, legend)
    return figure


def upper_hull(optima: pd.DataFrame) -> pd.DataFrame:
    """Return the optima that are no mixture of others or below one, by rising AMR."""
    ordered = optima.sort_values(["mean_amr", "individual"], ascending=[True, False])
    kept: list[int] = []
    amr, benefit = (ordered[c].to_numpy(dtype=np.float64) for c in ("mean_amr", "individual"))
    for i in range(len(ordered)):
        if kept and benefit[i] <= benefit[kept[-1]]:
            continue
        while len(kept) > 1 and _turns_left(*((amr[k], benefit[k]) for k in (*kept[-2:], i))):
            kept.pop()
        kept.append(i)
    return ordered.iloc[kept]


def bound(hull: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the corners of what no policy surpasses, from the hull's first point to its last."""
    amr, benefit, steps = (
        hull[c].to_numpy(dtype=np.float64) for c in ("mean_amr", "individual", "steps")
    )
    weight = np.array([float(str(name)) for name in hull["name"]])
    with np.errstate(divide="ignore"):
        slope = steps * weight / (1.0 - weight)
    corners = []
    for i in range(len(hull)):
        if i:
            corners.append(
                _meeting(amr[i - 1 : i + 1], benefit[i - 1 : i + 1], slope[i - 1 : i + 1])
            )
        corners.append((amr[i], benefit[i]))
    found = np.array(corners).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _meeting(amr: Floats, benefit: Floats, slope: Floats) -> tuple[float, float]:
    """Return where the lines through two neighbours meet; on the chord where they hardly do."""
    if not slope[0] > slope[1]:
        return float(amr.mean()), float(benefit.mean())
    if math.isinf(slope[0]):
        x = float(amr[0])
    else:
        x = float(
            (benefit[1] - benefit[0] + slope[0] * amr[0] - slope[1] * amr[1])
            / (slope[0] - slope[1])
        )
    x = min(max(x, float(amr[0])), float(amr[1]))
    return x, float(benefit[1] + slope[1] * (x - amr[1]))


def _turns_left(
    first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]
) -> bool:
    """Return whether the way over three points turns up at the second: it is below the chord."""
    (ax, ay), (bx, by), (cx, cy) = first, second, third
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) >= 0


def _name(axis: Axes, points: pd.DataFrame, hull: pd.DataFrame, legend: Any) -> None:
    others = points[points["kind"] != "optimum"]
    named = pd.concat([others, hull])
    place_labels(
        axis,
        list(zip(named["mean_amr"], named["individual"], strict=True)),
        [str(name) for name in named["name"]],
        colours=[canvas.BLUE if kind == "optimum" else "black" for kind in named["kind"]],
        is_optional=(named["kind"] == "optimum").tolist(),
        taken=[legend],
    )
