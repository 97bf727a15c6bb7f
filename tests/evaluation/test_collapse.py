"""A learned policy that has collapsed is told from one that has not, by what it does."""

from dataclasses import replace

import numpy as np
import pytest

from abx_amr.agents.rules import AlwaysBest, AmrThreshold, Greedy, Never
from abx_amr.evaluation.collapse import (
    KINDS,
    advice,
    collapse_of,
    is_early,
    kind_of_collapse,
    treatments_by_level,
)
from abx_amr.evaluation.episodes import episode_returns, evaluate
from abx_amr.evaluation.tally import BANDS, PARTS, RISKS, Tally
from tests.clinics import PAPER_DRUGS, clinic_model, default_clinics, mixture, population

MODEL = default_clinics()["paper_two"]
MIXED = clinic_model(
    PAPER_DRUGS,
    patients=3,
    steps=60,
    people=mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.8)),
)


class OnlyFirst:
    """Gives the first antibiotic below a level, else nothing: one antibiotic only."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        levels = MODEL.layout.decode(observation).visible_amr
        return np.where(levels[:, :1] < 0.1, 0, 2), None


def played(policy):
    return evaluate(policy, MODEL, episodes=2, seed=0, per_step=True)


def judged(policy, **given):
    asked = {"entropy_fell_at": None, "planned": 100, "explores": True} | given
    return collapse_of(played(policy), **asked)


def test_one_who_never_treats_is_named_with_the_levels_at_which_it_does_not():
    found = judged(Never(MODEL))
    assert found.kind == "never_treats"
    assert "treats nobody of 998 patients" in found.evidence
    assert "100.0 % at a visible AMR of 0 to 0.1" in found.evidence


def test_one_who_gives_everybody_the_same_is_named_with_the_antibiotic():
    class Everybody:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.zeros((len(observation), 1), np.int64), None

    found = judged(Everybody())
    assert found.kind == "constant_action"
    assert "gives everybody A" in found.evidence


def test_one_who_gives_one_antibiotic_only_is_named():
    assert judged(OnlyFirst()).kind == "constant_antibiotic"


def test_one_who_treats_everybody_is_named_though_it_uses_several_antibiotics():
    found = judged(AlwaysBest(MODEL))
    assert found.kind == "always_treats"
    assert "treats everybody of 998 patients" in found.evidence
    assert "100.0 % at a visible AMR of 0 to 0.1" in found.evidence


def test_one_who_uses_several_antibiotics_and_waits_has_not_collapsed():
    assert judged(Greedy(MODEL)) is None


def test_what_a_configuration_has_already_is_not_advised():
    has = {"agent_algorithm": {"ent_coef": 0.03, "final_ent_coef": 0.01}}
    said = advice("constant_action", explores=True, configured=has)
    assert "ent_coef" not in said
    assert "agent_algorithm.gamma=0.996" in said
    long = {"training": {"total_num_training_episodes": 1000}}
    assert "total_num" not in advice("never_treats", explores=True, configured=long)


def test_entropy_that_vanished_early_is_named_with_the_moment():
    found = judged(Greedy(MODEL), entropy_fell_at=30)
    assert found.kind == "entropy_vanished"
    assert "after 30 % of training" in found.evidence
    assert judged(Greedy(MODEL), entropy_fell_at=60) is None
    assert judged(Greedy(MODEL), entropy_fell_at=30, explores=False) is None


def test_what_a_policy_does_counts_before_its_entropy():
    treatments = np.array([0, 0, 500])
    kind = kind_of_collapse(treatments, entropy_fell_at=1, planned=100, explores=True)
    assert kind == "never_treats"
    assert is_early(1, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_advice_to_who_explores_can_be_pasted(kind):
    words = advice(kind, explores=True).split()
    assert any(word.startswith("agent_algorithm.ent_coef=") for word in words)
    assert "training.seed" in advice(kind, explores=False)


def test_a_single_antibiotic_is_no_collapse_where_there_is_no_other():
    treatments = np.array([300, 700])
    assert kind_of_collapse(treatments, entropy_fell_at=None, planned=1, explores=True) is None


def test_treatments_are_counted_alike_with_and_without_the_tables():
    tally = Tally.of(MODEL, agents=1)
    episode_returns(Greedy(MODEL), MODEL, episodes=2, seed=0, tally=tally)
    counts = tally.treatments
    steps = played(Greedy(MODEL)).per_step["prescriptions"].sum(axis=(0, 1))
    np.testing.assert_array_equal(counts[0, :-1], steps)
    assert counts.sum() == 2 * MODEL.max_time_steps
    by_level = treatments_by_level(played(Greedy(MODEL)))
    assert by_level.sum() == 2 * (MODEL.max_time_steps - 1)


def test_whom_a_prescriber_treats_is_counted_by_the_level_it_sees_and_by_group():
    tally = Tally.of(MIXED, agents=1)
    episode_returns(Greedy(MIXED), MIXED, episodes=2, seed=0, tally=tally)
    record, played = (
        tally.as_record(),
        evaluate(Greedy(MIXED), MIXED, episodes=2, seed=0, trajectories=True),
    )
    seen, given = played.per_step["visible_amr"][:-1], played.per_step["prescriptions"][1:]
    for k, name in enumerate(MIXED.antibiotics):
        counts = record["by_level"]["antibiotics"][name]
        band = np.searchsorted(BANDS, seen[..., k], side="right") - 1
        for at in range(1, len(BANDS) - 1):  # the first steps are at a level of none
            assert counts["given"][at] == given[..., k][band == at].sum()
        assert sum(counts["given"]) == record["given"][name]
        assert sum(counts["patients"]) == tally.treatments.sum()
    patients = played.patients_frame()
    for g, name in enumerate(MIXED.population.names):
        of_group = patients[patients["group"] == g]
        untreated = (of_group["treatment"] == "no_treatment").sum()
        assert record["by_group"][name]["none"] == untreated


def test_whom_a_prescriber_treats_is_counted_by_risk_and_over_the_episode():
    tally = Tally.of(MIXED, agents=1)
    rule = AmrThreshold(MIXED, threshold=1.0, risk=0.5)
    episode_returns(rule, MIXED, episodes=2, seed=0, tally=tally)
    record = tally.as_record()
    patients = evaluate(rule, MIXED, episodes=2, seed=0, trajectories=True).patients_frame()
    treated = patients["treatment"] != "no_treatment"
    band = np.searchsorted(RISKS[1:-1], patients["observed_prob_infected"], side="right")
    any_of = record["by_risk"]["any"]
    for at in range(len(RISKS) - 1):
        assert sum(any_of["patients"][at]) == (band == at).sum()
        assert sum(any_of["given"][at]) == treated[band == at].sum()
    for name, counts in record["by_risk"]["antibiotics"].items():
        assert np.sum(counts["given"]) == record["given"][name]
    part = (patients["step"] - 1) * PARTS // MIXED.max_time_steps
    untreated = (~treated).groupby(part).sum()
    assert [counts["none"] for counts in record["by_part"]] == untreated.tolist()


def test_a_risk_that_is_not_seen_is_not_counted_by():
    blind = replace(MODEL, population=population(visible=("benefit_value_multiplier",)))
    tally = Tally.of(blind, agents=1)
    episode_returns(Never(blind), blind, episodes=1, seed=0, tally=tally)
    assert "by_risk" not in tally.as_record()
    assert tally.treatments.sum() == blind.max_time_steps * blind.num_patients_per_time_step


def test_the_resistance_at_the_end_is_that_of_an_evaluation():
    tally = Tally.of(MODEL, agents=1)
    episode_returns(Greedy(MODEL), MODEL, episodes=2, seed=0, tally=tally)
    episodes = played(Greedy(MODEL)).episodes
    expected = [episodes[f"final_true_amr_{name}"].mean() for name in MODEL.antibiotics]
    np.testing.assert_allclose(tally.final_amr[0], expected)
