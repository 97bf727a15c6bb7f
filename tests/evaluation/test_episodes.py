import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.rules import AmrThreshold, Cycling, Greedy, Myopic, Never, Random
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import COUNTS, PER_ANTIBIOTIC, SCORES, evaluate
from abx_amr.rng import stream_states_at
from abx_amr.simulator.clinic import Clinic
from tests.clinics import (
    CROSS_RESISTANCE,
    clinic_model,
    crowded_model,
    mixture,
    paper_model,
    population,
)

MODEL = clinic_model(
    cross_resistance=CROSS_RESISTANCE,
    patients=4,
    steps=60,
    people=mixture(
        high=population(sigma=0.1, noise_std=0.1, prob_infected=0.9),
        low=population(
            visible=("prob_infected", "recovery_without_treatment_prob"),
            prob_infected=0.4,
            recovery_without_treatment_prob=0.3,
        ),
    ),
    rewards={"lambda_weight": 0.3, "epsilon": 0.1},
    visible_amr={"update_every_n_time_steps": 7, "noise_std": 0.1},
    observation={"temporal_windows": (5,)},
)


class Recorder:
    """A policy that treats everybody with the first antibiotic and notes what it was handed."""

    def __init__(self):
        self.handed = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.handed.append((observation.copy(), state, episode_start.tolist(), deterministic))
        return np.zeros((len(observation), 4), dtype=np.int64), (state or 0) + 1


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("family", [Random, Myopic, Cycling])
@pytest.mark.parametrize("max_batch", [1, 2, 7])
def test_the_width_of_the_batch_changes_no_bit(family, max_batch):
    whole = evaluate(family(MODEL), MODEL, episodes=5, seed=1, trajectories=True)
    parts = evaluate(
        family(MODEL), MODEL, episodes=5, seed=1, trajectories=True, max_batch=max_batch
    )
    assert_same(whole.episodes, parts.episodes)
    assert_same(whole.per_step, parts.per_step)
    assert_same(whole.per_patient, parts.per_patient)


@settings(max_examples=15)
@given(numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True))
def test_an_episode_does_not_depend_on_which_others_are_played(numbers):
    played = evaluate(Random(MODEL), MODEL, episodes=numbers, seed=2).episodes
    alone = evaluate(Random(MODEL), MODEL, episodes=[numbers[-1]], seed=2).episodes
    for name, values in alone.items():
        assert values[0] == played[name][-1], name


def test_another_seed_gives_other_episodes():
    first = evaluate(Never(MODEL), MODEL, episodes=4, seed=0)
    second = evaluate(Never(MODEL), MODEL, episodes=4, seed=1)
    assert (first.returns != second.returns).all()


def test_the_table_is_what_the_clinic_says_of_its_steps_one_by_one():
    rule = Greedy(MODEL)
    played = evaluate(rule, MODEL, episodes=[3, 5], seed=9, per_step=True)
    clinic = Clinic(MODEL, stream_states_at(9, "evaluation", "clinic", indices=[3, 5]))
    observation = clinic.reset()
    steps = []
    for _ in range(MODEL.max_time_steps):
        observation, reward, _ = clinic.step(rule.predict(observation)[0])
        np.testing.assert_array_equal(reward, clinic.last_step["reward"])
        steps.append(clinic.last_step)
    for name in (*SCORES, *COUNTS, *PER_ANTIBIOTIC):
        values = np.array([step[name] for step in steps])
        np.testing.assert_array_equal(played.per_step[name], values, err_msg=name)
    table = played.episodes
    rewards = np.array([step["reward"] for step in steps])
    assert rewards.dtype == np.float64
    np.testing.assert_allclose(table["episode_return"], rewards.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        table["episode_return"],
        0.3 * table["community_return"] + 0.7 * table["individual_return"],
        rtol=1e-12,
    )
    for k, name in enumerate("AB"):
        given_out = sum(step["prescriptions"][:, k] for step in steps)
        levels = np.array([step["true_amr"][:, k] for step in steps])
        np.testing.assert_array_equal(table[f"prescriptions_{name}"], given_out)
        np.testing.assert_allclose(table[f"mean_true_amr_{name}"], levels.mean(axis=0))
        np.testing.assert_array_equal(table[f"final_true_amr_{name}"], levels[-1])


def test_steps_are_described_alike_in_one_sweep_and_in_several(monkeypatch):
    whole = evaluate(Greedy(MODEL), MODEL, episodes=3, seed=0, per_step=True)
    monkeypatch.setattr("abx_amr.evaluation.episodes._DESCRIBED_AT_ONCE", 21)
    parts = evaluate(Greedy(MODEL), MODEL, episodes=3, seed=0, per_step=True)
    assert_same(whole.per_step, parts.per_step)
    assert_same(whole.episodes, parts.episodes)


def test_every_prescription_is_counted_and_every_patient_has_one_outcome():
    table = evaluate(Random(MODEL), MODEL, episodes=6, seed=0).episodes
    treated = sum(
        table[name]
        for name in (
            "treated_infected_sensitive",
            "treated_infected_resistant",
            "treated_not_infected",
        )
    )
    assert (treated == table["prescriptions_A"] + table["prescriptions_B"]).all()
    assert (table["treated_not_infected"] > 0).all()
    everybody = treated + table["untreated_infected"] + table["untreated_not_infected"]
    assert (everybody == MODEL.max_time_steps * MODEL.num_patients_per_time_step).all()


def test_two_policies_meet_the_same_patients_and_the_same_luck():
    model = crowded_model(steps=40)
    never = evaluate(Never(model), model, episodes=3, seed=5, trajectories=True)
    often = evaluate(AmrThreshold(model), model, episodes=3, seed=5, trajectories=True)
    assert (never.per_patient["actions"] != often.per_patient["actions"]).any()
    observed = [name for name in never.per_patient if name.startswith("observed_")]
    assert len(observed) == 6
    for name in ("attributes", "group", "infected", "uniforms", *observed):
        np.testing.assert_array_equal(never.per_patient[name], often.per_patient[name])


def test_the_difference_of_two_similar_rules_is_known_better_from_paired_episodes():
    model = paper_model()
    first = evaluate(AmrThreshold(model, threshold=0.30), model, episodes=60, seed=5)
    second = evaluate(AmrThreshold(model, threshold=0.322), model, episodes=60, seed=5)
    difference = first.difference_from(second)
    assert difference.mean == pytest.approx(first.mean_return - second.mean_return)
    assert difference.standard_error < 0.5 * difference.unpaired_standard_error


def test_evaluations_of_other_episodes_are_not_compared_in_pairs():
    first = evaluate(Never(MODEL), MODEL, episodes=3, seed=0)
    with pytest.raises(InputError, match="must share their seed"):
        first.difference_from(evaluate(Never(MODEL), MODEL, episodes=3, seed=1))
    with pytest.raises(InputError, match="must share their episodes"):
        first.difference_from(evaluate(Never(MODEL), MODEL, episodes=[0, 1, 3], seed=0))


def test_memory_and_episode_starts_are_handed_to_the_policy():
    policy = Recorder()
    evaluate(policy, MODEL, episodes=3, seed=0, max_batch=2, deterministic=False)
    length = MODEL.max_time_steps
    assert [state for _, state, _, _ in policy.handed] == [None, *range(1, length)] * 2
    starts = [start for _, _, start, _ in policy.handed]
    assert starts[0] == [True, True] and starts[length] == [True]
    assert not any(map(any, starts[1:length]))
    assert not any(deterministic for *_, deterministic in policy.handed)


def test_a_policy_is_deterministic_unless_told_otherwise():
    policy = Recorder()
    evaluate(policy, MODEL, episodes=1, seed=0)
    assert all(deterministic for *_, deterministic in policy.handed)


def test_observations_are_normalised_before_the_policy_sees_them():
    raw, normalised = Recorder(), Recorder()
    evaluate(raw, MODEL, episodes=2, seed=0)
    evaluate(normalised, MODEL, episodes=2, seed=0, normalise=lambda seen: seen * 2.0)
    np.testing.assert_array_equal(normalised.handed[7][0], raw.handed[7][0] * 2.0)


@pytest.fixture(scope="module")
def recurrent_agent():
    env = VecNormalize(ClinicVecEnv(MODEL, 2, seed=1), norm_reward=False)
    kwargs = {"net_arch": [8], "lstm_hidden_size": 8}
    agent = RecurrentPPO(
        "MlpLstmPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=1, policy_kwargs=kwargs
    )
    return agent.learn(64)


def test_a_recurrent_agent_keeps_its_memory_through_the_episode(recurrent_agent):
    normalise = recurrent_agent.get_vec_normalize_env().normalize_obs
    played = evaluate(recurrent_agent, MODEL, episodes=2, seed=0, normalise=normalise)

    class Forgetful:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return recurrent_agent.predict(observation, None, episode_start, deterministic)

    class ByHand:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return recurrent_agent.predict(normalise(observation), state, episode_start, True)

    forgetful = evaluate(Forgetful(), MODEL, episodes=2, seed=0, normalise=normalise)
    by_hand = evaluate(ByHand(), MODEL, episodes=2, seed=0)
    np.testing.assert_array_equal(played.returns, by_hand.returns)
    assert (played.returns != forgetful.returns).any()


def test_frames_hold_every_step_and_every_patient_once():
    played = evaluate(Random(MODEL), MODEL, episodes=[4, 2], seed=0, trajectories=True)
    steps, patients = played.trajectories_frame(), played.patients_frame()
    assert steps[["episode", "step"]].values.tolist() == [
        [e, t] for e in (4, 2) for t in range(1, 61)
    ]
    assert len(patients) == 2 * 60 * 4
    assert not patients[["episode", "step", "patient"]].duplicated().any()
    table = played.to_frame().set_index("episode")
    by_episode = steps.groupby("episode")
    np.testing.assert_allclose(
        by_episode["reward"].sum(), table["episode_return"].sort_index(), rtol=1e-12
    )
    counted = patients.groupby(["episode", "treatment"], observed=False).size().unstack()
    for name in "AB":
        assert counted[name].to_dict() == table[f"prescriptions_{name}"].to_dict()
        assert by_episode[f"prescriptions_{name}"].sum().to_dict() == counted[name].to_dict()


def test_a_patient_row_says_what_its_outcome_came_from():
    patients = evaluate(
        Random(MODEL), MODEL, episodes=2, seed=0, trajectories=True
    ).patients_frame()
    assert (
        patients["infected"] == (patients["uniform_infection"] < patients["prob_infected"])
    ).all()
    assert set(patients["treatment"]) == {"A", "B", "no_treatment"}
    hidden = patients["observed_recovery_without_treatment_prob"] == -1.0
    assert (hidden == (patients["group"] == 0)).all()
    assert {"sensitive_A", "sensitive_B", "uniform_sensitivity_B", "uniform_recovery"} < set(
        patients
    )


def test_tables_survive_as_parquet():
    played = evaluate(Random(MODEL), MODEL, episodes=1, seed=0, trajectories=True)
    buffer = io.BytesIO()
    played.patients_frame().to_parquet(buffer)
    assert len(buffer.getvalue()) > 0


def test_what_was_not_recorded_is_said_not_to_be():
    played = evaluate(Never(MODEL), MODEL, episodes=1, seed=0)
    assert played.per_step is None and played.per_patient is None
    with pytest.raises(InputError, match="evaluate with per_step=True"):
        played.trajectories_frame()
    with pytest.raises(InputError, match="evaluate with trajectories=True"):
        played.patients_frame()


def test_progress_is_told_in_episodes():
    told = []
    evaluate(Never(MODEL), MODEL, episodes=5, seed=0, max_batch=2, progress=told.append)
    assert told == [2, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "episodes must be a whole number of at least 1, got 0"),
        ({"episodes": []}, "episodes must name each once and at least one"),
        ({"episodes": [1, 1]}, "episodes must name each once"),
        ({"episodes": [-1]}, "episodes must be a whole number of at least 0, got -1"),
        ({"episodes": 1, "max_batch": 0}, "max_batch must be a whole number of at least 1"),
        ({"episodes": 1, "seed": -1}, "seed must be an integer >= 0"),
    ],
)
def test_an_evaluation_that_cannot_be_is_an_error_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(Never(MODEL), MODEL, **({"seed": 0} | arguments))
