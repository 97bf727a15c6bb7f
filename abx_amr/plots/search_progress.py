"""A policy search: the population's returns and the mean policy's, over generations and steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, StrMethodFormatter

from abx_amr.plots import canvas

NAME = "search_progress"
READS = ("generations", "evaluations")
CAPTION = "return of the population and of its mean policy"
ORDER = 6


def is_worth_drawing(generations: pd.DataFrame, evaluations: pd.DataFrame) -> bool:
    """Return whether there are several generations: of one there is no line."""
    return len(generations) > 1


def draw(generations: pd.DataFrame, evaluations: pd.DataFrame, *, title: str) -> Figure:
    """Return what every generation earned, and the step size it was drawn with.

    Args:
        generations: One row per generation: transitions of all candidates so far, population_mean
            and population_best in its own common episodes, step_size.
        evaluations: One row per (transitions, episode): transitions, episode_return; of the mean
            policy, in the paired evaluation episodes.
        title: Says which run it is.
    """
    canvas.require(generations, ["transitions", "population_mean", "population_best", "step_size"])
    canvas.require(evaluations, ["transitions", "episode_return"])
    figure, (returns, step) = canvas.blank(title, rows=2, panel_height=2.8)
    seen = generations["transitions"].to_numpy(dtype=np.float64)
    for column, colour, label in (
        ("population_mean", canvas.GREY, "population, mean"),
        ("population_best", canvas.SKY, "population, best"),
    ):
        returns.plot(seen, generations[column], color=colour, label=label)
    mean = evaluations.groupby("transitions")["episode_return"].mean()
    returns.plot(
        mean.index.to_numpy(dtype=np.float64),
        mean.to_numpy(),
        color=canvas.BLUE,
        linewidth=2.0,
        marker="o",
        markersize=4,
        label="mean policy, evaluated",
    )
    returns.set_ylabel("episode return (undiscounted)")
    canvas.legend_beside(returns)
    step.plot(seen, generations["step_size"], color=canvas.ORANGE)
    step.set_yscale("log")
    for write in (step.yaxis.set_major_formatter, step.yaxis.set_minor_formatter):
        write(StrMethodFormatter("{x:g}"))
    step.set_ylabel("step size")
    step.set_xlabel("environment steps, all candidates together")
    step.xaxis.set_major_formatter(EngFormatter(sep=""))
    each = float(seen[0])
    generation = returns.secondary_xaxis(
        "top", functions=(lambda x: np.asarray(x) / each, lambda g: np.asarray(g) * each)
    )
    generation.set_xlabel("generation")
    return figure
