"""A figure is one file of the folder: found, and drawn wherever its tables are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import abx_amr.plots
from abx_amr.plots.catalogue import draw_all, figures

NEW = """
from abx_amr.plots import canvas

NAME = "treated_share"
READS = ("cohort",)
CAPTION = "share of patients treated"


def draw(cohort, *, title, colour="none"):
    figure, (axis,) = canvas.blank(title + colour)
    return figure
"""


@pytest.fixture
def with_a_new_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "treated_share.py").write_text(NEW)
    monkeypatch.setattr(abx_amr.plots, "__path__", [*abx_amr.plots.__path__, str(tmp_path)])
    figures.cache_clear()
    yield
    figures.cache_clear()


def title_of(figure: object) -> str:
    return str(getattr(figure, "CAPTION", ""))


def test_figures_are_drawn_in_one_order() -> None:
    first_ones = ["amr", "prescriptions", "outcomes", "reward_parts"]
    names = [figure.NAME for figure in figures()]
    assert [name for name in names if name in first_ones] == first_ones
    assert names.index("study_history") < names.index("seed_spread")
    figures.cache_clear()
    assert [figure.NAME for figure in figures()] == names


def test_no_two_figures_have_one_file() -> None:
    names = [figure.NAME for figure in figures()]
    assert len(names) == len(set(names)) > 10


@pytest.mark.usefixtures("with_a_new_figure")
def test_a_file_in_the_folder_is_drawn_without_a_word_elsewhere() -> None:
    cohort = pd.DataFrame({"episode": [0]})
    assert [name for name, _ in draw_all({"cohort": cohort}, title=title_of)] == ["treated_share"]
    assert not list(draw_all({"cohort": cohort[:0]}, title=title_of))


def test_one_evaluation_is_no_curve_and_several_are() -> None:
    rows = {"episode": [0, 0], "episode_return": [-1.0, -2.0]}
    one = pd.DataFrame({"transitions": [500, 500], **rows})
    several = pd.DataFrame({"transitions": [500, 1000], **rows})
    assert not list(draw_all({"evaluations": one}, title=title_of))
    assert "learning_curve" in dict(draw_all({"evaluations": several}, title=title_of))


def test_a_setting_reaches_the_figures_that_take_it_and_no_others() -> None:
    trials = pd.DataFrame({"number": [0], "value": [-1.0], "state": ["COMPLETE"]})
    seeds = pd.DataFrame({"trial": [0], "seed": [1], "episode_return": [-1.0]})
    tables = {"trials": trials, "seeds": seeds}
    drawn = dict(draw_all(tables, title=title_of, direction="minimize"))
    assert drawn["study_history"].axes[0].get_ylabel() == "value of the trial (smaller is better)"
    assert {"study_history", "seed_spread"} <= {*drawn}
