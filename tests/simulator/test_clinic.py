"""The clinic: order of a step, randomness, what can be read, what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abx_amr.errors import InputError
from abx_amr.rng import stream_states, stream_states_at
from abx_amr.simulator import ATTRIBUTES, Clinic
from tests.clinics import CROSS_RESISTANCE, clinic_model, crowded_model, only, population
from tests.clinics import DEFAULT_DRUGS as DRUGS

VARIED = population(visible=ATTRIBUTES, sigma=0.2, noise_std=0.1, prob_infected=0.6)


def busy_model(**parts):
    parts = {"cross_resistance": CROSS_RESISTANCE, "patients": 4, "steps": 40} | parts
    return clinic_model(people=VARIED, **parts)


def run(model, streams, policy, steps=20):
    clinic = Clinic(model, streams)
    seen = [clinic.reset()]
    rewards, cohorts = [], [clinic.cohort]
    for time in range(steps):
        observation, reward, _ = clinic.step(policy(time, len(streams)))
        seen.append(observation)
        rewards.append(reward)
        cohorts.append(clinic.cohort)
    return np.array(seen), np.array(rewards), cohorts


def mixed(time, envs, patients=4):
    """Return actions that depend on the step and the patient alone."""
    return np.tile((np.arange(patients) + time) % 3, (envs, 1))


def never(time, envs, patients=4):
    return np.full((envs, patients), 2)


def test_the_leak_is_subtracted_once_a_step():
    model = clinic_model(only("A", DRUGS), patients=2, steps=10)
    clinic = Clinic(model, stream_states(0, "x", count=1))
    clinic.reset()
    # pressure 0 -> 0 + 2 - 0.2 -> + 1 - 0.2 -> - 0.2 -> ..., level = tanh(p / 100)
    by_hand = [([0, 0], 1.8), ([0, 1], 2.6), ([1, 1], 2.4), ([1, 1], 2.2), ([0, 0], 4.0)]
    for actions, pressure in by_hand:
        clinic.step(np.array([actions]))
        assert clinic.true_amr[0, 0] == pytest.approx(np.tanh(pressure / 100.0), abs=1e-15)


def test_pressure_never_falls_below_zero():
    clinic = Clinic(clinic_model(steps=5), stream_states(0, "x", count=1))
    clinic.reset()
    clinic.step(np.array([[2]]))
    clinic.step(np.array([[0]]))
    assert clinic.true_amr[0, 0] == pytest.approx(np.tanh(0.8 / 100.0), abs=1e-15)
    assert clinic.true_amr[0, 1] == 0.0


def test_a_dose_of_one_antibiotic_reaches_the_other_through_cross_resistance():
    model = clinic_model(cross_resistance=CROSS_RESISTANCE, patients=5)
    clinic = Clinic(model, stream_states(0, "x", count=1))
    clinic.reset()
    clinic.step(np.array([[0, 0, 1, 2, 2]]))
    np.testing.assert_allclose(clinic.last_step["effective_doses"], [[2.1, 1.6]])
    assert clinic.last_step["prescriptions"].tolist() == [[2, 1]]


def test_the_same_streams_give_the_same_bits():
    first = run(busy_model(), stream_states(1, "x", count=3), mixed)
    second = run(busy_model(), stream_states(1, "x", count=3), mixed)
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()


def test_an_episode_does_not_depend_on_what_runs_beside_it():
    model = busy_model(visible_amr={"noise_std": 0.1})
    together = run(model, stream_states(1, "x", count=6), mixed)
    chosen = run(model, stream_states_at(1, "x", indices=[4, 1]), mixed)
    assert (together[0][:, [4, 1]] == chosen[0]).all()
    assert (together[1][:, [4, 1]] == chosen[1]).all()


@pytest.mark.parametrize("model", [busy_model(visible_amr={"noise_std": 0.1}), crowded_model()])
def test_two_policies_meet_the_same_patients_with_the_same_luck(model):
    patients = model.num_patients_per_time_step
    streams = stream_states(2, "paired", count=3)
    treating = run(model, streams, lambda t, e: mixed(t, e, patients))
    waiting = run(model, streams, lambda t, e: never(t, e, patients))
    for one, other in zip(treating[2], waiting[2], strict=True):
        assert (one.uniforms == other.uniforms).all()
        assert (one.infected == other.infected).all()
        assert (one.attributes == other.attributes).all()
        assert (one.sensitive <= other.sensitive).all()
    assert (treating[1] != waiting[1]).any()


def test_observed_patients_are_the_same_under_two_policies():
    streams = stream_states(2, "paired", count=3)
    columns = 4 * len(ATTRIBUTES)
    treating, waiting = run(busy_model(), streams, mixed)[0], run(busy_model(), streams, never)[0]
    assert (treating[:, :, :columns] == waiting[:, :, :columns]).all()


def test_the_cohort_that_is_seen_is_the_one_that_is_treated():
    model = clinic_model(patients=3, steps=30, people=population(sigma=0.3, prob_infected=0.5))
    clinic = Clinic(model, stream_states(3, "x", count=50))
    observation = clinic.reset()
    for _ in range(30):
        cohort = clinic.cohort
        seen = model.layout.decode(observation).attributes["prob_infected"]
        np.testing.assert_allclose(seen, cohort.attributes[:, :, 0], rtol=1e-6)
        observation, _, _ = clinic.step(np.full((50, 3), 1))
        step = clinic.last_step
        works = cohort.infected & cohort.sensitive[:, :, 1]
        cured = works & (cohort.uniforms[:, :, 3] < cohort.attributes[:, :, 3])
        failed = cohort.infected & ~works & (cohort.uniforms[:, :, 3] < cohort.attributes[:, :, 4])
        assert (step["benefits"] == cured.sum(axis=1)).all()
        assert (step["failures"] == failed.sum(axis=1)).all()
        assert (step["treated_not_infected"] == (~cohort.infected).sum(axis=1)).all()
        harmed = cohort.uniforms[:, :, 4] < 0.15
        assert (step["adverse_events"] == harmed.sum(axis=1)).all()


def test_all_prescriptions_are_counted_infected_or_not():
    clinic = Clinic(
        clinic_model(people=population(prob_infected=0.0)), stream_states(0, "x", count=4)
    )
    clinic.reset()
    clinic.step(np.zeros((4, 1), dtype=np.int64))
    assert clinic.last_step["prescriptions"].tolist() == [[1, 0]] * 4
    assert clinic.last_step["treated_not_infected"].tolist() == [1] * 4


def test_the_outcome_counts_add_up_to_the_patients():
    clinic = Clinic(busy_model(), stream_states(4, "x", count=20))
    clinic.reset()
    names = ["treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"]
    names += ["untreated_infected", "untreated_not_infected"]
    for time in range(20):
        clinic.step(mixed(time, 20))
        assert (sum(clinic.last_step[name] for name in names) == 4).all()
        assert (clinic.last_step["recoveries"] <= clinic.last_step["untreated_infected"]).all()


def test_the_visible_level_is_refreshed_when_due_and_constant_in_between():
    model = clinic_model(visible_amr={"update_every_n_time_steps": 4}, patients=3)
    clinic = Clinic(model, stream_states(0, "x", count=1))
    clinic.reset()
    for time in range(1, 13):
        before = clinic.visible_amr
        clinic.step(np.zeros((1, 3), dtype=np.int64))
        expected = clinic.true_amr if time % 4 == 0 else before
        assert (clinic.visible_amr == expected).all()


def test_noise_and_bias_are_there_at_reset_already():
    model = clinic_model(visible_amr={"noise_std": 0.05, "bias": 0.5})
    clinic = Clinic(model, stream_states(0, "x", count=400))
    clinic.reset()
    assert clinic.visible_amr.mean() == pytest.approx(0.5, abs=0.01)
    assert clinic.visible_amr.std() == pytest.approx(0.05, abs=0.01)


def test_a_visible_level_below_the_residual_is_no_error():
    model = clinic_model(rewards={"epsilon": 0.1}, visible_amr={"noise_std": 0.2, "bias": -0.8})
    parts = {field: getattr(model, field) for field in model.__dataclass_fields__}
    dynamics = type(model.dynamics)(
        antibiotics=["A", "B"],
        leak={"A": 0.2, "B": 0.1},
        flatness_parameter={"A": 5.0, "B": 5.0},
        permanent_residual_volume={"A": 0.3, "B": 0.3},
        initial_amr_level={"A": 0.3, "B": 0.3},
    )
    clinic = Clinic(type(model)(**(parts | {"dynamics": dynamics})), stream_states(0, "x", count=8))
    clinic.reset()
    clinic.step(np.zeros((8, 1), dtype=np.int64))
    assert (clinic.visible_amr < 0.3).any()
    expected = 0.7 * np.tanh(0.8 / 10.0)
    below = clinic.visible_amr[:, 0] <= 0.3
    np.testing.assert_allclose(clinic.last_step["delta_visible_amr"][below, 0], expected)


def test_the_reward_weighs_community_and_individual():
    model = busy_model(rewards={"lambda_weight": 0.3}, visible_amr={"noise_std": 0.2})
    clinic = Clinic(model, stream_states(5, "x", count=30))
    clinic.reset()
    _, reward, _ = clinic.step(mixed(0, 30))
    step = clinic.last_step
    np.testing.assert_allclose(step["community"], -clinic.visible_amr.mean(axis=1))
    np.testing.assert_allclose(reward, 0.3 * step["community"] + 0.7 * step["individual"])
    assert (reward == step["reward"]).all()


@pytest.mark.parametrize(("treatment", "total"), [(2, -400.0), (0, None)])
def test_the_mean_return_is_the_sum_of_expected_rewards(treatment, total):
    model = clinic_model(steps=500)
    clinic = Clinic(model, stream_states(6, "x", count=1500))
    clinic.reset()
    actions, patient = np.full((1500, 1), treatment), [0.8, 1.0, 1.0, 1.0, 1.0, 0.0]
    returns, expected = np.zeros(1500), 0.0
    for _ in range(500):
        # without chance in the doses, the levels are the same everywhere
        expected += model.reward.expected_reward(patient, clinic.true_amr[0])[treatment]
        returns += clinic.step(actions)[1]
    if total is not None:
        assert expected == pytest.approx(total)
    assert returns.mean() == pytest.approx(expected, abs=4.0 * returns.std() / np.sqrt(1500))


def test_it_goes_on_to_the_bit_after_restore():
    model = crowded_model(observation={"temporal_windows": (3, 7)})
    clinic = Clinic(model, stream_states(7, "x", count=3))
    clinic.reset()
    generator = np.random.default_rng(0)
    for _ in range(10):
        clinic.step(generator.integers(0, 3, (3, 10)))
    kept = clinic.state()
    actions = generator.integers(0, 3, (15, 3, 10))
    first = [clinic.step(action) for action in actions]
    other = Clinic(model, stream_states(8, "y", count=3))
    other.restore(kept)
    assert (other.observation == kept["observation"]).all()
    for action, (observation, reward, _) in zip(actions, first, strict=True):
        again = other.step(action)
        assert (again[0] == observation).all()
        assert (again[1] == reward).all()
    assert (other.reset() == clinic.reset()).all()


def test_the_windows_count_the_last_steps_with_a_prescription():
    model = clinic_model(steps=40, patients=2, observation={"temporal_windows": (3, 10)})
    clinic = Clinic(model, stream_states(0, "x", count=2))
    generator = np.random.default_rng(2)
    for _ in range(2):
        assert not model.layout.decode(clinic.reset()).prescribed_fraction.any()
        given_before, visible = [], clinic.visible_amr
        for _ in range(40):
            actions = generator.integers(0, 3, (2, 2))
            given_before.append([[(row == j).any() for j in range(2)] for row in actions])
            decoded = model.layout.decode(clinic.step(actions)[0])
            for w, window in enumerate((3, 10)):
                expected = np.sum(given_before[-window:], axis=0) / window
                np.testing.assert_allclose(decoded.prescribed_fraction[:, :, w], expected, 1e-6)
            change = clinic.visible_amr - visible
            np.testing.assert_allclose(decoded.visible_amr_change, change, atol=1e-7)
            visible = clinic.visible_amr


def test_the_previous_action_is_one_hot_and_zero_after_reset():
    model = clinic_model(
        patients=3,
        observation={"include_previous_action": True, "include_steps_since_amr_update": True},
        visible_amr={"update_every_n_time_steps": 5},
    )
    clinic = Clinic(model, stream_states(0, "x", count=2))
    assert not model.layout.decode(clinic.reset()).previous_action.any()
    actions = np.array([[0, 1, 2], [2, 2, 0]])
    decoded = model.layout.decode(clinic.step(actions)[0])
    assert (decoded.previous_action == np.eye(3)[actions]).all()
    assert decoded.steps_since_amr_update.tolist() == [1.0, 1.0]
    assert model.layout.names[-1] == "patient[2].previous_action[no_treatment]"


@settings(max_examples=25)
@given(
    drugs=st.integers(1, 2),
    patients=st.integers(1, 4),
    sigma=st.sampled_from([0.0, 0.5]),
    noise=st.sampled_from([0.0, 0.4]),
    bias=st.floats(-1.0, 1.0),
    every=st.integers(1, 6),
    windows=st.lists(st.integers(1, 12), unique=True, max_size=3),
)
def test_the_declared_bounds_contain_every_observation(
    drugs, patients, sigma, noise, bias, every, windows
):
    model = clinic_model(
        dict(list(DRUGS.items())[:drugs]),
        patients=patients,
        steps=15,
        people=population(visible=ATTRIBUTES, sigma=sigma, noise_std=noise),
        visible_amr={"noise_std": noise, "bias": bias, "update_every_n_time_steps": every},
        observation={
            "temporal_windows": tuple(windows),
            "include_previous_action": True,
            "include_steps_since_amr_update": True,
        },
    )
    clinic = Clinic(model, stream_states(1, "bounds", count=4))
    generator = np.random.default_rng(3)
    observation, truncated = clinic.reset(), False
    while not truncated:
        assert observation.shape == (4, model.layout.size)
        assert ((model.layout.low <= observation) & (observation <= model.layout.high)).all()
        actions = generator.integers(0, drugs + 1, (4, patients))
        observation, _, truncated = clinic.step(actions)
    assert ((model.layout.low <= observation) & (observation <= model.layout.high)).all()


def test_an_action_out_of_range_is_refused_and_changes_nothing():
    clinic = Clinic(clinic_model(patients=2), stream_states(0, "x", count=2))
    clinic.reset()
    before = clinic.state()
    with pytest.raises(
        InputError, match=r"in 0..2 \(2 = no treatment\), got 3 for patient 1 of en"
    ):
        clinic.step(np.array([[0, 0], [0, 3]]))
    assert all((values == before[key]).all() for key, values in clinic.state().items())


@pytest.mark.parametrize(
    ("actions", "line"),
    [
        (np.zeros((2, 2)), "actions must be integers in 0..2, got dtype float64"),
        (np.zeros((2, 3), dtype=int), r"actions must have shape \(2, 2\), got \(2, 3\)"),
    ],
)
def test_actions_of_another_kind_are_refused(actions, line):
    clinic = Clinic(clinic_model(patients=2), stream_states(0, "x", count=2))
    clinic.reset()
    with pytest.raises(InputError, match=line):
        clinic.step(actions)


def test_a_step_before_reset_or_past_the_limit_is_refused():
    clinic = Clinic(clinic_model(steps=1), stream_states(0, "x", count=1))
    nothing = np.array([[2]])
    with pytest.raises(InputError, match="step must come after reset"):
        clinic.step(nothing)
    clinic.reset()
    assert clinic.step(nothing)[2] is True
    with pytest.raises(InputError, match="the episode ended after 1 steps; call reset"):
        clinic.step(nothing)


def test_the_simulator_imports_no_learning_library():
    code = (
        "import sys, abx_amr.simulator; "
        "print([m for m in ('torch','hydra','gymnasium','stable_baselines3','optuna')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
