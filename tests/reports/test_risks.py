"""A study says in which states its winner treats, and what its gap to the optimum is made of."""

from pathlib import Path
from typing import Any

import pytest

from abx_amr.agents.rules import AmrThreshold
from abx_amr.evaluation.episodes import evaluate
from abx_amr.reports.checkpoints import weights_in_words
from abx_amr.reports.risks import by_part, by_risk, by_risk_of
from abx_amr.reports.sections import run_gap, study_trials
from abx_amr.reports.sections.study_treating import told_of
from abx_amr.reports.sources_of_gap import computing_command, sources_in_words
from abx_amr.reports.subjects import StudySubject
from tests.clinics import clinic_model, mixture, population
from tests.reports.studies import SPACE, write_study

CAME = [[100, 100], [100, 100], [100, 100], [100, 100]]


def treated(given: list[list[int]]) -> dict[str, Any]:
    """Return counts by four bands of risk and two of the level, of a single antibiotic."""
    cells = {"patients": CAME, "given": given}
    return {
        "by_risk": {
            "ends": [0.0, 0.2, 0.4, 0.8, 1.0],
            "levels": [0.0, 0.1, 1.0],
            "antibiotics": {"A": cells},
            "any": cells,
        }
    }


def test_a_threshold_of_risk_is_told_that_does_not_hang_on_the_resistance() -> None:
    (said,) = told_of(treated([[0, 0], [2, 0], [10, 6], [90, 80]]))
    assert said == (
        "It treats most patients above about 80 % observed risk of infection, at whatever visible "
        "AMR it met (over all levels 85 % of those above 80 %, 3 % below it)."
    )


def test_a_threshold_of_risk_that_rises_with_the_resistance_is_told_by_level() -> None:
    (said,) = told_of(treated([[0, 0], [80, 0], [90, 6], [90, 80]]))
    assert (
        "hangs on the visible AMR of the least resisted antibiotic: most patients above about "
        in said
    )
    assert "20 % observed risk of infection while that is below 10 %" in said
    assert "and above about 80 % while that is 10 % to 100 %" in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[0, 0], [0, 0], [5, 5], [40, 30]], "treats most patients at no observed risk"),
        ([[60, 70], [90, 90], [95, 95], [99, 99]], "treats most patients at every observed risk"),
    ],
)
def test_who_treats_few_or_nearly_all_is_told_as_such(given: list[list[int]], said: str) -> None:
    assert said in told_of(treated(given))[0]


def test_counts_by_risk_that_are_damaged_or_of_one_risk_are_not_told() -> None:
    whole = treated(CAME)
    for broken in (
        {**whole["by_risk"], "ends": ["x"]},
        {**whole["by_risk"], "any": {"patients": CAME, "given": [[1]]}},
        {**whole["by_risk"], "antibiotics": {"A": None}},
        {
            **whole["by_risk"],
            "any": {"patients": [[0, 0], [0, 0], [0, 0], [9, 9]], "given": CAME},
        },
    ):
        assert by_risk({"by_risk": broken}) is None
    assert by_part({"by_part": [{"given": {"A": "many"}}]}) == []


def test_tables_of_an_evaluation_tell_the_threshold_of_a_rule_that_treats_by_risk() -> None:
    people = mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.8))
    model = clinic_model({"A": (0.3, 5.0, -2.0, 0.1)}, patients=3, steps=40, people=people)
    rule = AmrThreshold(model, threshold=1.0, risk=0.5)
    played = evaluate(rule, model, episodes=3, seed=0, trajectories=True)
    found = by_risk_of(played.patients_frame(), played.trajectories_frame())
    assert found is not None
    assert found.patients.sum() == 3 * 3 * 39, "what was seen before the first step is not known"
    assert found.sentence().startswith("It treats most patients above about 80 % observed risk")
    assert "100 % of those above 80 %, 0 % below it" in found.sentence()


GAP: dict[str, Any] = {
    "total": 100.0,
    "reference": "optimum",
    "parts": [
        {"name": "unseen_time", "value": 5.0, "why_missing": None, "from": -10.0, "to": -15.0},
        {
            "name": "discount",
            "value": 0.6,
            "why_missing": None,
            "from": -15.0,
            "to": -15.6,
            "between": [[0.998, -15.2], [0.999, -16.0]],
        },
        {"name": "learning", "value": 94.4, "why_missing": None, "from": -15.6, "to": -110.0},
    ],
    "references": {"own_discount": 0.9986},
}


def test_a_gap_that_is_not_learned_is_told_as_such_beside_what_the_discount_costs_about() -> None:
    said = sources_in_words(GAP, "abx-plan")
    assert said is not None
    assert "“discounting” about 0.60" in said
    assert "taken between 0.20 of gamma 0.998 and 1.00 of 0.999" in said
    assert "So nearly all of it is that a better policy was not learned." in said
    assert said.endswith("A larger discount factor could win back about 0.60 of it at most.")


def test_bar_row_and_sentence_of_a_gap_call_what_is_not_told_apart_the_same() -> None:
    plan = "abx-plan experiment=mine agent_algorithm.gamma=0.9986"
    told = f"not computed: it takes a while; {plan} does, and keeps it"
    unknown = {"name": "discount", "value": None, "why_missing": told, "from": None, "to": None}
    parts = [GAP["parts"][0], unknown, GAP["parts"][2]]
    names = [run_gap.name_of(part, is_told=False) for part in parts]
    assert names == ["the end is not seen", "discounting", "not told apart"]
    row = run_gap.row_of(parts[2], GAP, ["“discounting”"], "abx-plan")
    assert row[0] == names[2] and row[3] == "“discounting” and what is not learned"
    why = run_gap.row_of(unknown, GAP, ["“discounting”"], "abx-plan")[3]
    assert "abx-plan" not in why and "“Repeat it, go on” has the command" in why
    assert computing_command({"parts": parts}, "abx-plan") == plan


def test_the_trial_of_the_default_s_settings_is_named_among_the_trials(tmp_path: Path) -> None:
    subject = StudySubject(write_study(tmp_path, n_trials=3, n_seeds=1), has_figures=False)
    assert study_trials.default_trial(subject) is None
    tried = subject.trials[subject.trials["number"] == 1].to_dict("records")[0]
    own = {name: tried[f"params.agent_algorithm.{name}"] for name in SPACE}
    subject.__dict__["config"] = {**subject.config, "agent_algorithm": own}
    assert study_trials.default_trial(subject) == 1
    assert ">1 (default)<" in str(study_trials.render(subject))


def test_settings_that_the_same_episodes_may_have_chosen_are_said_to_be_flattered() -> None:
    config = {"training": {"evaluation_seed": 0}}
    found = {"transitions": 9, "mean_return": -5.0, "best_return": -5.0, "evaluation_seed": 0}
    said = str(weights_in_words(config, found, {"best_params_from": "mine"}))
    assert "its settings were chosen by the study mine" in said and "flatters the settings" in said
    assert "chosen by the study" not in str(weights_in_words(config, found, {}))
    other = {**found, "evaluation_seed": 7}
    assert "by the study" not in str(weights_in_words(config, other, {"best_params_from": "mine"}))
