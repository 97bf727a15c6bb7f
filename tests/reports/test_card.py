"""The policy card: its numbers are counts, its words follow from them, its names are only names."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abx_amr.agents.rules import AmrThreshold, Greedy
from abx_amr.errors import InputError, printable
from abx_amr.evaluation.episodes import evaluate
from abx_amr.evaluation.statistics import bootstrap_interval, paired_difference
from abx_amr.reports.behaviour import Share, behaviour_of
from abx_amr.reports.card import Played, _at_the_end, card_of, sentences_of
from abx_amr.reports.card_markdown import as_markdown
from abx_amr.reports.card_writing import write_card
from abx_amr.reports.clinical import outcomes_of
from abx_amr.reports.limits import known_to, limits_of
from abx_amr.reports.markdown import escape, line, table
from abx_amr.reports.page import page_of
from abx_amr.reports.subjects import RunSubject
from abx_amr.runs.folder import RunFolder
from tests.clinics import clinic_model, mixture, population

HOSTILE = "<img src=x onerror=alert(1)>|`*_[a](http://x)_*\x1b[2J\u202e\n# b"
DRUGS = {"A": (0.2, 50.0, -2.0, 0.1), HOSTILE: (0.1, 25.0, -3.0, 0.15)}
MODEL = clinic_model(
    DRUGS,
    patients=4,
    steps=40,
    people=mixture(
        ward=population(prob_infected=0.8, sigma=0.1), clinic=population(prob_infected=0.3)
    ),
)
PLAYED = evaluate(AmrThreshold(MODEL, threshold=0.06), MODEL, episodes=5, seed=3, trajectories=True)
RULE = evaluate(Greedy(MODEL), MODEL, episodes=5, seed=3)
EPISODES, STEPS, PATIENTS = (
    PLAYED.to_frame(),
    PLAYED.trajectories_frame(),
    PLAYED.patients_frame(),
)
CONFIG = {
    "agent_algorithm": {"_target_": "abx_amr.agents.rules.AmrThreshold"},
    "environment": {"num_patients_per_time_step": 4, "max_time_steps": 40},
    "patient_generator": {"populations": {HOSTILE: {}, "clinic": {}}},
    "evaluation": {"episodes": 5},
}
SUMMARY = {"evaluation_episodes": 5, "evaluation_seed": 3, "mean_return": PLAYED.mean_return}
CARD = Played(
    name=HOSTILE,
    folder="results/run",
    config=CONFIG,
    summary=SUMMARY,
    provenance={"choices": {"agent_algorithm": "amr_threshold", "experiment": HOSTILE}},
    episodes=EPISODES,
    steps=STEPS,
    patients=PATIENTS,
    rule=(HOSTILE, RULE.to_frame()),
    trained=None,
)


def rows_of(name: str) -> list:
    return [outcome for outcome in outcomes_of(EPISODES, RULE.to_frame()) if outcome.name == name]


def test_outcomes_are_counts_of_the_patients_themselves() -> None:
    """Counted patient by patient, per 1,000 who came: 4 a step, 40 steps, 5 episodes."""
    assert len(PATIENTS) == 4 * 40 * 5
    given_any = PATIENTS["treatment"] != "no_treatment"
    expected = {
        "prescriptions of all antibiotics": given_any,
        "prescriptions of A": PATIENTS["treatment"] == "A",
        "antibiotics given without an infection": given_any & ~PATIENTS["infected"],
        "infected patients given no antibiotic": ~given_any & PATIENTS["infected"],
        "antibiotics given for an infection resistant to them": PATIENTS["infected"]
        & (
            ((PATIENTS["treatment"] == "A") & ~PATIENTS["sensitive_A"])
            | ((PATIENTS["treatment"] == HOSTILE) & ~PATIENTS[f"sensitive_{HOSTILE}"])
        ),
    }
    for name, happened in expected.items():
        (outcome,) = rows_of(name)
        assert outcome.value == pytest.approx(1000.0 * happened.mean()), name
        assert outcome.unit == "per 1,000 patients"
        each = 1000.0 * happened.groupby(PATIENTS["episode"]).mean().to_numpy()
        assert outcome.interval == pytest.approx(bootstrap_interval(each, resamples=2_000))


def test_benefits_failures_and_resistance_are_those_of_the_steps() -> None:
    for column, text in (("benefits", "benefits"), ("failures", "failures")):
        (outcome,) = [o for o in outcomes_of(EPISODES) if f"({text})" in o.name]
        assert outcome.value == pytest.approx(1000.0 * STEPS[column].sum() / len(PATIENTS))
    (end,) = rows_of("resistance to A at the end")
    last = STEPS[STEPS["step"] == 40]
    assert end.value == pytest.approx(100.0 * last["true_amr_A"].mean())
    assert end.unit == "% of infections"


def test_the_difference_from_the_rule_is_paired_by_episode_and_says_who_is_better() -> None:
    (outcome,) = [o for o in outcomes_of(EPISODES, RULE.to_frame()) if "return" in o.name]
    found = paired_difference(PLAYED.returns, RULE.returns)
    assert outcome.difference == found and outcome.rule == pytest.approx(RULE.mean_return)
    low, high = found.interval
    expected = "better" if low > 0 else "worse" if high < 0 else "no clear difference"
    assert outcome.verdict == expected
    fewer = replace(outcome, wanted="less")
    assert {outcome.verdict, fewer.verdict} in ({"better", "worse"}, {"no clear difference"})
    assert replace(outcome, wanted="neither").verdict == ""


def test_what_it_does_is_measured_at_the_level_that_was_seen_before_the_step() -> None:
    found = behaviour_of(EPISODES, STEPS, PATIENTS, groups=["ward", "clinic"])
    (stop,) = [s for s in found.stops if s.antibiotic == "A"]
    assert stop.between is not None
    low, high = stop.between
    assert low <= 0.06 <= high < 0.08, "the rule's threshold, to the width of a band"
    assert stop.above < 0.1 * stop.below
    assert found.ending is None
    for share in found.by_group:
        here = PATIENTS[PATIENTS["group"] == ["ward", "clinic"].index(share.who)]
        assert share.patients == len(here)
        assert share.treated == pytest.approx((here["treatment"] != "no_treatment").mean())
    assert sum(share.patients for share in found.by_time) == len(PATIENTS)
    infected = PATIENTS[PATIENTS["infected"]]
    assert found.infected[0] == pytest.approx((infected["treatment"] != "no_treatment").mean())
    assert any(
        "while its reported resistance is at most" in sentence for sentence in sentences_of(found)
    )


def test_what_its_tables_do_not_say_is_named_with_the_command_that_says_it() -> None:
    card = card_of(replace(CARD, steps=None, patients=None, rule=None))
    assert not card.behaviour.stops and not card.behaviour.by_time
    assert len(card.missing) == 3
    assert all("abx-evaluate run=results/run card=true" in text for text in card.missing)
    assert not card_of(CARD).missing


def test_the_best_rule_of_the_summary_is_told_and_named_with_all_its_parameters() -> None:
    rule = {
        "name": "amr_threshold (threshold 1, risk 0.9)",
        "overrides": [
            *("agent_algorithm=amr_threshold", "agent_algorithm.threshold=1"),
            *("agent_algorithm.risk=0.9", "experiment=base"),
        ],
        "difference": {"mean": 23.07, "interval_95": [19.7, 26.4], "episodes": 10},
    }
    card = card_of(replace(CARD, rule=None, summary={**SUMMARY, "best_rule": rule}))
    assert "the difference on the same 10 episodes is +23.07" in card.worth[-1]
    assert "no limit of AMR, risk 0.9" in card.worth[-1], (
        "levels of resistance are in percent everywhere"
    )
    (missing,) = card.missing
    assert "no rule played" not in missing
    assert "'against={rule: amr_threshold, threshold: 1, risk: 0.9}'" in missing


def test_a_difference_over_one_episode_has_no_interval() -> None:
    difference = {"mean": -39.3, "interval_95": [None, None], "episodes": 1}
    rule = {"name": "never", "overrides": ["agent_algorithm=never"], "difference": difference}
    card = card_of(replace(CARD, rule=None, summary={**SUMMARY, "best_rule": rule}))
    assert "the difference on the same episode is −39.30." in card.worth[-1]
    assert "None" not in card.worth[-1]
    assert "interval" not in card.worth[-1]


def test_a_table_that_counts_no_outcomes_has_no_card() -> None:
    with pytest.raises(InputError, match="lacks failures"):
        card_of(replace(CARD, episodes=EPISODES.drop(columns="failures")))


def report(**visible: float) -> dict[str, object]:
    return {"environment": {"visible_amr": visible}}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (report(update_every_n_time_steps=1), "without error and at every step"),
        (
            report(update_every_n_time_steps=90, noise_std=0.2, bias=-0.2),
            "renewed every 90 steps, with a random error of 20 points (standard deviation) and "
            "20 points too low",
        ),
        ({"environment": {"include_time_remaining": True}}, "How much of the simulated episode"),
        (
            {
                "patient_generator": {
                    "visible_patient_attributes": ["prob_infected"],
                    "prob_infected": {"distribution": {"type": "gaussian"}},
                }
            },
            "exact probability of an infection",
        ),
        (
            {
                "patient_generator": {
                    "visible_patient_attributes": ["prob_infected"],
                    "prob_infected": {
                        "distribution": {"type": "gaussian"},
                        "observation": {"bias_multiplier": 0.5, "noise_std": 0.1},
                    },
                }
            },
            "An estimate of each patient's probability of an infection (times 0.5, with a random",
        ),
    ],
)
def test_a_card_says_what_was_known_that_a_clinic_may_not_know(config: dict, words: str) -> None:
    assert any(words in sentence for sentence in known_to(config))


def test_a_card_says_where_it_was_trained_and_by_which_episodes_it_was_chosen() -> None:
    trained = {**CONFIG, "training": {"evaluation_seed": 3, "total_num_training_episodes": 25}}
    learned = {"trained_with_seed": 42}
    same = " ".join(limits_of(CONFIG, SUMMARY, learned, trained))
    assert "the figures may flatter it" in same and "seed 42, at most 25 episodes" in same
    assert "the very clinic that it was trained in" in same
    other = {**trained, "environment": {"num_patients_per_time_step": 9, "max_time_steps": 40}}
    moved = " ".join(limits_of(CONFIG, {**SUMMARY, "evaluation_seed": 1}, learned, other))
    assert "environment.num_patients_per_time_step 9 -> 4" in moved
    assert "were not used to choose anything" in moved
    assert "cannot be said" in " ".join(limits_of(CONFIG, SUMMARY, learned, None))


MARKUP = re.compile(r"(?<!\\)[`*\[\]]|(?<![\\&])#|[<>]|(?<!\\)\||\x1b|\u202e|http://")


def test_names_of_users_are_text_in_the_card() -> None:
    card = card_of(CARD)
    written = as_markdown(card)
    assert "<img" not in written and "alert(1)&gt;" in written
    assert "\x1b" not in written and "\u202e" not in written
    cells = [row for row in written.splitlines() if row.startswith("|")]
    assert {row.count("|") for row in cells} <= {4, 6, 7}, "no name opens a cell of its own"
    assert written.splitlines()[0].startswith("# Policy card: &lt;img")
    assert not [row for row in written.splitlines() if row.startswith("# b")]


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_escaped_text_has_no_markup_and_says_the_same(text: str) -> None:
    escaped = escape(text)
    assert not MARKUP.search(escaped)
    assert "\n" not in escaped
    shown = html.unescape(re.sub(r"\\(.)", r"\1", escaped))
    assert shown == printable(text)
    for cell in (line(text), *table(["a"], [[text]])[2:]):
        assert not re.match(r"([-+=]|\d+[.)])\s", cell)


def test_the_card_is_written_beside_the_evaluation_and_stands_on_its_page(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "card")
    folder.write_config(CONFIG)
    folder.write_provenance({})
    folder.append_evaluation(0, PLAYED.episodes)
    folder.write_trajectories(STEPS, PATIENTS)
    folder.add_compared("greedy", RULE.to_frame())
    folder.add_compared("greedy", RULE.to_frame())
    folder.write_summary({**SUMMARY, "against": {"name": "greedy"}})
    assert len(pd.read_csv(folder.compared_file)) == 5
    written = write_card(folder.path)
    assert written == folder.path / "card.md"
    assert "from the rule greedy on the same patients" in written.read_text()
    page = page_of(RunSubject(folder.path, has_figures=False))
    sections = {section.name: str(section.content) for section in page.sections}
    assert not page.notes, page.notes
    assert "while its reported resistance is at most" in sections["Policy card"]
    assert "greedy" in sections["Outcomes"] and "better" in sections["Outcomes"]
    assert "<img" not in page.html()
    assert json.loads(folder.summary_file.read_text())["against"] == {"name": "greedy"}


def test_the_end_game_is_told_apart_from_the_steps_before_it() -> None:
    """Treated at most at 10 % before step 61 of 80, and everybody at whatever level after it."""
    step = np.arange(1, 81)
    level = np.where(step <= 60, 0.02 * (step % 10), 0.5 + step / 200)
    seen = np.concatenate([[0.0], level[:-1]])
    given = np.where(step <= 60, np.where(seen < 0.09, 1, 0), 4)
    table = pd.DataFrame(
        {name: 0 for name in STEPS if "B" not in name and HOSTILE not in name}, index=step
    )
    table = table.assign(step=step, visible_amr_A=level, true_amr_A=level, prescriptions_A=given)
    table = table.assign(treated_infected_sensitive=given, untreated_infected=4 - given)
    steps = pd.concat([table.assign(episode=number) for number in range(40)])
    episodes = EPISODES[[c for c in EPISODES if HOSTILE not in c]]
    found = behaviour_of(episodes, steps, None, sees_time=True)
    assert found.ending is not None and found.ending[1].treated > 0.9
    assert abs(int(found.ending[1].who.split()[1]) - 61) <= 2
    (stop,) = found.stops
    assert stop.between == pytest.approx((0.08, 0.1))
    assert stop.below == pytest.approx(0.25, abs=0.03) and stop.above == 0.0
    said = " ".join(sentences_of(found))
    assert (
        "of patients while its reported resistance is at most 8 %, and to 0 % from 10 % on." in said
    )
    assert "High resistance and the end of the episode coincide" in said
    assert found.by_level is not None and "end game" in found.by_level["A"][-1].who
    assert behaviour_of(episodes, steps, None).ending is None


@pytest.mark.parametrize(
    ("treated", "words"),
    [
        ((0.586, 0.485, 0.468, 0.440, 0.408), "parts of an episode the share that it treats falls"),
        ((0.41, 0.40, 0.41, 0.40, 0.41), "It treats alike all the time"),
    ],
)
def test_a_share_that_falls_little_by_little_is_not_called_alike(
    treated: tuple[float, ...], words: str
) -> None:
    parts = [Share(who=f"part {i}", patients=100, given={"A": t}) for i, t in enumerate(treated)]
    (sentence,) = _at_the_end(parts)
    assert words in sentence
