"""Where a gap comes from: parts that add up, agreement with the optimum, the best rule."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from abx_amr.agents.rules import AmrThreshold, Greedy, Never
from abx_amr.evaluation.episodes import episode_returns, evaluate
from abx_amr.planning.agreement import agreement, needs_patients
from abx_amr.planning.best_rule import RuleSearch, TunedRule, compare_with_best
from abx_amr.planning.cache import PlanCache, quick_view, reference
from abx_amr.planning.episode_discount import discounted_episode
from abx_amr.planning.gap import agreement_line, gap_line, gap_lines, gap_record
from abx_amr.planning.optimum import Optimum, optimum
from abx_amr.planning.play import never
from abx_amr.planning.policy import Optimal
from abx_amr.planning.programme import Programme
from abx_amr.planning.reachable import Known, Prescribing, Reachable, reachable
from abx_amr.planning.stationary import stationary
from abx_amr.planning.views import view
from abx_amr.runs.optimality import limits_of
from tests.clinics import clinic_model, crowded_model, default_clinics, mixture, population

CLINICS = default_clinics()
DRUG = {"A": (0.3, 5.0, -2.0, 0.1)}
TYPES = mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.9))
#: Clinics of each kind that the planner knows, small.
SMALL = {
    "paper_two": CLINICS["paper_two"],
    "five patients": clinic_model(DRUG, patients=5, steps=60),
    "two types": clinic_model(DRUG, people=TYPES, patients=2, steps=60),
    "sampled": clinic_model(DRUG, people=population(sigma=0.2), patients=2, steps=60),
}
WHO = {
    "an agent that discounts": Prescribing(sees_time=False, gamma=0.95),
    "one that sees the time": Prescribing(sees_time=True, gamma=0.95),
    "one that looks at the whole episode": Prescribing(sees_time=False),
    "one with a memory": Prescribing(sees_time=False, gamma=0.95, remembers=True),
}


def shown_late(model):
    return replace(model, visible_amr=replace(model.visible_amr, update_every_n_time_steps=10))


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    return tmp_path_factory.mktemp("plans")


def record_of(model, who, folder, *, mean_return=-30.0, rules=None):
    return gap_record(reachable(model, who, folder=folder, rules=rules), mean_return)


def parts_of(record):
    return {part["name"]: part for part in record["parts"]}


@pytest.mark.parametrize("who", WHO.values(), ids=WHO)
@pytest.mark.parametrize("clinic", SMALL)
def test_the_parts_add_up_to_the_gap_and_hang_together(clinic, who, plans):
    model = SMALL[clinic]
    found = record_of(model, who, plans, mean_return=-400.0)
    parts = [part for part in found["parts"] if part["value"] is not None]
    assert sum(part["value"] for part in parts) == pytest.approx(found["total"], abs=1e-9)
    assert parts[0]["from"] == found["references"]["optimum"]
    assert parts[-1]["to"] == -400.0
    for one, following in pairwise(parts):
        assert one["to"] == following["from"]
    for part in found["parts"]:
        assert (part["value"] is None) == bool(part["why_missing"])
    assert [part["name"] for part in found["parts"]] == [
        "unseen_time",
        "discount",
        "partial_observation",
        "learning",
    ]


def test_an_agent_as_good_as_the_optimum_has_no_parts_and_agrees_everywhere(plans):
    model = CLINICS["paper_two"]
    posed = view(model)
    best = optimum(posed).value
    found = record_of(model, Prescribing(sees_time=True), plans, mean_return=best)
    assert [part["value"] for part in found["parts"]] == [0.0, 0.0, 0.0, 0.0]
    played = evaluate(Optimal(model), model, episodes=2, seed=3, per_step=True)
    agreed = agreement(model, posed, played, folder=plans).to_dict()
    assert (agreed["share_of_states"], agreed["regret"]) == (1.0, 0.0)


@pytest.mark.parametrize("clinic", ["five patients", "two types", "sampled"])
def test_the_optimal_policy_has_no_regret_in_any_kind_of_clinic(clinic, plans):
    model = SMALL[clinic]
    posed = view(model)
    whole = needs_patients(posed)
    assert whole == (clinic != "five patients")
    played = evaluate(Optimal(model), model, episodes=3, seed=3, per_step=True, trajectories=whole)
    found = agreement(model, posed, played, folder=plans)
    assert found.agrees.all()
    assert found.regret.max() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rule", [Never, Greedy])
def test_the_regret_of_an_episode_is_the_gap_without_its_luck(rule, plans):
    """Performance difference lemma: exact where the treatments do not depend on chance."""
    model = SMALL["five patients"]
    posed = view(model)
    played = evaluate(rule(model), model, episodes=1, seed=3, per_step=True)
    found = agreement(model, posed, played, folder=plans)
    expected = RuleSearch(model, plans).found
    value = next(one.value for one in expected if one.name == rule.__name__.lower())
    gap = optimum(posed).value - value
    assert found.regret.sum() == pytest.approx(gap, abs=1e-9)


def test_the_gap_without_luck_is_near_the_exact_one_with_few_episodes(plans):
    model = CLINICS["paper_two"]
    posed = view(model)
    played = evaluate(Greedy(model), model, episodes=20, seed=3, per_step=True)
    found = agreement(model, posed, played, folder=plans).to_dict()
    low, high = found["expected_gap_interval_95"]
    exact = optimum(posed).value - next(
        one.value for one in RuleSearch(model, plans).found if one.name == "greedy"
    )
    assert low - 0.5 <= exact <= high + 0.5
    luck = played.returns.std(ddof=1)
    assert high - low < 0.2 * luck  # the mean return itself is far less sure
    assert found["expected_gap"] == pytest.approx(found["regret"] * model.max_time_steps)


def test_one_episode_has_no_interval(plans):
    model = SMALL["five patients"]
    played = evaluate(Greedy(model), model, episodes=1, seed=3, per_step=True)
    found = agreement(model, view(model), played, folder=plans).to_dict()
    assert found["expected_gap_interval_95"] == [None, None]
    assert "95 %" not in agreement_line(found)


def test_regret_by_level_holds_every_state_once(plans):
    model = CLINICS["paper_two"]
    played = evaluate(Greedy(model), model, episodes=2, seed=3, per_step=True)
    found = agreement(model, view(model), played, folder=plans).to_dict()
    for antibiotic in model.antibiotics:
        rows = [row for row in found["by_level"] if row["antibiotic"] == antibiotic]
        share = [row["share_of_states_visited"] for row in rows]
        assert sum(share) == pytest.approx(1.0)
        mean = sum(row["regret"] * s for row, s in zip(rows, share, strict=True))
        assert mean == pytest.approx(found["regret"])
    assert found["regret"] > 0


def test_an_agent_that_sees_the_time_and_discounts_lies_between_never_and_the_optimum():
    for clinic in ("five patients", "two types", "sampled"):
        posed = view(SMALL[clinic])
        best = optimum(posed).value
        short, far = (discounted_episode(posed, gamma) for gamma in (0.5, 0.999))
        assert never(posed.problem) < short < far <= best + 1e-9
        assert far == pytest.approx(best, rel=0.02)


def test_who_sees_the_time_loses_less_to_its_discount_than_who_does_not():
    posed = view(SMALL["five patients"])
    unseen = stationary(Programme(posed.problem), 0.95).episode_return
    assert discounted_episode(posed, 0.95) > unseen


def test_late_reports_are_a_part_of_their_own_where_a_rule_with_that_view_is_known(plans):
    model = shown_late(CLINICS["paper_two"])
    rules = RuleSearch(model, plans)
    found = record_of(model, Prescribing(sees_time=False), plans, rules=rules, mean_return=-200.0)
    part = parts_of(found)["partial_observation"]
    assert part["to"] == rules.found[0].value
    assert part["value"] > 0
    assert found["reference"] == "upper bound"
    timed = record_of(model, Prescribing(sees_time=True), plans, rules=rules)
    assert "sees the time" in parts_of(timed)["partial_observation"]["why_missing"]


def test_what_takes_long_is_left_out_and_names_the_command_that_keeps_it(plans):
    posed = view(crowded_model())
    assert quick_view(crowded_model(), posed) is None
    who = Prescribing(sees_time=False, gamma=0.99)
    found = reachable(crowded_model(), who, folder=plans, command="abx-plan experiment=mine")
    assert "abx-plan experiment=mine does, and keeps it" in found.best_stationary.why_missing
    assert found.at_own_discount.why_missing == found.best_stationary.why_missing  # said once
    assert gap_record(found, -1.0) is None


def test_the_command_that_is_named_keeps_the_value_of_any_discount_factor(plans):
    """A tuned one has more digits than are read with ease."""
    who = Prescribing(sees_time=False, gamma=0.9963457812)
    rules = RuleSearch(crowded_model(), plans)
    why = limits_of(crowded_model(), who, rules).at_own_discount.why_missing
    assert "agent_algorithm.gamma=0.9963457812 does" in why


def kept_of_a_crowded_clinic(folder, returns):
    """Keep an optimum of -10 to -9, and what discount factors lead to; return the record of one."""
    posed, cache = view(crowded_model()), PlanCache(folder)
    cache.keep(
        posed,
        Optimum(
            lower=-10.0,
            upper=-9.0,
            caveats=(),
            method="by hand",
            given=None,
            seconds=0.0,
            memory=0,
            programme="",
        ),
    )
    rows = {
        g: {"gamma": g, "episode_return": r, "equilibrium_amr": 0.1} for g, r in returns.items()
    }
    cache._keep_stationary(posed, rows)
    who = Prescribing(sees_time=False, gamma=0.9985)
    return gap_record(reachable(crowded_model(), who, folder=folder), -50.0)


def test_a_discount_factor_that_is_not_kept_costs_about_what_those_beside_it_do(tmp_path):
    found = kept_of_a_crowded_clinic(tmp_path, {0.99: -30.0, 0.998: -12.0, 0.999: -12.5})
    part = parts_of(found)["discount"]
    assert 0.0 < part["value"] < 0.5
    assert part["between"] == ((0.998, -12.0), (0.999, -12.5))
    assert sum(p["value"] or 0.0 for p in found["parts"]) == pytest.approx(found["total"])
    said = gap_lines({"optimality_gap": 41.0, "optimum": -9.0, "gap": found})
    assert "discount about 0." in "\n".join(said)


def test_what_lies_between_discount_factors_far_apart_is_bounded_and_not_guessed(tmp_path):
    never_treating = reference(crowded_model(), folder=tmp_path).never
    far = 0.2 * (-9.0 - never_treating)
    found = kept_of_a_crowded_clinic(tmp_path, {0.998: -12.0 - far, 0.999: -12.0})
    part = parts_of(found)["discount"]
    assert part["value"] is None
    assert part["between"] == ((0.998, -12.0 - far), (0.999, -12.0))
    assert part["from"] == -12.0


def test_what_was_computed_is_kept(plans, monkeypatch):
    model = SMALL["two types"]
    who = Prescribing(sees_time=True, gamma=0.9)
    first = record_of(model, who, plans)
    monkeypatch.setattr("abx_amr.planning.episode_discount.discounted_episode", None)
    assert record_of(model, who, plans) == first


# --- the best rule -------------------------------------------------------------------------------


def test_the_best_rule_is_tuned_to_its_exact_value_where_chance_does_not_move_it(plans):
    best = RuleSearch(CLINICS["paper_two"], plans).found[0]
    assert best.overrides == ["agent_algorithm=amr_threshold", "agent_algorithm.threshold=0.004"]
    assert best.value == pytest.approx(-79.037, abs=0.001)


def test_patients_who_differ_are_chosen_by_their_risk(plans):
    people = mixture(low=population(prob_infected=0.1), high=population(prob_infected=0.9))
    model = clinic_model(DRUG, people=people, patients=2, steps=60)
    best = RuleSearch(model, plans).found[0]
    assert best.name in ("amr_threshold", "greedy", "risk_stratified")
    threshold = next(one for one in RuleSearch(model, plans).found if one.name == "amr_threshold")
    assert threshold.parameters["risk"] >= 0.1


def test_rules_are_tuned_on_other_episodes_than_they_are_compared_on(plans):
    model = SMALL["sampled"]
    rules = RuleSearch(model, plans)
    returns = episode_returns(Never(model), model, episodes=20, seed=4)[0]
    found = compare_with_best(returns, rules, seed=4, clinic=["experiment=mine"])
    assert found["verdict"] == "worse"
    assert found["difference"]["interval_95"][1] < 0
    assert found["overrides"][-1] == "experiment=mine"
    assert found["candidates"]["never"] == pytest.approx(returns.mean())
    assert found["mean_return"] == found["candidates"][rules.found[0].label]
    low, high = found["candidate_intervals_95"]["never"]
    assert low < returns.mean() < high
    assert found["mean_return"] != rules.found[0].value
    best = rules.found[0]
    assert found["expected"][best.label] == {
        "mean": best.value,
        "standard_error": pytest.approx(best.standard_error),
    }
    assert best.standard_error > 0, "chance moves what it earns: its value is a mean"
    assert found["tuning"]["seed"] != 4 and best.name in found["tuning"]["rules"]
    again = evaluate(best.policy(model), model, episodes=20, seed=4).episodes
    assert found["final_amr"] == {
        name: pytest.approx(again[f"final_true_amr_{name}"].mean()) for name in model.antibiotics
    }


def test_rules_that_were_kept_without_their_error_are_tuned_again(plans):
    model = SMALL["five patients"]
    posed, cache = view(model), PlanCache(plans)
    old = [{"name": "never", "parameters": {}, "value": 1.0}]
    cache.keep_tuned_rules(posed, {repr(model.layout.attributes): old})
    assert RuleSearch(model, plans).found[0].value != 1.0


def test_the_best_rule_itself_is_not_distinguishable_from_itself(plans):
    model = SMALL["five patients"]
    rules = RuleSearch(model, plans)
    own = rules.returns(rules.found[0], episodes=5, seed=4)
    assert compare_with_best(own, rules, seed=4)["verdict"] == "not distinguishable"


def test_one_episode_says_nothing_of_a_rule(plans):
    model = SMALL["five patients"]
    rules = RuleSearch(model, plans)
    found = compare_with_best(np.array([1e6]), rules, seed=4)
    assert found["verdict"] == "not distinguishable"
    assert "says nothing" in gap_lines({"optimality_gap": None, "best_rule": found})[-1]


def test_a_threshold_with_a_risk_treats_those_above_it_alone():
    model = clinic_model(DRUG, people=TYPES, patients=2, steps=30)
    played = evaluate(
        AmrThreshold(model, threshold=1.0, risk=0.5), model, episodes=3, seed=1, trajectories=True
    )
    treated = played.per_patient["actions"] == 0
    assert np.array_equal(treated, played.per_patient["observed_prob_infected"] > 0.5)


# --- said ----------------------------------------------------------------------------------------

NEVER = {"optimality_gap": 200.0, "share_of_range": -0.01, "optimum": -80.0, "optimum_note": None}


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ([-290.0, -270.0], "not distinguishable from never treating"),
        ([-281.0, -279.0], "worse than never treating"),
        ([None, None], "not distinguishable from never treating"),
    ],
)
def test_no_verdict_on_never_treating_is_given_within_the_interval(interval, said):
    mean = -280.0  # never treating: (-280 + 0.01 * -80) / 1.01 = -278.02
    line = gap_line({**NEVER, "mean_return": mean, "mean_return_interval_95": interval})
    assert said in line


def test_a_summary_is_told_in_six_lines_at_most(plans):
    model = shown_late(CLINICS["paper_two"])
    rules = RuleSearch(model, plans)
    who = Prescribing(sees_time=False, gamma=0.9)
    limits = reachable(model, who, folder=plans, rules=rules)
    rule = compare_with_best(np.full(5, -200.0), rules, seed=4)
    agreed = {"share_of_states": 0.5, "regret": 0.1}
    summary = {
        **limits.reference.gap(-200.0),
        "gap": gap_record(limits, -200.0),
        "agreement": agreed,
        "best_rule": rule,
    }
    lines = gap_lines(summary)
    assert len(lines) <= 6
    said = "\n".join(lines)
    for part in ("unseen time", "gamma 0.9", "partial observation not told apart", "50.0%"):
        assert part in said
    assert "cycling" in said or "amr_threshold" in said


def test_a_rule_is_not_said_to_learn(plans):
    known = reference(CLINICS["paper_two"], folder=plans)
    limits = Reachable(
        reference=known,
        prescribing=Prescribing(sees_time=False, learns=False),
        best_stationary=Known(-90.0),
        at_own_discount=Known(None, "it does not discount"),
        with_its_view=Known(None, "it is not asked for"),
        sees_amr=True,
    )
    summary = {**known.gap(-100.0), "gap": gap_record(limits, -100.0)}
    assert "the rule itself 10.00" in "\n".join(gap_lines(summary))


def test_a_tuned_rule_says_its_parameters():
    rule = TunedRule(name="cycling", parameters={"period": 5}, value=0.0, standard_error=0.0)
    assert rule.overrides == ["agent_algorithm=cycling", "agent_algorithm.period=5"]
    assert not rule.is_stationary
