"""What a manager did is counted by hand-checkable tables: own rewards, no episode runs over."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from abx_amr.hierarchy.diagnostics import (
    option_by_amr,
    option_transitions,
    option_trigrams,
    option_usage,
)
from abx_amr.plots.canvas import as_png
from abx_amr.plots.catalogue import draw_all
from abx_amr.runs.figures import option_tables

NAMES = ["A_2", "B_2", "wait"]
CHOSEN = [["A_2", "A_2", "wait", "A_2"], ["wait", "A_2", "A_2", "wait"]]


def decisions() -> pd.DataFrame:
    rows = []
    for episode, options in enumerate(CHOSEN):
        for d, option in enumerate(options):
            rows.append(
                {
                    "episode": episode,
                    "decision": d,
                    "start": 2 * d,
                    "duration": 1 if d == 3 else 2,
                    "option_clipped": d == 3,
                    "option": option,
                    "reward": 10.0 * episode + d,
                    "visible_amr_A": 0.1 * (4 * episode + d),
                    "visible_amr_B": 0.5,
                }
            )
    table = pd.DataFrame(rows).sample(frac=1.0, random_state=0)  # the order must not matter
    table["option"] = pd.Categorical(table["option"], categories=NAMES)
    return table


def test_an_options_usage_is_counted_with_its_own_reward() -> None:
    usage = option_usage(decisions()).set_index("option")
    assert usage["decisions"].to_dict() == {"A_2": 5, "B_2": 0, "wait": 3}
    assert usage.loc["A_2", "steps"] == 9  # the last decision of episode 0 was cut to one
    assert usage.loc["A_2", "clipped"] == 1
    assert usage.loc["A_2", "reward_per_decision"] == pytest.approx((0 + 1 + 3 + 11 + 12) / 5)
    assert usage.loc["wait", "reward_per_step"] == pytest.approx((2 + 10 + 13) / 5)
    assert usage["share_of_steps"].sum() == usage["share_of_decisions"].sum() == 1.0
    assert np.isnan(usage.loc["B_2", "reward_per_decision"])


def test_transitions_and_trigrams_never_cross_an_episodes_end() -> None:
    table = option_transitions(decisions())
    assert table.loc["A_2", "A_2"] == 2
    assert table.loc["A_2", "wait"] == 2
    assert table.loc["wait", "A_2"] == 2
    assert table.to_numpy().sum() == 6  # three each; the two episodes are not joined
    trigrams = option_trigrams(decisions())
    first = trigrams.iloc[0]
    assert (first["first"], first["second"], first["third"]) == ("A_2", "A_2", "wait")
    assert (first["count"], first["share"]) == (2, 0.5)
    assert trigrams["count"].sum() == 4
    assert len(option_trigrams(decisions(), top=1)) == 1


def test_options_are_counted_by_quartile_of_the_visible_amr() -> None:
    table = option_by_amr(decisions())
    a = table[table["antibiotic"] == "A"]
    assert a.groupby("quartile")["decisions"].first().to_dict() == {
        "lowest": 2, "second": 2, "third": 2, "highest": 2,
    }  # fmt: skip
    lowest = a[a["quartile"] == "lowest"].set_index("option")["probability"].to_dict()
    assert lowest == {"A_2": 1.0, "B_2": 0.0, "wait": 0.0}
    assert (a[a["quartile"] == "highest"]["low"] == 0.1 * 6).all()
    b = table[table["antibiotic"] == "B"]
    assert b["quartile"].nunique() == 1  # equal levels are not torn apart
    assert b["probability"].sum() == pytest.approx(1.0)


def test_short_episodes_have_no_trigrams_and_are_drawn_all_the_same() -> None:
    short = decisions()
    short = short[short["decision"] == 0]
    assert option_trigrams(short).empty
    drawn = dict(draw_all(option_tables(short), title=lambda figure: figure.CAPTION))
    four = {"option_usage", "option_durations", "option_by_amr", "option_transitions"}
    assert four <= {*drawn}
    assert all(as_png(figure).startswith(b"\x89PNG") for figure in drawn.values())
