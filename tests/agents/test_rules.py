import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from abx_amr.agents.rules import (
    AlwaysBest,
    AmrThreshold,
    Cycling,
    Greedy,
    Myopic,
    Never,
    Random,
    RiskStratified,
)
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.patients import ATTRIBUTES
from tests.clinics import clinic_model, crowded_model, mixture, paper_model, population

RULES = (Never, Random, AlwaysBest, Greedy, Myopic, AmrThreshold, RiskStratified, Cycling)
TWO = clinic_model(patients=3)
CROWDED = crowded_model(observation={"temporal_windows": (10,), "include_previous_action": True})


def observed(model, amr, risks):
    """Return observations (N, D) with these visible AMR levels (N, K) and risks (N, P)."""
    return np.hstack([np.asarray(risks, float), np.asarray(amr, float)]).astype(np.float32)


def believes_in(*attributes):
    """Return a clinic in which nothing but these attributes is visible."""
    return clinic_model(patients=2, people=population(visible=attributes))


@pytest.mark.parametrize("family", RULES)
@pytest.mark.parametrize("model", [TWO, CROWDED], ids=["two", "crowded"])
def test_a_rule_prescribes_what_the_clinic_accepts(family, model):
    clinic = Clinic(model, stream_states(0, "test", count=4))
    observation, rule, state = clinic.reset(), family(model), None
    for _ in range(3):
        actions, state = rule.predict(observation, state, np.zeros(4, dtype=bool))
        assert actions.shape == (4, model.num_patients_per_time_step)
        assert actions.dtype == np.int64
        observation, _, _ = clinic.step(actions)


@pytest.mark.parametrize("family", RULES)
def test_a_rule_decides_alike_for_one_clinic_and_for_a_batch(family):
    observation = Clinic(CROWDED, stream_states(1, "test", count=3)).reset()
    batch, _ = family(CROWDED).predict(observation, None, np.ones(3, dtype=bool))
    one, _ = family(CROWDED).predict(observation[0], None, True)
    assert one.shape == (10,)
    np.testing.assert_array_equal(one, batch[0])


@pytest.mark.parametrize("family", RULES)
def test_a_rule_can_be_sent_to_another_process(family):
    rule = pickle.loads(pickle.dumps(family(TWO)))
    assert repr(rule) == repr(family(TWO)) and family.__name__ in repr(rule)


def test_never_treats_nobody():
    observation = observed(TWO, [[0.0, 0.0]], [[1.0, 1.0, 1.0]])
    assert Never(TWO).predict(observation)[0].tolist() == [[2, 2, 2]]


def test_greedy_treats_while_that_is_worth_something_and_myopic_while_it_beats_not_treating():
    # published clinic, A alone: 0.7 (0.6375 - 1.5375 a) - 0.2 is 0 at a = 0.2288
    # and equals 0.7 (0.05 - 0.95 * 0.9) = -0.5635 for no treatment at a = 0.7524; hidden recovery
    # counts as 0, so a rule believes in -0.63 and its limit is a = 0.8141
    model = paper_model({"A": (0.2, 40.0, -0.8, 0.25)})
    observation = observed(model, [[0.228], [0.229], [0.813], [0.815]], [[0.7]] * 4)
    assert Greedy(model).predict(observation)[0][:, 0].tolist() == [0, 1, 1, 1]
    assert Myopic(model).predict(observation)[0][:, 0].tolist() == [0, 0, 0, 1]
    assert AlwaysBest(model).predict(observation)[0][:, 0].tolist() == [0, 0, 0, 0]


def test_where_treating_is_worth_as_much_as_not_treating_nobody_is_treated():
    # nobody infected, and a harmless drug: every expected reward is 0
    model = clinic_model({"A": (0.2, 50.0, -2.0, 0.0)})
    observation = observed(model, [[0.3]], [[0.0]])
    assert Greedy(model).predict(observation)[0].tolist() == [[1]]
    assert Myopic(model).predict(observation)[0].tolist() == [[1]]


def test_the_best_antibiotic_is_chosen_for_each_patient_by_its_own_risk():
    # A is safer, B less resisted: B pays where the infection is likely
    observation = observed(TWO, [[0.4, 0.35]], [[0.1, 0.9, 1.0]])
    assert AlwaysBest(TWO).predict(observation)[0].tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("family", "treated"), [(AmrThreshold, [0, 0, 0]), (RiskStratified, [2, 0, 0])]
)
def test_of_two_equally_resisted_antibiotics_the_first_is_given(family, treated):
    observation = observed(TWO, [[0.2, 0.2]], [[0.5, 0.7, 0.9]])
    assert family(TWO).predict(observation)[0].tolist() == [treated]


def test_amr_threshold_gives_the_least_resisted_antibiotic_below_the_threshold_only():
    observation = observed(TWO, [[0.4, 0.3], [0.3, 0.4], [0.6, 0.5], [0.6, 0.7]], [[0.8] * 3] * 4)
    actions, _ = AmrThreshold(TWO, threshold=0.5).predict(observation)
    assert actions[:, 0].tolist() == [1, 0, 2, 2]
    assert (actions == actions[:, :1]).all()


@pytest.mark.parametrize("level", [0.1, 0.3, 0.6, 0.7])
def test_a_level_at_the_threshold_is_not_below_it(level):
    observation = observed(TWO, [[level, 1.0]], [[level, 0.0, 1.0]])
    assert AmrThreshold(TWO, threshold=level).predict(observation)[0][0, 0] == 2
    assert RiskStratified(TWO, threshold=level).predict(observation)[0].tolist() == [[2, 2, 0]]


def test_risk_stratified_treats_the_patients_at_risk_whatever_the_resistance():
    observation = observed(TWO, [[0.95, 0.9]], [[0.59, 0.61, 1.0]])
    assert RiskStratified(TWO, threshold=0.6).predict(observation)[0].tolist() == [[2, 1, 1]]


def test_cycling_gives_each_antibiotic_then_nothing_and_starts_anew_with_the_episode():
    rule, state, seen = Cycling(TWO, period=2), None, []
    observation = observed(TWO, [[0.0, 0.0]] * 2, [[0.8] * 3] * 2)
    for step in range(9):
        actions, state = rule.predict(observation, state, np.array([step == 0, step in (0, 3)]))
        seen.append(actions[:, 0].tolist())
    assert [first for first, _ in seen] == [0, 0, 1, 1, 2, 2, 0, 0, 1]
    assert [second for _, second in seen] == [0, 0, 1, 0, 0, 1, 1, 2, 2]


def test_random_gives_every_treatment_alike():
    given = evaluate(Random(TWO), TWO, episodes=20, seed=0).episodes
    shares = [given[f"prescriptions_{name}"].sum() / (20 * 500 * 3) for name in "AB"]
    assert shares == pytest.approx([1 / 3, 1 / 3], abs=4 * np.sqrt(2 / 9 / 30_000))


def test_the_draws_of_an_episode_are_its_own_and_go_on_past_the_time_limit():
    model = clinic_model(patients=3, steps=5)
    rule = Random(model)
    observation = observed(model, [[0.0, 0.0]] * 2, [[0.8] * 3] * 2)
    both, one = rule.initial_state([4, 7], 1), rule.initial_state([7], 1)
    drawn = []
    for _ in range(12):
        actions, both = rule.predict(observation, both)
        alone, one = rule.predict(observation[:1], one)
        np.testing.assert_array_equal(actions[1], alone[0])
        drawn.append(actions)
    assert (np.array(drawn[:5]) != np.array(drawn[5:10])).any()
    with pytest.raises(InputError, match="one row per observation, got 2 for 1"):
        rule.predict(observation[:1], both)


def test_without_a_state_random_does_not_repeat_itself():
    rule = Random(TWO)
    observation = observed(TWO, [[0.0, 0.0]] * 8, [[0.8] * 3] * 8)
    assert (rule.predict(observation)[0] != rule.predict(observation)[0]).any()


def test_an_attribute_that_is_not_shown_is_taken_as_neutral():
    shown = believes_in("prob_infected")
    every = clinic_model(patients=2, people=population(visible=ATTRIBUTES))
    amr, risk = [[0.2, 0.3]], 0.9
    short = np.array([[risk, risk, *amr[0]]], dtype=np.float32)
    neutral = [risk, 1, 1, 1, 1, 0]
    long = np.array([[*neutral, *neutral, *amr[0]]], dtype=np.float32)
    np.testing.assert_array_equal(
        Greedy(shown).expected_rewards(shown.layout.decode(short)),
        Greedy(every).expected_rewards(every.layout.decode(long)),
    )


def test_a_hidden_risk_is_taken_as_even_and_so_not_treated_by_risk():
    model = believes_in("benefit_value_multiplier")
    observation = np.array([[1.0, 1.0, 0.1, 0.2]], dtype=np.float32)
    rule = RiskStratified(model)
    decoded = model.layout.decode(observation)
    assert (rule.believed(decoded, "prob_infected") == 0.5).all()
    assert rule.predict(observation)[0].tolist() == [[2, 2]]


def test_padding_is_not_mistaken_for_an_observation():
    people = mixture(
        open=population(visible=("prob_infected", "recovery_without_treatment_prob")),
        closed=population(visible=("prob_infected",)),
    )
    model = clinic_model(patients=2, people=people)
    observation = np.array([[0.9, 0.4, 0.9, -1.0, 0.1, 0.2]], dtype=np.float32)
    believed = Myopic(model).believed(
        model.layout.decode(observation), "recovery_without_treatment_prob"
    )
    assert believed.tolist() == [[pytest.approx(0.4), 0.0]]


@given(
    amr=npst.arrays(np.float32, (2, 2), elements=st.floats(0, 1, width=32)),
    risk=npst.arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)),
)
def test_the_order_of_the_patients_does_not_matter(amr, risk):
    here, there = observed(TWO, amr, risk), observed(TWO, amr, risk[:, ::-1])
    for family in (AlwaysBest, Greedy, Myopic, AmrThreshold, RiskStratified):
        rule = family(TWO)
        np.testing.assert_array_equal(rule.predict(here)[0], rule.predict(there)[0][:, ::-1])


@given(
    amr=npst.arrays(np.float32, (4, 2), elements=st.floats(0, 1, width=32)),
    risk=npst.arrays(np.float32, (4, 3), elements=st.floats(0, 1, width=32)),
)
def test_greedy_never_treats_where_myopic_does_not(amr, risk):
    observation = observed(TWO, amr, risk)
    greedy, _ = Greedy(TWO).predict(observation)
    myopic, _ = Myopic(TWO).predict(observation)
    treated = greedy < 2
    np.testing.assert_array_equal(greedy[treated], myopic[treated])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: AmrThreshold(TWO, threshold=1.5),
            r"must be a number in \[0, 1\], got 1.5",
        ),
        (
            lambda: RiskStratified(TWO, threshold=-0.1),
            r"must be a number in \[0, 1\], got -0.1",
        ),
        (lambda: Cycling(TWO, period=0), "period must be a whole number of at least 1, got 0"),
        (lambda: Cycling(TWO, period=2.5), "period must be a whole number of at least 1, got 2.5"),
    ],
)
def test_a_parameter_out_of_range_is_an_error_that_names_it(build, message):
    with pytest.raises(InputError, match=message):
        build()
