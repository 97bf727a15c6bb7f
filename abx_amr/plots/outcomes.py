"""Outcomes over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "outcomes"
READS = ("steps",)
CAPTION = "outcomes"
ORDER = 3

# From the bottom of the stack: what was done to infected patients first.
GROUPS = {
    "treated_infected_sensitive": ("treated, sensitive infection", canvas.GREEN),
    "treated_infected_resistant": ("treated, resistant infection", canvas.VERMILION),
    "treated_not_infected": ("treated, not infected", canvas.ORANGE),
    "untreated_infected": ("untreated, infected", canvas.PURPLE),
    "untreated_not_infected": ("untreated, not infected", "#C9C9C9"),
}
EVENTS = {
    "benefits": ("benefits", canvas.GREEN),
    "failures": ("failures", canvas.VERMILION),
    "adverse_events": ("adverse events", canvas.BLUE),
}


def draw(steps: pd.DataFrame, *, title: str) -> Figure:
    """Return who was treated (shares of patients) and what came of it (events per step).

    Args:
        steps: One row per (episode, step): episode, step, benefits, failures, adverse_events and
            the five counts of (infected x treated x sensitive) (trajectories.parquet).
        title: Says which run it is.
    """
    canvas.require(steps, ["episode", "step", *GROUPS, *EVENTS])
    figure, (shares, events) = canvas.blank(title, rows=2, panel_height=2.9)
    counts = {name: canvas.by_episode(steps, name) for name in (*GROUPS, *EVENTS)}
    everybody = np.sum([counts[name] for name in GROUPS], axis=0)
    episodes, length = counts["benefits"].shape
    time, window = np.arange(1, length + 1), canvas.smoothing_window(length)

    shares.stackplot(
        time,
        [canvas.smooth(counts[name] / everybody, window).mean(axis=0) for name in GROUPS],
        labels=[label for label, _ in GROUPS.values()],
        colors=[colour for _, colour in GROUPS.values()],
        linewidth=0,
    )
    shares.set_ylim(0.0, 1.0)
    shares.set_ylabel("share of patients")
    canvas.legend_beside(shares, "mean over episodes", upwards=True)
    for name, (label, colour) in EVENTS.items():
        canvas.mean_and_band(
            events, time, canvas.smooth(counts[name], window), colour=colour, label=label
        )
    events.set_ylim(bottom=0.0)
    events.set_ylabel("events per step")
    events.set_xlabel(f"time (steps), running means over {window} steps")
    events.set_xlim(0, length)
    canvas.legend_beside(events, canvas.band_note(episodes))
    return figure
