"""The difference of two policies, episode by episode."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.errors import InputError, counted
from abx_amr.evaluation.statistics import paired_difference
from abx_amr.plots import canvas

NAME = "paired_difference"
READS = ("first", "second")
CAPTION = "paired difference"


def draw(
    first: pd.DataFrame, second: pd.DataFrame, *, first_name: str, second_name: str, title: str
) -> Figure:
    """Return the difference of returns per episode, and what pairing is worth to its mean.

    Args:
        first: One row per episode: episode, episode_return (`Evaluation.to_frame`).
        second: The other policy's on the same episodes of the same evaluation seed.
        first_name: What the first policy is called.
        second_name: What the second is called.
        title: Says what is compared.

    Raises:
        InputError: The two did not play the same episodes.
    """
    for table in (first, second):
        canvas.require(table, ["episode", "episode_return"])
    one, other = (t.set_index("episode")["episode_return"].sort_index() for t in (first, second))
    if not one.index.equals(other.index):
        raise InputError("the two tables must hold the same episodes to be compared in pairs")
    found = paired_difference(one.to_numpy(), other.to_numpy())
    differences = np.sort((one - other).to_numpy())

    figure, (each, mean) = canvas.blank(title, columns=2, panel_height=3.3)
    rank = np.arange(1, found.n + 1)
    each.bar(
        rank,
        differences,
        width=1.0,
        color=np.where(differences >= 0.0, canvas.BLUE, canvas.ORANGE).tolist(),
    )
    each.axhline(0.0, color=canvas.BLACK, linewidth=0.8)
    each.set_xlabel(f"{counted(found.n, 'episode')}, sorted by difference")
    names = [canvas.wrapped(name, 34) for name in (first_name, second_name)]
    each.set_ylabel(f"return of {names[0]}\nminus return of {names[1]}")

    intervals = {
        "paired": (found.interval, found.standard_error, canvas.BLUE),
        "unpaired": (found.unpaired_interval, found.unpaired_standard_error, canvas.GREY),
    }
    for place, (interval, error, colour) in enumerate(intervals.values()):
        mean.plot([place, place], interval, color=colour, linewidth=3)
        mean.plot(place, found.mean, "o", color=colour, markersize=8)
        mean.annotate(
            "" if math.isnan(error) else f"SE {error:.2f}",
            (place, found.mean),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    mean.axhline(0.0, color=canvas.BLACK, linewidth=0.8)
    mean.set_xticks([0, 1], list(intervals))
    mean.set_xlim(-0.5, 1.7)
    mean.set_ylabel("mean difference, 95 % interval")
    return figure
