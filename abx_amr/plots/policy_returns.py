"""What policies earn in a clinic, side by side, with the optimum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "policy_returns"
READS = ("policies",)
CAPTION = "mean return of the agent, of rules and of the optimum"

_WIDTH, _ROW = 4.8, 0.36  # inches: it fits a phone
_LONGEST = 52  # characters of a name
_COLOURS = {"agent": canvas.BLUE, "rule": canvas.ORANGE, "optimum": canvas.GREEN}


def draw(policies: pd.DataFrame, *, title: str) -> Figure:
    """Return a row for each policy, the best above, with its interval where it has one.

    Args:
        policies: One row per policy: name, kind (agent, rule or optimum), value (mean return),
            low and high (of its interval; nan: none).
        title: Says which clinic it is.
    """
    canvas.require(policies, ["name", "kind", "value", "low", "high"])
    rows = policies.sort_values("value", kind="stable").reset_index(drop=True)
    figure, (axis,) = canvas.blank(title, panel_height=0.2 + _ROW * len(rows), width=_WIDTH)
    for kind, colour in _COLOURS.items():
        some = rows[rows["kind"] == kind]
        if some.empty:
            continue
        ends = some.dropna(subset=["low", "high"])
        axis.hlines(ends.index, ends["low"], ends["high"], color=colour, linewidth=3, alpha=0.55)
        (marks,) = axis.plot(some["value"], some.index, "o", color=colour, markersize=6, label=kind)
        canvas.name_points(
            marks,
            [
                canvas.Point(f"{n}: {v:.2f}")
                for n, v in zip(some["name"], some["value"], strict=True)
            ],
        )
    best = rows[rows["kind"] == "optimum"]["value"]
    if len(best):
        axis.axvline(float(best.max()), color=canvas.GREEN, linewidth=1.0, linestyle=(0, (4, 2)))
    for place, (name, value) in enumerate(zip(rows["name"], rows["value"], strict=True)):
        _name(axis, place, str(name), value)
    axis.set_yticks([])
    axis.set_ylim(-0.5, len(rows) - 0.1)
    axis.set_xlabel("mean episode return (undiscounted)")
    if np.ptp(rows["value"]) == 0:
        axis.margins(x=0.2)
    figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    return figure


def _name(axis: Axes, place: int, name: str, value: float) -> None:
    """Write a policy's name and value above its mark, so that a narrow page has room for both."""
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    across = axis.get_yaxis_transform()
    axis.text(
        *(0.005, place + 0.36, canvas.label(short)), transform=across, va="center", fontsize=8
    )
    number = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    axis.text(1.01, place, number, transform=across, va="center", fontsize=8)
