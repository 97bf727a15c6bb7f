"""What every resistance model, population and reward must do, shipped or a user's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abx_amr.rng import stream_states
from abx_amr.simulator import (
    ATTRIBUTES,
    PADDING,
    Clinic,
    Draws,
    PatientMixture,
    TreatedCohort,
)
from tests.clinics import CROSS_RESISTANCE, clinic_model, crowded_model, population
from tests.examples.own_components import CuresOnly, FadingMemory, Seasons

DRUGS = ("A", "B")
VARIED = population(visible=ATTRIBUTES, sigma=0.3, noise_std=0.2, prob_infected=0.5)
DYNAMICS = {
    "leaky_balloon": clinic_model().dynamics,
    "own": FadingMemory(antibiotics=DRUGS, half_life=10.0, growth=0.05),
}
POPULATIONS = {
    "constant": population(),
    "gaussian": VARIED,
    "mixture": PatientMixture(populations={"few": (0.25, population()), "many": (0.75, VARIED)}),
    "own": Seasons(low=0.2, high=0.9),
    "mixture_with_own": PatientMixture(
        populations={"few": (0.25, VARIED), "many": (0.75, Seasons(low=0.2, high=0.9))}
    ),
}
REWARDS = {
    "clinical": clinic_model(rewards={"epsilon": 0.05, "lambda_weight": 0.4}).reward,
    "own": CuresOnly(antibiotics=DRUGS),
}

doses = st.lists(st.floats(0.0, 20.0), min_size=2, max_size=2)


@pytest.mark.parametrize("name", DYNAMICS)
@given(history=st.lists(doses, max_size=6), dose=doses, more=doses)
def test_prescribing_more_never_lowers_resistance(name, history, dose, more):
    dynamics = DYNAMICS[name]
    state = dynamics.initial_state(1)
    for earlier in history:
        state = dynamics.step(state, np.array([earlier]))
    less = dynamics.level(dynamics.step(state, np.array([dose])))
    higher = dynamics.level(dynamics.step(state, np.array([dose]) + np.array([more])))
    assert (higher >= less).all()
    assert ((less >= 0.0) & (higher <= 1.0)).all()


@pytest.mark.parametrize("name", DYNAMICS)
@given(level=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2), dose=doses)
def test_the_last_dose_never_lowers_resistance(name, level, dose):
    delta = DYNAMICS[name].delta(np.array([level]), np.array([dose]))
    assert delta.shape == (1, 2)
    assert (delta >= -1e-12).all()


@pytest.mark.parametrize("name", DYNAMICS)
def test_resistance_depends_on_its_own_environment_alone(name):
    dynamics = DYNAMICS[name]
    state = dynamics.initial_state(3)
    given_doses = np.array([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]])
    whole = dynamics.level(dynamics.step(state, given_doses))
    for e in range(3):
        alone = dynamics.level(dynamics.step(dynamics.initial_state(1), given_doses[e : e + 1]))
        assert (alone[0] == whole[e]).all()


@pytest.mark.parametrize("name", POPULATIONS)
def test_patients_stay_within_their_bounds(name):
    people = POPULATIONS[name]
    cohort = people.sample(Draws(stream_states(1, "people", count=40)), 50)
    low, high = people.observed_bounds
    assert cohort.attributes.shape == cohort.observed.shape == (40, 50, 6)
    assert (cohort.attributes >= 0.0).all()
    assert (cohort.attributes[:, :, [0, 5]] <= 1.0).all()
    for name in people.visible_patient_attributes:
        a = ATTRIBUTES.index(name)
        assert (cohort.observed[:, :, a] >= low[a]).all()
        assert (cohort.observed[:, :, a] <= high[a]).all()


@pytest.mark.parametrize("name", POPULATIONS)
def test_patients_depend_on_their_own_stream_alone(name):
    people = POPULATIONS[name]
    rows = stream_states(1, "people", count=5)
    together = people.sample(Draws(rows.copy()), 7)
    for e in range(5):
        alone = people.sample(Draws(rows[e : e + 1].copy()), 7)
        assert (alone.attributes[0] == together.attributes[e]).all()
        assert (alone.observed[0] == together.observed[e]).all()


@pytest.mark.parametrize("name", ["mixture", "mixture_with_own"])
def test_a_mixture_draws_its_groups_by_proportion_and_pads_what_a_member_hides(name):
    people = POPULATIONS[name]
    cohort = people.sample(Draws(stream_states(2, "people", count=200)), 100)
    assert (cohort.group == 0).mean() == pytest.approx(0.25, abs=4.0 * np.sqrt(0.25 * 0.75 / 2e4))
    for g, member in enumerate(people.members):
        for a, attribute in enumerate(ATTRIBUTES):
            seen = cohort.observed[cohort.group == g][:, a]
            hidden = attribute not in member.visible_patient_attributes
            assert (seen == PADDING).all() if hidden else (seen >= 0.0).all()


def cohort_of(actions, *, envs, generator):
    patients = np.array([0.7, 1.3, 0.8, 0.9, 1.1, 0.2])
    level = np.array([0.3, 0.6])
    shape = (envs, len(actions))
    return TreatedCohort(
        actions=np.tile(np.array(actions), (envs, 1)),
        attributes=np.tile(patients, (*shape, 1)),
        infected=generator.random(shape) < patients[0],
        sensitive=generator.random((*shape, 2)) < 1.0 - level,
        uniforms=generator.random((*shape, 3)),
        visible_amr=np.tile(level, (envs, 1)),
        delta=np.tile([0.01, 0.2], (envs, 1)),
    )


@pytest.mark.parametrize("name", REWARDS)
@pytest.mark.parametrize("treatment", [0, 1, 2])
def test_the_mean_reward_is_the_closed_form(name, treatment):
    model, envs = REWARDS[name], 200_000
    cohort = cohort_of([treatment], envs=envs, generator=np.random.default_rng(treatment))
    score = model.score(cohort)
    expected = model.expected_reward(
        cohort.attributes[0, 0], cohort.visible_amr[0], cohort.delta[0] * model.needs_delta
    )[treatment]
    error = score.individual.std() / np.sqrt(envs)
    assert score.individual.mean() == pytest.approx(expected, abs=4.0 * error)


@pytest.mark.parametrize("name", REWARDS)
def test_a_patient_has_a_benefit_or_a_failure_or_neither(name):
    score = REWARDS[name].score(cohort_of([0, 1, 2], envs=500, generator=np.random.default_rng(3)))
    assert not (score.benefits & score.failures).any()
    assert score.reward.shape == (500,)
    assert not score.adverse_events[:, 2].any()


COMPONENTS = {"dynamics": DYNAMICS, "population": POPULATIONS, "reward": REWARDS}


@pytest.mark.parametrize(
    ("part", "name"), [(part, name) for part, members in COMPONENTS.items() for name in members]
)
def test_every_member_runs_in_a_clinic_within_the_declared_bounds(part, name):
    model = clinic_model(
        cross_resistance=CROSS_RESISTANCE,
        patients=4,
        steps=30,
        people=VARIED,
        observation={"include_previous_action": True, "temporal_windows": (2, 5)},
    )
    parts = {field: getattr(model, field) for field in model.__dataclass_fields__}
    model = type(model)(**(parts | {part: COMPONENTS[part][name]}))
    clinic = Clinic(model, stream_states(1, "member", count=6))
    generator = np.random.default_rng(0)
    observations, truncated = [clinic.reset()], False
    while not truncated:
        observation, reward, truncated = clinic.step(generator.integers(0, 3, (6, 4)))
        observations.append(observation)
        assert (clinic.last_step["reward"] == reward).all()
    assert clinic.time == 30
    assert all((clinic.layout.low <= seen).all() for seen in observations)
    assert all((clinic.layout.high >= seen).all() for seen in observations)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
@pytest.mark.parametrize("people", ["constant", "gaussian", "mixture", "crowded"])
def test_the_compiled_step_gives_the_bits_of_the_components_methods(epsilon, people):
    parts = {
        "rewards": {"epsilon": epsilon, "lambda_weight": 0.3},
        "steps": 25,
        "observation": {
            "include_steps_since_amr_update": True,
            "include_previous_action": True,
            "temporal_windows": (3, 10),
        },
    }
    visible = {"update_every_n_time_steps": 4, "noise_std": 0.2, "bias": -0.1}
    if people == "crowded":
        del parts["rewards"]
        model = crowded_model(**parts)
    else:
        model = clinic_model(
            cross_resistance=CROSS_RESISTANCE,
            patients=5,
            people=POPULATIONS[people],
            visible_amr=visible,
            **parts,
        )
    streams = stream_states(4, "paths", count=3)
    fused, general = Clinic(model, streams), Clinic(model, streams, fused=False)
    generator = np.random.default_rng(1)
    for _ in range(2):
        assert (fused.reset() == general.reset()).all()
        for _ in range(25):
            actions = generator.integers(0, 3, (3, model.num_patients_per_time_step))
            ours, theirs = fused.step(actions), general.step(actions)
            assert (ours[0] == theirs[0]).all()
            assert (ours[1] == theirs[1]).all()
            for key, values in fused.last_step.items():
                assert (values == general.last_step[key]).all(), key
    assert (fused.state()["rows"] == general.state()["rows"]).all()
