"""The gap to the optimum in summaries, and the discount audit before a training."""

import json
from pathlib import Path

import pytest

from abx_amr.cli import evaluate as evaluate_door
from abx_amr.cli import train as train_door
from abx_amr.cli import tune as tune_door
from abx_amr.planning.cache import Reference, reference
from abx_amr.planning.gap import gap_line
from tests.cli.conftest import SMALL, SMALL_STUDY
from tests.clinics import clinic_model, crowded_model, default_clinics, population

CLINICS = default_clinics()


def summary() -> dict:
    (file,) = Path().glob("results/*/summary.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_an_evaluation_says_how_far_from_the_optimum_it_is(call):
    ended = call(
        evaluate_door.main,
        "agent_algorithm=never",
        "experiment=paper_single",
        "environment.max_time_steps=40",
        "evaluation.episodes=400",
        "figures=false",
    )
    assert ended.status == 0, ended.err
    assert "optimality gap" in ended.out
    found = summary()
    assert found["optimality_gap"] == pytest.approx(found["optimum"] - found["mean_return"])
    assert found["share_of_range"] == pytest.approx(0.0, abs=0.1)
    assert found["optimum_note"] is None


def test_a_large_clinic_has_bounds_at_once_and_a_larger_one_is_sent_to_abx_plan():
    known = reference(CLINICS["two"]).gap(-400.0)
    assert known["optimality_gap"] > 0
    large = reference(crowded_model())
    assert large.gap(-300.0)["optimality_gap"] is None
    assert "run first: abx-plan" in large.reason


@pytest.mark.parametrize("patients", [1, 2])
def test_a_clinic_without_an_exact_optimum_is_sent_to_abx_plan_for_bounds(patients):
    drugs = {name: (0.1 + 0.0371 * n, 20.0, -0.5, 0.1) for n, name in enumerate("ABC")}
    people = population(sigma=0.2)
    note = reference(clinic_model(drugs, patients=patients, people=people)).reason
    assert note is not None
    assert "run first: abx-plan" in note


def test_bounds_that_are_quickly_known_are_what_a_gap_is_measured_from():
    clinic = clinic_model({"A": (0.2, 20.0, -0.5, 0.1)}, steps=20, people=population(sigma=0.2))
    known = reference(clinic)
    gap = known.gap(known.never)
    bounds = f"{known.optimum.lower:.2f} and {known.optimum.upper:.2f}"
    assert gap["optimum_note"] == f"upper bound: optimum between {bounds}"
    assert gap["share_of_range"] == pytest.approx(0.0, abs=1e-9)
    assert gap_line(gap).startswith(f"optimality gap {gap['optimality_gap']:.2f} to the upper")


def test_the_best_trial_of_a_study_has_its_gap(call):
    ended = call(
        tune_door.main,
        *SMALL_STUDY,
        "experiment=paper_single",
        "run_name=small",
        "tuning.n_trials=2",
    )
    assert ended.status == 0, ended.err
    found = json.loads(Path("optimization/small/study_summary.json").read_text(encoding="utf-8"))
    best = found["best_trial"]
    assert best["optimality_gap"] == pytest.approx(best["optimum"] - best["mean_reward"])
    assert "optimality gap" in ended.out


def test_a_short_sighted_agent_is_warned_before_it_is_trained(call):
    ended = call(
        train_door.main,
        *SMALL,
        "experiment=paper_single",
        "agent_algorithm.gamma=0.99",
        "environment.max_time_steps=400",
        "training.total_num_training_episodes=1",
        "training.num_eval_episodes=2",
    )
    assert ended.status == 0, ended.err
    assert "gamma 0.99 alone costs a perfect learner" in ended.out + ended.err


def test_a_clinic_where_nothing_can_be_gained_has_no_share():
    hopeless = {"A": (0.2, 50.0, -90.0, 1.0)}
    found = reference(clinic_model(hopeless, steps=5)).gap(-1.0)
    assert found["share_of_range"] is None
    assert found["optimum"] == pytest.approx(-5 * 0.8 * 10 / 90)  # never treating
    assert found["optimality_gap"] == pytest.approx(found["optimum"] + 1.0)


def test_a_clinic_without_an_optimum_says_why():
    model = crowded_model()

    class Own(type(model.dynamics)):
        pass

    model.dynamics.__class__ = Own
    assert "not computed for Own dynamics" in reference(model).gap(0.0)["optimum_note"]


def test_no_reason_is_lost():
    assert Reference(optimum=None, never=None, reason="because").gap(0.0) == {
        "optimality_gap": None,
        "share_of_range": None,
        "optimum": None,
        "optimum_note": "because",
    }


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Keep plans of a test in its own folder."""
    monkeypatch.chdir(tmp_path)


TELLS = " agent_algorithm.gamma=0.996 tells what gamma"
NOT_AUDITED = (*SMALL, "training.total_num_training_episodes=1", "training.num_eval_episodes=2")


def test_the_audit_to_be_pasted_is_that_of_a_resumed_run_s_clinic(call):
    clinic = ("patient_generator=high_risk", "reward_calculator.lambda_weight=0.25")
    text = "abx-plan environment.max_time_steps=16 " + " ".join(clinic) + TELLS
    ended = call(train_door.main, *NOT_AUDITED, *clinic, "run_name=first")
    assert ended.status == 0, ended.err
    assert text in ended.out + ended.err
    for source, name in (("first", "second"), ("second", "third")):
        more = ("training.additional_episodes=2", f"run_name={name}", *SMALL[-2:])
        ended = call(train_door.main, f"resume_from={source}", *more)
        assert ended.status == 0, ended.err
        assert text in ended.out + ended.err


def test_the_audit_to_be_pasted_is_that_of_a_member_s_clinic(call):
    members = ("-m", "patient_generator=high_risk,low_risk")
    ended = call(train_door.main, *members, *NOT_AUDITED)
    assert ended.status == 0, ended.err
    for name in ("high_risk", "low_risk"):
        text = f"abx-plan patient_generator={name} environment.max_time_steps=16{TELLS}"
        assert text in ended.out + ended.err
