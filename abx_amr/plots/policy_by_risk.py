"""Whom a prescriber treats: how often it gives an antibiotic, by a patient's observed risk."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas
from abx_amr.plots.policy_map import (
    Panel,
    before_each_step,
    draw_panels,
    even_bands,
    level_bands,
    mean_by_cell,
)

NAME = "policy_by_risk"
READS = ("patients", "steps")
CAPTION = "whom it treats, by observed risk of infection and AMR"
ORDER = 6

_RISK = "observed_prob_infected"
_RISKS = 10


def is_worth_drawing(patients: pd.DataFrame, steps: pd.DataFrame) -> bool:
    """Return whether the observed risk is seen and differs between patients."""
    return _RISK in patients and patients[_RISK].nunique() > 1 and int(steps["step"].max()) > 1


def draw(patients: pd.DataFrame, steps: pd.DataFrame, *, title: str) -> Figure:
    """Return a panel for each antibiotic: how often a patient is given it, by risk and AMR.

    Args:
        patients: One row per (episode, step, patient): episode, step, treatment,
            observed_prob_infected (patients.parquet).
        steps: One row per (episode, step): episode, step, true_amr_X and visible_amr_X for each
            antibiotic X, levels after the step (trajectories.parquet).
        title: Says which run it is.
    """
    canvas.require(patients, ["episode", "step", "treatment", _RISK])
    names = canvas.antibiotics(steps)
    canvas.require(steps, ["episode", "step", *(f"visible_amr_{name}" for name in names)])
    known = before_each_step(steps)
    seen = [f"seen_{name}" for name in names]
    joined = patients.merge(known[["episode", "step", *seen]], on=["episode", "step"])
    risk = even_bands(joined[_RISK].to_numpy(dtype=np.float64), _RISKS, digits=2)
    figure, axes = canvas.blank(title, columns=len(names), panel_height=3.4, share_x=False)
    panels = []
    for axis, name in zip(axes, names, strict=True):
        given = (joined["treatment"] == name).to_numpy().astype(np.float64)
        level = level_bands(joined[f"seen_{name}"].to_numpy(dtype=np.float64))
        panels.append(Panel(axis, mean_by_cell(risk, level, given), risk, level))
        axis.set_title(f"given {name}", fontsize=10)
        axis.set_xlabel("observed probability of infection")
        axis.set_ylabel("its visible AMR (%)")
    draw_panels(figure, panels)
    return figure
