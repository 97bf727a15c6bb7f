"""abx-plan: the table, the cache, the audit, the front, and what a user gets wrong."""

import json
from pathlib import Path

import pytest

from abx_amr.cli import evaluate as evaluate_door
from abx_amr.cli import plan as plan_door
from abx_amr.cli import train as train_door

SMALL = ("experiment=paper_single", "environment.max_time_steps=60", "figures=false")


def only(pattern: str) -> Path:
    (path,) = Path().glob(pattern)
    return path


def content() -> dict:
    return json.loads(only("results/paper_single_plan_*/plan.json").read_text(encoding="utf-8"))


def test_the_plan_shows_optimum_rules_and_audit_and_keeps_them(call):
    ended = call(plan_door.main, *SMALL)
    assert ended.status == 0, ended.err
    assert "at most" in ended.out.splitlines()[0]  # said beforehand
    assert ended.err == ""  # no terminal: no display
    found = content()
    assert found["optimum"]["is_exact"]
    assert all(
        row["optimality_gap"] >= -1e-9 for row in found["policies"] if row["name"] != "random"
    )
    (never,) = [row for row in found["policies"] if row["name"] == "never"]
    assert never["share_of_range"] == pytest.approx(0.0)
    assert found["audit"]["agent_gamma"] == 0.996
    assert len(list(Path(".abx/plans").glob("*.json"))) == 1


def test_a_clinic_that_was_planned_is_not_planned_again(call, monkeypatch):
    quick = (*SMALL, "plan.rules=false", "plan.audit=false")
    first = call(plan_door.main, *quick)
    monkeypatch.setattr(
        "abx_amr.planning.cache.optimum", lambda *a, **k: pytest.fail("computed again")
    )
    again = call(plan_door.main, *quick, "agent_algorithm.gamma=0.5")
    assert (first.status, again.status) == (0, 0), again.err


def test_the_front_and_the_value_of_information_are_drawn_and_written(call):
    ended = call(
        plan_door.main,
        "experiment=paper_single",
        "environment.max_time_steps=30",
        "plan.front=true",
        "plan.lambda_weights=[0.0,0.5,1.0]",
        "plan.information=true",
        "plan.audit=false",
    )
    assert ended.status == 0, ended.err
    found = content()
    benefits = [point["individual"] for point in found["front"]]
    levels = [point["mean_amr"] for point in found["front"]]
    assert found["max_time_steps"] == 30
    assert benefits == sorted(benefits, reverse=True)
    assert levels == sorted(levels, reverse=True)
    assert [row["name"] for row in found["information"]][:2] == [
        "patients as they are shown",
        "nothing seen of patients",
    ]
    figures = only("results/paper_single_plan_*/figures")
    drawn = {file.name for file in figures.glob("*.png")}
    assert drawn == {"optimal_policy.png", "stewardship_front.png"}


def test_the_optimal_policy_is_played_by_the_evaluation(call):
    ended = call(
        evaluate_door.main,
        "experiment=paper_single",
        "agent_algorithm=optimal",
        "environment.max_time_steps=60",
        "evaluation.episodes=4",
        "figures=false",
    )
    assert ended.status == 0, ended.err


OWN = """
from abx_amr.simulator.dynamics import LeakyBalloon

class Own(LeakyBalloon):
    pass
"""


def test_a_clinic_without_an_optimum_still_shows_its_rules(call, monkeypatch):
    Path("own_dynamics.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(".")
    ended = call(
        plan_door.main,
        "experiment=paper_crowded",
        "amr_dynamics._target_=own_dynamics.Own",
        "environment.max_time_steps=4",
        "plan.episodes=2",
        "figures=false",
    )
    assert ended.status == 0, ended.err
    assert "no optimum: the optimum is not computed for Own dynamics" in ended.out
    assert "amr_threshold" in ended.out


CROWDED = ("experiment=paper_crowded", "environment.max_time_steps=6", "figures=false")


def test_a_clinic_that_no_lattice_holds_has_bounds_an_audit_and_a_gap_elsewhere(call):
    asked = ("plan.gammas=[0.5]", "agent_algorithm.gamma=0.9", "plan.episodes=4")
    ended = call(plan_door.main, *CROWDED, *asked)
    assert ended.status == 0, ended.err
    assert "s of a processor for the first bounds, at most" in ended.out.splitlines()[0]
    assert "optimum between" in ended.out
    (path,) = Path().glob("results/paper_crowded_plan_*/plan.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    bounds = found["optimum"]
    assert bounds["lower"] < bounds["upper"]
    assert bounds["confidence"] == 0.95
    assert bounds["upper"] - bounds["lower"] <= 0.02 * (bounds["upper"] - found["never"])
    assert [row["gamma"] for row in found["audit"]["rows"]] == [0.5, 0.9]
    assert any(row["name"].startswith("level and worth") for row in found["policies"])
    ended = call(evaluate_door.main, *CROWDED, "agent_algorithm=greedy", "evaluation.episodes=2")
    said = f"between {bounds['lower']:.2f} and {bounds['upper']:.2f}"
    assert said in ended.out
    ended = call(evaluate_door.main, *CROWDED, "agent_algorithm=optimal", "evaluation.episodes=2")
    assert ended.status == 0, ended.err


def test_an_interrupt_prints_what_is_known_until_then(call, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("abx_amr.planning.service.rule_values", interrupted)
    ended = call(plan_door.main, *CROWDED, "plan.audit=false")
    assert ended.status == 130
    assert "optimum between" in ended.out
    assert "interrupted" in ended.err
    assert not Path("results").exists()


def test_a_notebook_gets_the_plan_as_an_object():
    import abx_amr

    small = ("environment.max_time_steps=10", "plan.audit=false", "plan.episodes=2")
    found = abx_amr.plan("experiment=paper_single", *small)
    assert found.optimum is not None
    assert found.optimum.is_exact
    assert found.never < found.optimum.value
    names = {row["name"] for row in found.policies}
    assert {"never", "greedy"} <= names
    assert found.to_dict()["clinic"] == "paper_single"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("plan.gammas=[1.5]", "plan.gammas[0] must be a number in (0, 1), got 1.5"),
        ("plan.lambda_weights=[-1]", "plan.lambda_weights[0] must be a number in [0, 1], got -1"),
        ("plan.tolerance=0", "plan.tolerance must be a number in (0, 1], got 0"),
        ("plan.episodes=0", "plan.episodes must be a whole number of at least 2, got 0"),
        ("plan.fornt=true", "plan.fornt does not exist; did you mean 'front'?"),
        ("+plan.fornt=true", "plan.fornt is unknown to PlanSettings; did you mean 'front'?"),
        ("plan.runs=[nobody]", "run 'nobody' does not exist"),
        ("plan_cache=[1]", "plan_cache must be a folder, such as plan_cache=plan_cache, got ['1']"),
        ("plan=3", "plan must be a section of the configuration, got 3"),
    ],
)
def test_a_wrong_plan_is_one_line_and_status_2(call, wrong, text):
    ended = call(plan_door.main, *SMALL, wrong)
    assert ended.status == 2
    assert text in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("results").exists()


def test_a_trained_agent_stands_in_the_table_with_its_gap(call):
    small = (*SMALL, "training.n_envs=2", "agent_algorithm.n_steps=60")
    trained = call(
        train_door.main,
        *small,
        "training.total_num_training_episodes=2",
        "agent_algorithm.policy_kwargs.net_arch=[4]",
        "run_name=mine",
    )
    assert trained.status == 0, trained.err
    ended = call(plan_door.main, *SMALL, "plan.rules=false", "plan.audit=false", "plan.runs=[mine]")
    assert ended.status == 0, ended.err
    rows = {row["name"]: row for row in content()["policies"]}
    mine, optimum = rows["mine"], content()["optimum"]["upper"]
    assert mine["optimality_gap"] == pytest.approx(optimum - mine["value"])
    assert mine["optimality_gap"] > -4 * mine["standard_error"]
    assert "mine" in ended.out


@pytest.mark.parametrize(
    "report",
    [
        "noise_std=0.1",
        pytest.param("update_every_n_time_steps=5", marks=pytest.mark.slow),
        pytest.param("bias=0.1", marks=pytest.mark.slow),
    ],
)
def test_a_price_on_resistance_that_is_badly_reported_costs_nobody_a_finished_run(call, report):
    clinic = (
        *("experiment=paper_single", "environment.max_time_steps=10"),
        *("reward_calculator.epsilon=0.05", f"environment.visible_amr.{report}"),
        *("agent_algorithm.gamma=0.9", "figures=false", "report=false"),
    )
    training = ("training.total_num_training_episodes=1", "training.num_eval_episodes=2")
    ended = call(train_door.main, *clinic, *training, "run_name=priced")
    assert (ended.status, "optimality gap" in ended.out) == (0, True), ended.err
    greedy = [s for s in clinic if "gamma" not in s]
    ended = call(evaluate_door.main, *greedy, "agent_algorithm=greedy", "evaluation.episodes=2")
    assert ended.status == 0, ended.err
    asked = ("plan.episodes=2", "plan.front=true", "plan.information=true", "plan.gammas=[0.5]")
    ended = call(plan_door.main, *clinic, *asked, "plan.lambda_weights=[0.0,1.0]")
    assert ended.status == 0, ended.err
    assert "stewardship front" in ended.out
    assert content()["never"] is not None
