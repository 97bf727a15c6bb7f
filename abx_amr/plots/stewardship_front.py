"""Clinical benefit against AMR at the horizon: the exact front, rules and agents."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "front"
READS = ("front",)
CAPTION = "stewardship front"

COLUMNS = ["kind", "name", "individual", "final_amr"]
#: Points nearer than this are labelled together: in AMR, in shares of the height.
_NEAR_AMR, _NEAR_SHARE = 0.06, 0.03


def draw(points: pd.DataFrame, *, title: str) -> Figure:
    """Return the stewardship front, as steps: between two of its points nothing is claimed.

    Args:
        points: One row per policy: kind (optimum, rule or agent), name, individual (clinical part
            of the return), final_amr (mean level after the last step); those of kind optimum in
            the order of lambda_weight, which is their name.
        title: Says which clinic it is.
    """
    canvas.require(points, COLUMNS)
    figure, (axis,) = canvas.blank(title, panel_height=4.6)
    front = points[points["kind"] == "optimum"].sort_values("final_amr")
    axis.plot(
        front["final_amr"],
        front["individual"],
        "o-",
        drawstyle="steps-post",
        color=canvas.BLUE,
        linewidth=1.5,
        markersize=5,
        label="optimum, by lambda_weight",
    )
    height = float(points["individual"].max() - points["individual"].min()) or 1.0
    labelled: list[tuple[float, float]] = []
    for row in front.itertuples():
        place = (float(str(row.final_amr)), float(str(row.individual)))
        if all(abs(place[0] - x) > 0.03 or abs(place[1] - y) > 0.04 * height for x, y in labelled):
            axis.annotate(
                f"{row.name}",
                place,
                xytext=(4, 6),
                textcoords="offset points",
                fontsize=8,
                color=canvas.BLUE,
            )
            labelled.append(place)
    for kind, colour, marker in (("rule", canvas.ORANGE, "s"), ("agent", canvas.GREEN, "D")):
        some = points[points["kind"] == kind]
        if some.empty:
            continue
        axis.plot(
            some["final_amr"], some["individual"], marker, color=colour, markersize=6, label=kind
        )
        for alike in _side_by_side(some, height):
            axis.annotate(
                "\n".join(str(name) for name in alike["name"]),
                (float(alike["final_amr"].max()), float(alike["individual"].mean())),
                xytext=(7, 5),
                textcoords="offset points",
                fontsize=8,
                verticalalignment="top",
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
            )
    axis.set_xlim(-0.02, 1.3)
    axis.set_xticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axis.set_xlabel("AMR at the horizon (mean level after the last step)")
    axis.set_ylabel("clinical benefit (individual part of the return)")
    axis.legend(frameon=False, fontsize=9, loc="best")
    return figure


def _side_by_side(points: pd.DataFrame, height: float) -> list[pd.DataFrame]:
    """Return the points in groups whose labels would collide, the best of each first."""
    left = points.sort_values("individual", ascending=False)
    groups = []
    while not left.empty:
        first = left.iloc[0]
        is_near = (left["final_amr"] - first["final_amr"]).abs() < _NEAR_AMR
        is_near &= (left["individual"] - first["individual"]).abs() < _NEAR_SHARE * height
        groups.append(left[is_near])
        left = left[~is_near]
    return groups
