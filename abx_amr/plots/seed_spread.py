"""How far the seeds of each trial lie apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from abx_amr.plots import canvas

NAME = "seed_spread"
READS = ("seeds",)
CAPTION = "seeds of each trial"
ORDER = 2


def draw(seeds: pd.DataFrame, *, title: str) -> Figure:
    """Return each trial's seeds with their mean and spread (standard deviation, ddof 0).

    Args:
        seeds: One row per (trial, seed): trial, seed, episode_return (nan where the seed failed),
            as `read_seed_results` gives it.
        title: Says which study it is.
    """
    canvas.require(seeds, ["trial", "seed", "episode_return"])
    figure, (axis,) = canvas.blank(title, panel_height=3.4)
    finite = np.isfinite(seeds["episode_return"].to_numpy(dtype=np.float64))
    good, failed = seeds[finite], seeds[~finite]
    if len(good):
        groups = good.groupby("trial")["episode_return"]
        mean, spread = groups.mean(), groups.std(ddof=0)
        axis.errorbar(
            mean.index.to_numpy(dtype=np.float64),
            mean,
            yerr=spread,
            fmt="_",
            color=canvas.BLUE,
            markersize=13,
            markeredgewidth=2.2,
            elinewidth=5,
            ecolor="#0072B255",
            label="mean and standard deviation",
        )
        (marks,) = axis.plot(
            good["trial"],
            good["episode_return"],
            "o",
            color=canvas.BLACK,
            markersize=3.5,
            label="seed",
            zorder=3,
        )
        named = zip(good["trial"], good["seed"], good["episode_return"], strict=True)
        canvas.name_points(
            marks,
            [canvas.Point(f"trial {t}, seed {s}: {r:.3f}", trial=int(t)) for t, s, r in named],
        )
    if len(failed):
        counts = failed.groupby("trial").size()
        axis.plot(
            counts.index.to_numpy(dtype=np.float64),
            np.full(len(counts), 0.02),
            "x",
            color=canvas.VERMILION,
            markersize=7,
            markeredgewidth=1.8,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
            label=f"trial with failed seeds ({counts.sum()})",
        )
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_xlabel("trial")
    axis.set_ylabel("mean episode return of a seed")
    axis.margins(y=0.12)
    canvas.legend_beside(axis)
    return figure
