"""How often a manager chooses each option, and what it earns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "option_usage"
READS = ("option_usage",)
CAPTION = "options chosen, and their reward"
ORDER = 6


def draw(usage: pd.DataFrame, *, title: str) -> Figure:
    """Return how often each option is chosen, for how many of the steps, and what it earns.

    Args:
        usage: One row per option: option, share_of_decisions, share_of_steps, reward_per_step.
        title: Says which run it is.
    """
    canvas.require(usage, ["option", "share_of_decisions", "share_of_steps", "reward_per_step"])
    figure, (share, reward) = canvas.blank(
        title, columns=2, panel_height=canvas.panel_height(len(usage)), share_y=True
    )
    place = np.arange(len(usage))
    share.barh(place - 0.2, usage["share_of_decisions"], 0.4, color=canvas.BLUE, label="decisions")
    share.barh(place + 0.2, usage["share_of_steps"], 0.4, color=canvas.ORANGE, label="steps")
    share.set_xlabel("share")
    share.legend(frameon=False, fontsize=8)
    reward.barh(place, usage["reward_per_step"].fillna(0.0), 0.6, color=canvas.GREEN)
    reward.axvline(0.0, color=canvas.BLACK, linewidth=0.8)
    reward.set_xlabel("reward per step of the option's own")
    canvas.name_rows(share, usage["option"])
    share.invert_yaxis()
    return figure
