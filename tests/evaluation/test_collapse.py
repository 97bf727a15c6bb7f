"""A learned policy that has collapsed is told from one that has not, by what it does."""

import numpy as np
import pytest

from abx_amr.agents.rules import AlwaysBest, Greedy, Never
from abx_amr.evaluation.collapse import (
    KINDS,
    advice,
    collapse_of,
    is_early,
    kind_of_collapse,
    treatments_by_level,
)
from abx_amr.evaluation.episodes import episode_returns, evaluate
from tests.clinics import default_clinics

MODEL = default_clinics()["paper_two"]


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
    counts = np.zeros((1, MODEL.num_treatments), np.int64)
    episode_returns(Greedy(MODEL), MODEL, episodes=2, seed=0, treatments=counts)
    steps = played(Greedy(MODEL)).per_step["prescriptions"].sum(axis=(0, 1))
    np.testing.assert_array_equal(counts[0, :-1], steps)
    assert counts.sum() == 2 * MODEL.max_time_steps
    by_level = treatments_by_level(played(Greedy(MODEL)))
    assert by_level.sum() == 2 * (MODEL.max_time_steps - 1)


def test_the_resistance_at_the_end_is_that_of_an_evaluation():
    levels = np.zeros((1, len(MODEL.antibiotics)))
    episode_returns(Greedy(MODEL), MODEL, episodes=2, seed=0, final_amr=levels)
    episodes = played(Greedy(MODEL)).episodes
    expected = [episodes[f"final_true_amr_{name}"].mean() for name in MODEL.antibiotics]
    np.testing.assert_allclose(levels[0], expected)
