"""Whom several agents treat, from counts: how much is given, by observed risk and visible AMR."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas
from abx_amr.plots.policy_map import Bands, Panel, draw_panels

NAME = "treated_by_risk"
READS = ("treated",)
CAPTION = "whom they treat, by observed risk of infection and visible AMR"

_RARE = 3  # patients in a cell below which it stays empty


def draw(treated: pd.DataFrame, *, title: str) -> Figure:
    """Return a panel for each antibiotic: the share of patients who were given it.

    Args:
        treated: One row per (antibiotic, band of risk, band of its visible level), the lowest
            bands first: antibiotic, risk_low, risk_high, level_low, level_high, patients, given.
        title: Says whose it is.
    """
    ends = ("risk_low", "risk_high", "level_low", "level_high")
    canvas.require(treated, ["antibiotic", *ends, "patients", "given"])
    met = treated[treated["patients"] >= _RARE]
    risks = sorted({*zip(met["risk_low"], met["risk_high"], strict=True)})
    levels = sorted({*zip(met["level_low"], met["level_high"], strict=True)})
    names = list(dict.fromkeys(treated["antibiotic"]))
    figure, axes = canvas.blank(title, columns=len(names), panel_height=3.2, share_x=False)
    across = _bands([f"{100 * low:g}–{100 * high:g}" for low, high in risks])
    upwards = _bands([f"{100 * low:g}–{100 * high:g}" for low, high in levels])
    panels = []
    for axis, name in zip(axes, names, strict=True):
        shares = np.full((len(levels), len(risks)), np.nan)
        for row in met[met["antibiotic"] == name].itertuples():
            place = (
                levels.index((row.level_low, row.level_high)),
                risks.index((row.risk_low, row.risk_high)),
            )
            shares[place] = float(str(row.given)) / float(str(row.patients))
        panels.append(Panel(axis, shares, across, upwards))
        axis.set_title(f"given {name}", fontsize=10)
        axis.set_xlabel("observed probability of infection (%)")
        axis.set_ylabel("its visible AMR (%)")
    draw_panels(figure, panels)
    return figure


def _bands(labels: list[str]) -> Bands:
    return Bands(np.arange(len(labels)), tuple(labels))
