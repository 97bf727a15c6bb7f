import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from abx_amr.agents.rules import AmrThreshold, Cycling, Never
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.plots import (
    amr,
    canvas,
    learning_curve,
    outcomes,
    paired_difference,
    prescriptions,
    regret_by_amr,
    reward_parts,
    seed_spread,
    study_history,
    training_returns,
)
from abx_amr.runs import figures
from abx_amr.runs.folder import RunFolder
from abx_amr.tuning.figures import draw_study
from tests.clinics import clinic_model

MODEL = clinic_model(
    patients=3, steps=50, visible_amr={"update_every_n_time_steps": 10, "noise_std": 0.1}
)
PLAYED = evaluate(Cycling(MODEL, period=7), MODEL, episodes=4, seed=0, per_step=True)
OTHER = evaluate(Never(MODEL), MODEL, episodes=4, seed=0)
STEPS = PLAYED.trajectories_frame()
EVALUATIONS = pd.DataFrame(
    {
        "transitions": [500] * 4 + [1000] * 4 + [1500] * 2,
        "episode": [0, 1, 2, 3, 0, 1, 2, 3, 0, 1],
        "episode_return": [-9.0, -8.0, -7.0, -6.0, -3.0, -2.0, -1.0, 0.0, -4.0, -6.0],
    }
)
TRIALS = pd.DataFrame(
    {
        "number": [0, 1, 2, 3, 4],
        "value": [-5.0, -3.0, -np.inf, -4.0, np.nan],
        "state": ["COMPLETE", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"],
    }
)
SEEDS = pd.DataFrame(
    {
        "trial": [0, 0, 1, 1],
        "seed": [1000, 1001, 1000, 1001],
        "episode_return": [-4.0, -6.0, -3.0, np.nan],
    }
)
OVER_TIME = (amr.draw, prescriptions.draw, outcomes.draw, reward_parts.draw)
FIGURES = {
    "amr": lambda title: amr.draw(STEPS, title=title),
    "prescriptions": lambda title: prescriptions.draw(STEPS, title=title),
    "outcomes": lambda title: outcomes.draw(STEPS, title=title),
    "reward_parts": lambda title: reward_parts.draw(STEPS, title=title),
    "learning_curve": lambda title: learning_curve.draw(EVALUATIONS, title=title),
    "study_history": lambda title: study_history.draw(TRIALS, title=title),
    "seed_spread": lambda title: seed_spread.draw(SEEDS, title=title),
    "paired_difference": lambda title: paired_difference.draw(
        PLAYED.to_frame(), OTHER.to_frame(), first_name="one", second_name="other", title=title
    ),
}


def line(axis, label):
    """Return the y values of the line that the legend calls so."""
    (found,) = (drawn for drawn in axis.get_lines() if drawn.get_label() == label)
    return np.asarray(found.get_ydata(), dtype=float)


def labels(figure: Figure):
    return [
        text.get_text()
        for axis in figure.axes
        if axis.get_legend()
        for text in axis.get_legend().get_texts()
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_runs_name_and_axes_with_labels_and_becomes_a_png(name, tmp_path):
    figure = FIGURES[name]("base_ppo_20261123_120000")
    assert figure.get_suptitle() == "base_ppo_20261123_120000"
    assert all(axis.get_ylabel() for axis in figure.axes)
    assert figure.axes[-1].get_xlabel() or name == "paired_difference"
    file = canvas.save(figure, tmp_path / f"{name}.png")
    assert file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.png"]


@pytest.mark.parametrize("draw", OVER_TIME)
def test_one_episode_is_drawn_without_a_band(draw):
    one = draw(STEPS[STEPS["episode"] == 2], title="one episode")
    several = draw(STEPS, title="several")
    shares = 5 if draw is outcomes.draw else 0  # its stacked areas are no bands
    assert sum(len(axis.collections) for axis in one.axes) == shares
    assert sum(len(axis.collections) for axis in several.axes) > shares


@pytest.mark.parametrize("draw", OVER_TIME)
def test_the_order_of_the_rows_does_not_matter(draw):
    shuffled = STEPS.sample(frac=1.0, random_state=0)
    for here, there in zip(
        draw(STEPS, title="t").axes, draw(shuffled, title="t").axes, strict=True
    ):
        for one, other in zip(here.get_lines(), there.get_lines(), strict=True):
            np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())


def test_true_and_visible_amr_are_the_means_over_episodes():
    figure = amr.draw(STEPS, title="t")
    assert [axis.get_ylabel() for axis in figure.axes] == ["AMR level of A", "AMR level of B"]
    for k, axis in enumerate(figure.axes):
        for kind in ("true", "visible"):
            expected = PLAYED.per_step[f"{kind}_amr"][:, :, k].mean(axis=1)
            np.testing.assert_allclose(line(axis, kind), expected)
        assert axis.get_ylim()[1] >= PLAYED.per_step["visible_amr"].max()


def test_prescriptions_add_up_to_all_patients():
    (axis,) = prescriptions.draw(STEPS, title="t").axes
    drawn = [line(axis, label) for label in ("antibiotic A", "antibiotic B", "no treatment")]
    np.testing.assert_allclose(sum(drawn), 3.0)


def test_shares_of_patients_fill_the_panel():
    shares, events = outcomes.draw(STEPS, title="t").axes
    top = max(patch.get_paths()[0].vertices[:, 1].max() for patch in shares.collections)
    assert top == pytest.approx(1.0)
    window = canvas.smoothing_window(50)
    failures = canvas.smooth(PLAYED.per_step["failures"].T.astype(float), window).mean(axis=0)
    np.testing.assert_allclose(line(events, "failures"), failures)


def test_the_sum_of_the_rewards_ends_at_the_mean_return():
    _, so_far = reward_parts.draw(STEPS, title="t").axes
    assert line(so_far, "reward: the sum of both")[-1] == pytest.approx(PLAYED.mean_return)


def test_the_weighted_parts_of_the_reward_add_up_to_it():
    for axis in reward_parts.draw(STEPS, title="t").axes:
        *parts, total = (np.asarray(drawn.get_ydata()) for drawn in axis.get_lines()[:3])
        np.testing.assert_allclose(sum(parts), total, atol=1e-12)


def test_parts_of_a_reward_of_another_form_are_called_unweighted():
    own = STEPS.assign(reward=STEPS["individual"] * STEPS["community"])
    assert "individual, unweighted" in labels(reward_parts.draw(own, title="t"))


def test_the_learning_curve_is_the_mean_of_each_evaluation_with_its_best_marked():
    (axis,) = learning_curve.draw(EVALUATIONS, title="t").axes
    assert line(axis, "mean return").tolist() == [-7.5, -1.5, -5.0]
    assert line(axis, "best: -1.5").tolist() == [-1.5]


def test_the_learning_curve_has_a_line_for_each_thing_it_is_measured_against():
    summary = {"optimum": 2.0, "best_rule": {"name": "greedy", "mean_return": -3.0}}
    known = figures.references_of(summary)
    (axis,) = learning_curve.draw(EVALUATIONS, title="t", references=known).axes
    assert set(line(axis, "optimum: 2.0")) == {2.0}
    assert set(line(axis, "best rule greedy: -3.0")) == {-3.0}
    assert len(learning_curve.draw(EVALUATIONS, title="t").axes[0].get_lines()) == 2


@pytest.mark.parametrize(
    ("direction", "so_far"), [("maximize", [-5, -3, -3, -3]), ("minimize", [-5, -5, -5, -5])]
)
def test_the_history_follows_the_best_and_marks_what_failed(direction, so_far):
    (axis,) = study_history.draw(TRIALS, title="t", direction=direction).axes
    best = next(text for text in labels(axis.figure) if text.startswith("best so far"))
    assert line(axis, best).tolist() == so_far
    assert len(line(axis, "failed (2)")) == 2
    assert line(axis, "trial's value").tolist() == [-5.0, -3.0, -4.0]


def test_a_study_that_only_failed_still_has_a_history():
    failed = TRIALS.assign(value=np.nan, state="FAIL")
    assert labels(study_history.draw(failed, title="t")) == ["failed (5)"]


def test_the_spread_of_the_seeds_shows_their_mean_and_those_that_failed():
    figure = seed_spread.draw(SEEDS, title="t")
    (axis,) = figure.axes
    assert line(axis, "seed").tolist() == [-4.0, -6.0, -3.0]
    (bars,) = axis.containers
    assert bars.lines[0].get_ydata().tolist() == [-5.0, -3.0]
    (spread,) = bars.lines[2]
    assert spread.get_segments()[0][:, 1].tolist() == [-6.0, -4.0]  # ddof 0: 1 around -5
    assert "trial with failed seeds (1)" in labels(figure)


def test_the_difference_is_shown_with_both_its_intervals():
    each, mean = FIGURES["paired_difference"]("t").axes
    differences = np.sort(PLAYED.returns - OTHER.returns)
    assert [bar.get_height() for bar in each.patches] == pytest.approx(differences.tolist())
    found = PLAYED.difference_from(OTHER)
    written = [text.get_text() for text in mean.texts]
    assert written == [
        f"SE {found.standard_error:.2f}",
        f"SE {found.unpaired_standard_error:.2f}",
    ]
    assert tuple(mean.get_lines()[0].get_ydata()) == pytest.approx(found.interval)


def test_other_episodes_are_not_drawn_as_pairs():
    with pytest.raises(InputError, match="must hold the same episodes"):
        paired_difference.draw(
            PLAYED.to_frame(), OTHER.to_frame()[:3], first_name="a", second_name="b", title="t"
        )


@pytest.mark.parametrize(
    ("draw", "table", "column"),
    [
        *((draw, STEPS, "episode") for draw in OVER_TIME),
        (learning_curve.draw, EVALUATIONS, "transitions"),
        (study_history.draw, TRIALS, "state"),
        (seed_spread.draw, SEEDS, "seed"),
    ],
)
def test_a_table_that_lacks_a_column_or_rows_is_an_error_that_says_so(draw, table, column):
    with pytest.raises(InputError, match=rf"missing \['{column}'\]"):
        draw(table.drop(columns=column), title="t")
    with pytest.raises(InputError, match="at least one row"):
        draw(table[:0], title="t")


def test_a_run_folder_gets_its_figures(tmp_path):
    folder = RunFolder.create(tmp_path, "base_cycling")
    at_once = [path.stem for path in figures.draw_run(folder, STEPS)]
    assert at_once[:4] == ["amr", "prescriptions", "outcomes", "reward_parts"]
    assert "learning_curve" not in at_once
    for transitions in (500, 1000):
        folder.append_evaluation(transitions, PLAYED.episodes)
    folder.write_trajectories(STEPS)
    drawn = figures.draw_run(folder)
    assert {path.stem for path in drawn} == {*at_once, "learning_curve"}
    assert all(path.parent == folder.path / "figures" and path.is_file() for path in drawn)


def test_a_run_compared_with_another_gets_the_figure_of_their_difference(tmp_path):
    folder = RunFolder.create(tmp_path, "base_cycling")
    file = figures.draw_difference(folder, PLAYED.to_frame(), OTHER.to_frame(), other="never")
    assert file == folder.figure_file("paired_difference") and file.is_file()


def test_a_study_folder_gets_its_figures(tmp_path):
    place = tmp_path / "trials" / "0" / "seed_1000"
    place.mkdir(parents=True)
    result = {"seed": 1000, "episode_return": -4.0, "failure": None, "seconds": 1.0}
    (place / "result.json").write_text(json.dumps({**result, "effective_values": {}}))
    drawn = draw_study(tmp_path, TRIALS)
    assert [path.name for path in drawn][:2] == ["study_history.png", "seed_spread.png"]
    assert draw_study(tmp_path / "trials", TRIALS[:0]) == []


def test_drawing_is_loaded_only_where_it_is_used_and_leaves_pyplot_alone():
    code = (
        "import sys, abx_amr.runs.folder, abx_amr.evaluation.episodes, abx_amr.agents.rules;"
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules);"
        "import abx_amr.runs.figures;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_smoothing_keeps_a_constant_and_the_length():
    values = np.full((2, 30), 1.5)
    for window in (1, 3, 7, 29):
        np.testing.assert_allclose(canvas.smooth(values, window), values)
    assert canvas.smoothing_window(500) % 2 == 1


def test_rules_are_told_apart_in_the_figures_of_their_runs():
    rule = AmrThreshold(MODEL, threshold=0.2)
    steps = evaluate(rule, MODEL, episodes=2, seed=0, per_step=True).trajectories_frame()
    (here,), (there,) = (prescriptions.draw(t, title="t").axes for t in (steps, STEPS))
    assert not np.array_equal(line(here, "antibiotic B"), line(there, "antibiotic B"))


def test_regret_is_drawn_over_the_levels_that_were_visited():
    row = {"antibiotic": "A", "level_low": 0.0, "level_high": 0.01, "agrees": 1.0}
    rows = [
        {**row, "share_of_states_visited": 0.75, "regret": 0.0},
        {**row, "level_low": 0.01, "level_high": 0.02, "share_of_states_visited": 0.2495}
        | {"regret": 0.5},
        {**row, "level_low": 0.4, "level_high": 0.6, "share_of_states_visited": 0.0005}
        | {"regret": 9.0},
    ]
    figure = regret_by_amr.draw(pd.DataFrame(rows), title="t")
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [0.0, 0.5]  # rare levels say nothing
    assert [label.get_text() for label in above.get_xticklabels()] == ["0-1 %", "1-2 %"]
    assert [bar.get_height() for bar in below.patches] == [1.0, 1.0]


def test_training_returns_tell_the_best_trial_s_seeds_from_all_others() -> None:
    rows = [
        (trial, seed, transitions, -90.0 + trial + transitions / 500)
        for trial in (0, 1)
        for seed in (1000, 1001)
        for transitions in (500, 1000)
    ]
    curves = pd.DataFrame(rows, columns=["trial", "seed", "transitions", "training_return"])
    figure = training_returns.draw(curves, title="study", best=1)
    named = [points[0].name for _, points in canvas.named_points(figure)]
    assert sorted(named)[0] == "trial 0, seed 1000: -88.000 at last"
    assert len(named) == 4
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == [
        "trial 1, seed 1000",
        "trial 1, seed 1001",
    ]
    assert not training_returns.is_worth_drawing(curves[curves["transitions"] == 500])
