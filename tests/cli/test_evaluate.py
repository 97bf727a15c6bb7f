"""abx-evaluate: any run or rule, on any clinic it fits, through paired episodes."""

from pathlib import Path

import pandas as pd
import pytest

from abx_amr.cli import evaluate, train
from abx_amr.runs.folder import RunFolder, newest_run
from abx_amr.runs.loading import load_policy
from tests.cli.conftest import SMALL, Call

BARE = ("figures=false", "report=false")
EPISODES = ("evaluation.episodes=5", "environment.max_time_steps=16", *BARE)


def trained(call: Call, *more: str) -> None:
    ended = call(train.main, *SMALL, "training.total_num_training_episodes=2", *more)
    assert ended.status == 0, ended.err


def test_a_run_is_evaluated_again_on_its_own_clinic(call: Call) -> None:
    trained(call, "antibiotics=single", "run_name=mine")
    ended = call(
        evaluate.main, "run=mine", "checkpoint=last", "evaluation.episodes=3", "evaluation.seed=0"
    )
    assert ended.status == 0, ended.err
    assert "report:  " in ended.out
    run, again = newest_run("results", "mine"), newest_run("results", "mine_evaluated")
    assert again.read_config()["antibiotics"] == run.read_config()["antibiotics"]
    # the same agent in the same episodes: the same returns
    last = run.read_evaluations().query("transitions == 32")["episode_return"].to_numpy()
    assert (again.read_evaluations()["episode_return"].to_numpy() == last).all()
    summary = again.read_summary()
    low, high = summary["mean_return_interval_95"]
    assert low <= summary["mean_return"] <= high
    assert "IQM" in ended.out


def test_a_run_can_be_played_in_another_clinic(call: Call) -> None:
    trained(call, "antibiotics=single", "run_name=mine")
    other = ("reward_calculator.lambda_weight=1.0", "evaluation.episodes=3", *BARE)
    assert call(evaluate.main, "run=mine", *other).status == 0
    changed = newest_run("results", "mine_evaluated").read_config()
    assert changed["reward_calculator"]["lambda_weight"] == 1.0
    assert changed["environment"]["max_time_steps"] == 16  # the rest is the run's own


def test_an_agent_that_does_not_fit_the_clinic_is_refused_with_both_shapes(call: Call) -> None:
    trained(call, "run_name=mine")
    ended = call(evaluate.main, "run=mine", "antibiotics=single")
    assert ended.status == 2
    assert "(7,)" in ended.err
    assert "(6,)" in ended.err


@pytest.mark.parametrize("algorithm", ["recurrent_ppo", "ppo"])
def test_a_loaded_policy_plays_as_it_was_evaluated(call: Call, algorithm: str) -> None:
    trained(
        call, f"agent_algorithm={algorithm}", "run_name=mine", "training.vec_normalize.enabled=true"
    )
    from abx_amr import make_model
    from abx_amr.evaluation.episodes import evaluate as play

    run = newest_run("results", "mine")
    policy = load_policy(run.path, checkpoint="last")
    model = make_model("environment.max_time_steps=16")
    played = play(policy, model, episodes=3, seed=0)
    last = run.read_evaluations().query("transitions == 32")["episode_return"].to_numpy()
    assert played.returns == pytest.approx(last)


def test_rules_meet_the_same_patients_and_their_difference_is_paired(call: Call) -> None:
    ended = call(
        evaluate.main, "agent_algorithm=amr_threshold", "agent_algorithm.threshold=0.01",
        "against=never", "trajectories=true", *EPISODES, "run_name=one",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    call(evaluate.main, "agent_algorithm=never", "trajectories=true", *EPISODES, "run_name=two")
    one, two = (newest_run("results", n).read_patients() for n in ("one", "two"))
    luck = [c for c in one if c.startswith("uniform_")] + ["infected", "prob_infected"]
    pd.testing.assert_frame_equal(one[luck], two[luck])
    assert not one["treatment"].astype(str).equals(two["treatment"].astype(str))
    against = newest_run("results", "one").read_summary()["against"]
    difference = (
        newest_run("results", "one").read_evaluations()["episode_return"]
        - newest_run("results", "two").read_evaluations()["episode_return"]
    )
    assert against["mean"] == pytest.approx(difference.mean())
    assert against["standard_error"] < against["unpaired_standard_error"]
    assert (newest_run("results", "one").path / "figures/paired_difference.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "nothing to evaluate"),
        (("run=nowhere",), "nowhere"),
        (("agent_algorithm=never", "against=ppo"), "has learned nothing yet"),
        (("agent_algorithm=never", "card=yess"), "card must be true or false"),
        (("agent_algorithm=never", "evaluation.episodes=0"), "evaluation.episodes must be"),
        (("agent_algorithm=never", "+evaluation.episods=3"), "did you mean 'episodes'"),
        (("agent_algorithm=never", "evaluation.deterministic=perhaps"), "true or false"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    call: Call, arguments: tuple[str, ...], text: str
) -> None:
    ended = call(evaluate.main, *arguments)
    assert ended.status == 2
    assert text in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_policy_card_sets_the_best_rule_beside_on_the_same_episodes(call: Call) -> None:
    ended = call(evaluate.main, "agent_algorithm=greedy", "against=never", "card=true", *EPISODES)
    assert ended.status == 0, ended.err
    folder = RunFolder.open(ended.out.rsplit("results: ")[-1].strip())
    assert f"policy card: {folder.path / 'card.md'}" in ended.out
    best = folder.read_summary()["best_rule"]
    returns = folder.read_compared().groupby("policy")["episode_return"]
    assert returns.size().to_dict() == {best["name"]: 5, "never": 5}
    assert returns.mean()[best["name"]] == pytest.approx(best["mean_return"])
    assert len(folder.read_patients()) == 5 * 16 * 5
    assert best["name"].split(" ")[0] in (folder.path / "card.md").read_text()


def test_of_one_episode_no_spread_is_told(call: Call) -> None:
    one = ("evaluation.episodes=1", "environment.max_time_steps=16", "run_name=one", *BARE)
    ended = call(evaluate.main, "agent_algorithm=greedy", "against=never", *one)
    assert ended.status == 0, ended.err
    assert "std -, IQM" in ended.out
    assert "95 % interval - (1 episode," in ended.out
    assert "standard error - paired (- unpaired)" in ended.out
    assert newest_run("results", "one").read_summary()["std_return"] is None


def test_a_rule_with_its_parameters_is_compared_with_and_named(call: Call) -> None:
    own = ("agent_algorithm=amr_threshold", "agent_algorithm.threshold=0.1")
    other = "against={rule: amr_threshold, threshold: 0.9}"
    ended = call(evaluate.main, *own, other, *EPISODES)
    assert ended.status == 0, ended.err
    assert "against amr_threshold (threshold 0.9): difference" in ended.out
    assert "who sees the time: neither" in ended.out
    found = newest_run("results", "base_amr_threshold_evaluated").read_summary()
    same = call(evaluate.main, *own, "against={rule: amr_threshold, threshold: 0.1}", *EPISODES)
    assert "difference 0.000" in same.out
    assert "not distinguishable" in same.out
    assert found["against"]["verdict"] in ("better", "worse", "not distinguishable")


@pytest.mark.parametrize(
    ("against", "said"),
    [
        ("{rule: amr_treshold, threshold: 0.1}", "did you mean 'amr_threshold'"),
        ("{rule: amr_threshold, treshold: 0.1}", "did you mean 'threshold'"),
        ("{threshold: 0.1}", "'against={rule: amr_threshold, threshold: 0.1}'"),
        ("{rule: amr_threshold, threshold: 7}", "threshold must be"),
        ("{rule: ppo}", "has learned nothing yet"),
    ],
)
def test_a_rule_that_cannot_be_compared_with_is_refused_in_one_line(
    call: Call, against: str, said: str
) -> None:
    ended = call(evaluate.main, "agent_algorithm=never", f"against={against}", *EPISODES)
    assert ended.status == 2
    assert said in ended.err
    assert not Path("results").exists()


def test_agents_that_see_other_things_meet_the_same_patients(call: Call) -> None:
    trained(call, "run_name=plain")
    trained(call, "run_name=timed", "environment.include_time_remaining=true")
    ended = call(evaluate.main, "run=timed", "against=plain", "evaluation.episodes=4", *BARE)
    assert ended.status == 0, ended.err
    assert "who sees the time: timed" in ended.out
    timed = newest_run("results", "timed_evaluated").read_summary()
    alone = call(evaluate.main, "run=plain", "evaluation.episodes=4", *BARE)
    assert alone.status == 0, alone.err
    plain = newest_run("results", "plain_evaluated").read_summary()
    difference = timed["mean_return"] - plain["mean_return"]
    assert timed["against"]["mean"] == pytest.approx(difference)
    assert timed["gap"]["sees_time"] and not plain["gap"]["sees_time"]


def test_a_run_says_where_its_gap_comes_from_and_which_rule_is_the_best(call: Call) -> None:
    trained(call, "run_name=mine", "patient_generator=mixed_risk")
    run = newest_run("results", "mine")
    summary = run.read_summary()
    parts = summary["gap"]["parts"]
    assert sum(part["value"] or 0.0 for part in parts) == pytest.approx(summary["gap"]["total"])
    assert summary["gap"]["total"] == pytest.approx(summary["optimality_gap"])
    table = run.read_regret_by_amr()
    assert list(table["regret"]) == pytest.approx(
        [row["regret"] for row in summary["agreement"]["by_level"]]
    )
    rule = summary["best_rule"]
    episodes = ("evaluation.seed=0", "evaluation.episodes=3")
    again = call(evaluate.main, *rule["overrides"], *episodes, *BARE)
    assert again.status == 0, again.err
    assert f"mean return {rule['mean_return']:.3f}" in again.out


def test_a_parameter_behind_a_rule_s_name_is_told_where_it_stands(call: Call) -> None:
    ended = call(evaluate.main, "against=amr_threshold", "against.threshold=0.1", *EPISODES)
    assert ended.status == 2
    assert "'against={rule: amr_threshold, threshold: VALUE}'" in ended.err
