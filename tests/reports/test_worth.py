"""What a reader takes home: the expectation before the luck, resistance, how rules were tuned."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from abx_amr.reports.members import differing
from abx_amr.reports.sections import plan_policies
from abx_amr.reports.sections.run_gap import in_expectation
from abx_amr.reports.sections.run_returns import policies_of
from abx_amr.reports.sections.run_verdict import render as verdict
from abx_amr.reports.sections.set_repeat import shared_facts
from abx_amr.reports.subjects import PlanSubject, RunSubject, SetSubject
from abx_amr.reports.tuned_rule import tuning_in_words
from tests.reports.runs import AGREEMENT, GAP, PROVENANCE, RULE, write_plan, write_run
from tests.reports.test_page import Seen, html_of

NAME = RULE["name"]
TUNING = {
    "rules": ["never", "greedy", "amr_threshold", "cycling"],
    "thresholds": [0.002, 0.5, 1.0],
    "risks": [0.0, 0.9],
    "periods": [3, 80],
    "seed": 988_001,
    "search_episodes": 8,
    "choice_episodes": 128,
    "is_exact": True,
}
EXPECTED: dict[str, Any] = {
    "agreement": {
        **AGREEMENT,
        "expected_gap": 4.0,
        "expected_gap_interval_95": [3.0, 5.0],
    },
    "best_rule": {
        **RULE,
        "expected": {
            name: {"mean": mean, "standard_error": 0.0} for name, mean in RULE["candidates"].items()
        },
        "final_amr": {"A": 0.0075, "B": 0.5},
        "tuning": TUNING,
    },
    "evaluation_episodes": 10,
}
CLINIC = {
    "environment": {"num_patients_per_time_step": 2, "max_time_steps": 9},
    "antibiotics": {"drugs": {"A": {}, "B": {}}},
}


def run(tmp_path: Path, **summary: Any) -> RunSubject:
    folder = write_run(tmp_path, summary={**EXPECTED, **summary})
    return RunSubject(folder.path, has_figures=False)


def test_the_expectation_is_told_first_and_the_ten_episodes_as_luck(tmp_path: Path) -> None:
    text = Seen(html_of(run(tmp_path))).text
    said = text.index("earns −55.83 per episode in expectation (95 % interval −56.83 to −54.83)")
    luck = text.index("In 10 episodes of evaluation seed 0 its mean return was −54.28")
    assert said < luck < text.index("the luck of ten episodes")
    assert text.index("expected return") < text.index("mean return of 10 episodes, with their luck")
    assert "the difference is +23.21 (22.21 to 24.21)" in text  # −55.83 less −79.04


def test_a_few_episodes_without_an_expectation_are_called_luck(tmp_path: Path) -> None:
    text = Seen(html_of(run(tmp_path, agreement=None))).text
    assert "per episode in expectation" not in text
    assert "So few episodes leave much to luck" in text
    more = Seen(html_of(run(tmp_path / "more", agreement=None, evaluation_episodes=500))).text
    assert "leave much to luck" not in more


def test_a_rule_that_is_the_best_one_is_not_told_twice(tmp_path: Path) -> None:
    same = {"name": NAME, "mean": 24.76, "interval": [22.1, 27.4]}
    text = Seen(str(verdict(run(tmp_path, against=same)))).text
    assert text.count(f"than the best tuned rule, {NAME}") == 1
    assert text.count(f"against {NAME}") == 1
    other = Seen(str(verdict(run(tmp_path / "o", against={**same, "name": "greedy"})))).text
    assert "It is better than greedy" in other


def test_policies_are_compared_by_expectation_where_it_is_known_of_all(tmp_path: Path) -> None:
    table, is_expected = policies_of(run(tmp_path))
    assert is_expected
    table = table.set_index("name")
    assert table.loc["first", ["value", "played"]].tolist() == pytest.approx([-55.83, -54.28])
    assert table.loc["never", "value"] == -281.75
    unknown = {**EXPECTED["best_rule"], "expected": {}}
    table, is_expected = policies_of(run(tmp_path / "unknown", best_rule=unknown))
    assert not is_expected
    assert table.set_index("name").loc["first", "value"] == pytest.approx(-54.28)


def test_parts_of_a_gap_add_up_to_it_in_expectation() -> None:
    whole = [{**part, "value": part["value"] or 0.0} for part in GAP["parts"]]
    told = {"optimum": -51.83, "agreement": EXPECTED["agreement"]}
    found = in_expectation({**GAP, "parts": whole}, told)
    assert found["total"] == pytest.approx(4.0)
    assert sum(part["value"] for part in found["parts"]) == pytest.approx(4.0)


def test_the_verdict_says_resistance_in_percent_against_the_best_rule(tmp_path: Path) -> None:
    subject = run(tmp_path)
    levels = subject.final["final_true_amr_A"].mean()
    text = Seen(str(verdict(subject))).text
    assert f"{100 * levels:.0f} % of infections resist A" in text
    assert "Under the best rule" in text and "0.75 % resist A and 50 % resist B." in text


def test_a_page_says_how_the_best_rule_was_tuned_and_that_it_had_no_look() -> None:
    best = {**RULE, "tuning": TUNING}
    text = tuning_in_words(best, evaluation_seed=0)
    assert text is not None
    assert "3 thresholds from 0.2 % to 100 %" in text and "2 periods from 3 to 80" in text
    assert "seed 988001: those of this evaluation (seed 0) had no part in it" in text
    same = tuning_in_words(best, evaluation_seed=988_001)
    assert same is not None and "no part" not in same and "Beware" in same
    assert tuning_in_words(RULE, evaluation_seed=0) is None


def test_the_optimum_has_a_row_among_the_policies_of_a_plan(tmp_path: Path) -> None:
    text = Seen(
        str(plan_policies.render(PlanSubject(write_plan(tmp_path), has_figures=False)))
    ).text
    assert "optimum optimum −51.83 exact 0.00 100.0 %" in text
    assert text.index("optimum optimum") < text.index("first agent")


def set_of(tmp_path: Path) -> SetSubject:
    rows = []
    for n, gamma in enumerate(("0.9", "0.99")):
        config = {**CLINIC, "agent_algorithm": {"_target_": "a.PPO", "gamma": float(gamma)}}
        command = {**PROVENANCE, "command": f"abx-train gamma={gamma}"}
        name = f"g{n}"
        folder = write_run(tmp_path, name=name, config=config, provenance=command)
        rows.append(
            {"run": name, "clinic": "c", "condition": name, "path": str(folder.path), "seed": 1}
            | {"return": -float(n), "return_std": 1.0, "gap": 1.0, "mean_amr": 0.1, "steps": 9}
            | {"experiment": "e", "agent_algorithm": "ppo", "agent_algorithm.gamma": gamma}
        )
    runs = pd.DataFrame(rows)
    conditions = pd.DataFrame(
        {
            **{"clinic": ["c"] * 2, "condition": ["g0", "g1"], "learns": [True] * 2},
            **{"runs": [1, 1], "seeds": [1, 1], "mean": [0.0, -1.0], "iqm": [0.0, -1.0]},
            **{"mean_low": [np.nan] * 2, "mean_high": [np.nan] * 2, "gap": [1.0, 2.0]},
            **{"prescriptions": [1.0] * 2, "optimum": [1.0] * 2, "final_amr": [0.3, 0.2]},
        }
    )
    tables = {"runs": runs, "conditions": conditions}
    return SetSubject(path=tmp_path, name="set", tables=tables, has_figures=False)


def test_a_set_says_its_clinic_what_differs_and_how_it_is_repeated(tmp_path: Path) -> None:
    text = Seen(html_of(set_of(tmp_path))).text
    assert "The clinic: antibiotics A and B, 2 patients at each of 9 steps" in text
    assert "agent_algorithm.gamma = 0.9" in text and "agent_algorithm.gamma = 0.99" in text
    assert "g0 abx-train gamma=0.9" in text and "g1 abx-train gamma=0.99" in text
    assert "26aabb0f26aa" in text and "made with local changes" in text
    assert "30 % of infections are resistant" in text
    best = next(tmp_path.glob("g0_*"))
    assert f"abx-report {best}" in text, "it is found wherever the results lie"
    assert f"abx-gather results_dir={tmp_path}" in text


def test_a_set_whose_agents_see_different_things_of_the_clinic_says_so(tmp_path: Path) -> None:
    subject = set_of(tmp_path)
    assert "the true resistance is seen" in Seen(html_of(subject)).text
    config = subject.members[-1].config
    environment = {**config["environment"], "include_time_remaining": True}
    subject.members[-1].__dict__["config"] = {**config, "environment": environment}
    text = Seen(html_of(subject)).text
    assert (
        "the agents differ in what they see: the true resistance, or the true resistance and the "
        "time that is left." in text
    )


def test_facts_in_which_runs_differ_are_told_with_each_value(tmp_path: Path) -> None:
    members = set_of(tmp_path).members
    members[1].__dict__["provenance"] = {**PROVENANCE, "versions": {"torch": "9.9"}}
    assert dict(shared_facts(members))["torch"] == "2.13.0, 9.9 (runs differ)"


def test_what_follows_from_a_choice_is_no_difference_of_its_own() -> None:
    runs = pd.DataFrame(
        {
            "condition": ["p", "p", "r"],
            "agent_algorithm": ["ppo", "ppo", "greedy"],
            "agent_algorithm.gamma": ["0.9", "0.9", None],
            "training.n_envs": ["1", "1", "2"],
        }
    )
    assert differing(runs) == {
        "p": {"agent_algorithm": "ppo", "training.n_envs": "1"},
        "r": {"agent_algorithm": "greedy", "training.n_envs": "2"},
    }
