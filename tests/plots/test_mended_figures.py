"""Figures that hold with long names, many of them, and names that are no names."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from abx_amr.agents.rules import AmrThreshold, Greedy
from abx_amr.evaluation.episodes import evaluate
from abx_amr.plots import (
    amr,
    canvas,
    conditions,
    option_by_amr,
    option_transitions,
    policy_map,
    prescriptions,
    stewardship_front,
    treatment_by_group,
)
from abx_amr.plots.labels import place_labels
from tests.clinics import clinic_model

LONG = ("amoxicillin_clavulanate", "trimethoprim-sulfamethoxazole", "piperacillin_tazobactam")
HOSTILE = ("$\\frac{x}$", "<b>a\x1b[2J\x00", "\u202ename $")
STEPS = 100


def point(kind: str, name: str, amr: float, benefit: float) -> dict[str, object]:
    row = {"kind": kind, "name": name, "mean_amr": amr, "individual": benefit}
    return {**row, "steps": STEPS}


# Of benefit = 100 * (1 - exp(-20 * amr)): the optimum where its slope is steps * w / (1 - w).
def benefit(amr: float) -> float:
    return 100.0 * (1.0 - np.exp(-20.0 * amr))


def optimum(weight: float) -> dict[str, object]:
    price = STEPS * weight / (1.0 - weight) if weight < 1 else np.inf
    amr = np.log(2000.0 / price) / 20.0 if 0 < price < 2000.0 else (0.0 if price else 0.5)
    return point("optimum", f"{weight:g}", amr, benefit(amr))


OPTIMA = pd.DataFrame([optimum(w) for w in (0.0, 0.3, 0.7, 0.9, 1.0)])


@pytest.mark.parametrize("amr", np.linspace(0.01, 0.45, 12))
def test_no_policy_lies_above_the_shade_nor_any_optimum_below_the_line(amr: float) -> None:
    hull = stewardship_front.upper_hull(OPTIMA)
    chord = np.interp(amr, hull["mean_amr"], hull["individual"])
    x, y = stewardship_front.bound(hull)
    assert chord <= benefit(amr) + 1e-9 <= np.interp(amr, x, y) + 2e-9


def test_the_hull_leaves_out_what_lies_below_a_chord() -> None:
    below = pd.DataFrame([point("optimum", "0.5", 0.2, 30.0)])
    hull = stewardship_front.upper_hull(pd.concat([OPTIMA, below]))
    assert "0.5" not in set(hull["name"]) and len(hull) == len(OPTIMA)


def test_names_of_the_front_lie_neither_on_each_other_nor_on_points() -> None:
    rng = np.random.default_rng(0)
    crowd = [
        point("agent", f"a_rather_long_name_{k}", 0.2 + x / 50, 50 + y)
        for k, (x, y) in enumerate(rng.normal(size=(6, 2)))
    ]
    points = pd.concat([OPTIMA, pd.DataFrame(crowd)])
    figure = stewardship_front.draw(points, title="t")
    names = [text for text in figure.axes[0].texts if text.get_text()]
    in_dark = {text.get_color() for text in names} - {canvas.BLUE}
    assert in_dark == {"black"}, "which a page in the dark shows in its own colour"
    boxes = [text.get_window_extent() for text in names]
    assert {f"a_rather_long_name_{k}" for k in range(6)} <= {t.get_text() for t in names}
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_an_optional_name_is_left_out_where_it_would_lie_on_another() -> None:
    _, (axis,) = canvas.blank("t")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    points = [(0.5, 0.5)] * 12
    names = [f"a name of some length {k}" for k in range(12)]
    options = {"colours": ["k"] * 12, "is_optional": [False] * 3 + [True] * 9}
    assert 3 <= len(place_labels(axis, points, names, **options)) < 12


def options_table(antibiotics: tuple[str, ...]) -> pd.DataFrame:
    rows = itertools.product(antibiotics, range(4), ("no_treatment_10", f"give_{antibiotics[0]}"))
    return pd.DataFrame(
        [
            {
                **{"antibiotic": a, "quartile": q, "option": option, "probability": 0.5},
                **{"low": q / 4, "high": (q + 1) / 4},
            }
            for a, q, option in rows
        ]
    )


@pytest.mark.parametrize("antibiotics", [LONG, (*LONG, "meropenem"), ("A",)])
def test_panels_of_long_drug_names_do_not_write_over_each_other(
    antibiotics: tuple[str, ...],
) -> None:
    figure = option_by_amr.draw(options_table(antibiotics), title="t")
    figure.draw_without_rendering()
    shown = [axis for axis in figure.axes if axis.get_visible()]
    texts = [axis.title for axis in shown]
    texts += [tick for axis in shown for tick in axis.get_xticklabels()]
    assert [t.get_text().replace("\n", "") for t in texts[: len(shown)]] == list(antibiotics)
    for one, other in itertools.combinations([t.get_window_extent() for t in texts], 2):
        assert not one.overlaps(other)


def test_axes_of_a_policy_map_are_named_apart_for_long_drug_names() -> None:
    drugs = dict.fromkeys(LONG, (0.2, 40.0, -0.8, 0.25))
    model = clinic_model(drugs, steps=30)
    steps = evaluate(Greedy(model), model, episodes=2, seed=0, per_step=True).trajectories_frame()
    figure = policy_map.draw(steps, title="t")
    figure.draw_without_rendering()
    panels = [axis for axis in figure.axes if axis.get_title() or axis.get_xlabel()]
    labels = [axis.xaxis.label.get_window_extent() for axis in panels]
    labels += [axis.yaxis.label.get_window_extent() for axis in panels]
    for one, other in itertools.combinations(labels, 2):
        assert not one.overlaps(other)


MODEL = clinic_model(patients=3, steps=30)


def test_shares_by_group_and_risk_are_those_of_the_patients() -> None:
    played = evaluate(Greedy(MODEL), MODEL, episodes=3, seed=0, trajectories=True)
    patients = played.patients_frame()
    patients["group"] = patients["patient"] % 2
    of = treatment_by_group.named_groups(patients["group"], ["ward", "clinic"])
    treatments = treatment_by_group.treatments_of(patients)
    assert treatments == ["A", "B", "no_treatment"]
    shares = treatment_by_group.shares_by(patients, of, treatments)
    for name, number in (("ward", 0), ("clinic", 1)):
        here = patients[patients["group"] == number]
        assert shares.loc[name, "patients"] == len(here)
        for treatment in treatments:
            expected = sum(t == treatment for t in here["treatment"]) / len(here)
            assert shares.loc[name, treatment] == pytest.approx(expected)
    (axis, *_) = treatment_by_group.draw(patients, title="t", groups=["ward", "clinic"]).axes
    assert sum(bar.get_width() for bar in axis.patches) == pytest.approx(2.0)


def test_one_group_without_a_risk_is_not_worth_a_figure() -> None:
    rule = AmrThreshold(MODEL, threshold=0.2)
    patients = evaluate(rule, MODEL, episodes=1, seed=0, trajectories=True).patients_frame()
    plain = patients.drop(columns="observed_prob_infected", errors="ignore")
    assert not treatment_by_group.is_worth_drawing(plain.assign(group=0))
    assert treatment_by_group.is_worth_drawing(plain.assign(group=plain["patient"]))


def test_the_names_of_a_conditions_runs_stand_below_it_where_they_say_more() -> None:
    rows = {"clinic": "c", "condition": ["ppo_gamma0.9", "ppo"], "mean": [-2.0, -1.0]}
    rows |= {"mean_low": np.nan, "mean_high": np.nan, "optimum": np.nan}
    table = pd.DataFrame({**rows, "run_names": ["my_run", "paper_single_ppo"]})
    runs = pd.DataFrame({"clinic": "c", "condition": rows["condition"], "return": [-2.0, -1.0]})
    (axis,) = conditions.draw(table, runs, title="t").axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["ppo_gamma0.9\n(my_run)", "ppo"]


def steps_of(names: tuple[str, ...]) -> pd.DataFrame:
    columns = [
        f"{kind}_{n}" for kind in ("true_amr", "visible_amr", "prescriptions") for n in names
    ]
    columns += ["untreated_infected", "untreated_not_infected"]
    return pd.DataFrame({"episode": 0, "step": [1, 2], **dict.fromkeys(columns, 1.0)})


def transitions_of(names: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    three = dict(zip(("first", "second", "third"), names, strict=True))
    counts = pd.DataFrame(1, index=[*names], columns=[*names])
    return counts, pd.DataFrame([{**three, "share": 1.0}])


def test_names_that_are_no_names_are_drawn_as_text() -> None:
    points = pd.concat([OPTIMA, pd.DataFrame([point("rule", n, 0.3, 10.0) for n in HOSTILE])])
    figures = [
        stewardship_front.draw(points, title=HOSTILE[0]),
        option_by_amr.draw(options_table(HOSTILE), title=HOSTILE[1]),
        amr.draw(steps_of(HOSTILE), title="t"),
        prescriptions.draw(steps_of(HOSTILE), title="t"),
        option_transitions.draw(*transitions_of(HOSTILE), title="t"),
    ]
    for figure in figures:
        assert canvas.as_png(figure).startswith(b"\x89PNG")
    named = [text.get_text() for text in figures[0].axes[0].texts]
    assert "<b>a<U+001B>[2J<U+0000>" in named


def test_a_long_title_lies_within_its_figure() -> None:
    figure, _ = canvas.blank("How final_seed1 acts by AMR and what that costs, in its states " * 3)
    figure.canvas.draw()
    title = figure._suptitle  # type: ignore[attr-defined]
    assert title.get_window_extent().x1 <= figure.bbox.x1
    assert "\n" in title.get_text()
