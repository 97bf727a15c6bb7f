"""What a manager chooses: selections, durations, rewards, its answer to AMR, its sequences.

Shapes: O options, K antibiotics.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abx_amr.plots import canvas

_SHOWN_TRIGRAMS = 10


def draw_usage(usage: pd.DataFrame, *, title: str) -> Figure:
    """Return how often each option is chosen, for how many of the steps, and what it earns.

    Args:
        usage: One row per option: option, share_of_decisions, share_of_steps, reward_per_step.
        title: Says which run it is.
    """
    canvas.require(usage, ["option", "share_of_decisions", "share_of_steps", "reward_per_step"])
    figure, (share, reward) = canvas.blank(
        title, columns=2, panel_height=_height(len(usage)), share_y=True
    )
    place = np.arange(len(usage))
    share.barh(place - 0.2, usage["share_of_decisions"], 0.4, color=canvas.BLUE, label="decisions")
    share.barh(place + 0.2, usage["share_of_steps"], 0.4, color=canvas.ORANGE, label="steps")
    share.set_xlabel("share")
    share.legend(frameon=False, fontsize=8)
    reward.barh(place, usage["reward_per_step"].fillna(0.0), 0.6, color=canvas.GREEN)
    reward.axvline(0.0, color=canvas.BLACK, linewidth=0.8)
    reward.set_xlabel("reward per step of the option's own")
    _name(share, usage["option"])
    share.invert_yaxis()
    return figure


def draw_durations(decisions: pd.DataFrame, *, title: str) -> Figure:
    """Return the distribution of the decisions' durations, those cut by the episode's end apart.

    Args:
        decisions: One row per decision: duration (steps), option_clipped.
        title: Says which run it is.
    """
    canvas.require(decisions, ["duration", "option_clipped"])
    figure, (axis,) = canvas.blank(title, panel_height=3.2)
    clipped = decisions["option_clipped"].to_numpy(dtype=bool)
    durations = decisions["duration"].to_numpy()
    longest = int(durations.max())
    width = max(1, -(-longest // 60))
    edges = np.arange(0.5, longest + width + 0.5, width)
    axis.hist(
        [durations[~clipped], durations[clipped]],
        bins=edges.tolist(),
        stacked=True,
        color=[canvas.BLUE, canvas.VERMILION],
        label=["whole", "cut by the episode's end"],
    )
    axis.set_xlabel("duration of a decision (steps)")
    axis.set_ylabel("decisions")
    canvas.legend_beside(axis)
    return figure


def draw_by_amr(table: pd.DataFrame, *, title: str) -> Figure:
    """Return P(option | quartile of the visible AMR), one panel per antibiotic.

    Args:
        table: One row per (antibiotic, quartile, option): low, high, probability.
        title: Says which run it is.
    """
    canvas.require(table, ["antibiotic", "quartile", "low", "high", "option", "probability"])
    antibiotics = list(dict.fromkeys(table["antibiotic"]))
    options = list(dict.fromkeys(table["option"]))
    figure, panels = canvas.blank(
        title, columns=len(antibiotics), panel_height=_height(len(options)), share_y=True
    )
    for axis, antibiotic in zip(panels, antibiotics, strict=True):
        one = table[table["antibiotic"] == antibiotic]
        bins = list(dict.fromkeys(zip(one["quartile"], one["low"], one["high"], strict=True)))
        shares = one.pivot(index="option", columns="quartile", values="probability")
        values = shares.loc[options, [name for name, _, _ in bins]].to_numpy()
        _matrix(axis, values)
        axis.set_xticks(range(len(bins)), [f"{low:.2f}-{high:.2f}" for _, low, high in bins])
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel(f"visible AMR of {antibiotic} (quartiles)")
    _name(panels[0], options)
    return figure


def draw_transitions(transitions: pd.DataFrame, trigrams: pd.DataFrame, *, title: str) -> Figure:
    """Return P(next option | option), and the commonest three in a row.

    Args:
        transitions: How often each option (row) was followed by each (column), (O, O).
        trigrams: first, second, third, share; commonest first.
        title: Says which run it is.
    """
    names = [str(name) for name in transitions.index]
    shown = trigrams.head(_SHOWN_TRIGRAMS)
    figure, (matrix, bars) = canvas.blank(title, columns=2, panel_height=_height(len(names)) + 1.0)
    counts = transitions.to_numpy(dtype=np.float64)
    _matrix(matrix, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))
    _name(matrix, names)
    matrix.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    matrix.set_xlabel("next option")
    matrix.set_ylabel("option")
    place = np.arange(len(shown))
    bars.barh(place, shown["share"], 0.6, color=canvas.PURPLE)
    sequences = zip(shown["first"], shown["second"], shown["third"], strict=True)
    bars.set_yticks(place, ["\n".join(options) for options in sequences], fontsize=6)
    bars.set_ylim(_SHOWN_TRIGRAMS - 0.5, -0.5)
    bars.set_xlabel("share of the trigrams")
    return figure


def _height(options: int) -> float:
    return 1.0 + 0.22 * options


def _name(axis: Axes, options: pd.Series | list[str]) -> None:
    axis.set_yticks(range(len(options)), [str(option) for option in options], fontsize=8)


def _matrix(axis: Axes, values: np.ndarray) -> None:
    """Draw probabilities as shades, each with its number where there is room."""
    axis.grid(False)
    axis.imshow(values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    if values.size > 200:
        return
    for (row, column), value in np.ndenumerate(values):
        if value >= 0.005:
            colour = "white" if value > 0.6 else canvas.BLACK
            axis.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour
            )
