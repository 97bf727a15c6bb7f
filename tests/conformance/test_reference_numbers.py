"""The simulator against numbers of an independent implementation of the same model."""

import re

import numpy as np
import pytest

from abx_amr.rng import stream_states
from abx_amr.simulator import ATTRIBUTES, Clinic
from tests.conformance.neutral import (
    CASES,
    REFERENCE,
    balloon,
    clinic_model,
    population,
    reference,
    reward,
)

BALLOONS = np.load(REFERENCE / "leaky_balloon.npz")
TRACES = np.load(REFERENCE / "env_traces.npz")
STATISTICS = reference("env_statistics.json")
EPISODES = 600


def one_balloon(index):
    leak, flatness, residual, initial = BALLOONS["params"][index]
    return balloon(
        [
            {
                "name": "A",
                "leak": leak,
                "flatness": flatness,
                "residual_level": residual,
                "initial_level": initial,
            }
        ]
    )


@pytest.mark.parametrize("index", range(len(BALLOONS["params"])))
def test_a_balloon_follows_the_reference_through_200_doses(index):
    dynamics = one_balloon(index)
    pressure = dynamics.initial_state(1)
    levels, pressures, deltas = [dynamics.level(pressure)], [pressure], []
    for dose in BALLOONS["doses"][index]:
        deltas.append(dynamics.delta(levels[-1], [[dose]]))
        pressure = dynamics.step(pressure, [[dose]])
        levels.append(dynamics.level(pressure))
        pressures.append(pressure)
    expected = {
        "level_before_and_after": levels,
        "pressure": pressures,
        "delta_from_true_state": deltas,
    }
    for name, values in expected.items():
        reached = np.ravel(values)
        if name == "delta_from_true_state":
            # the reference keeps its pressure where a level near 1 no longer tells it
            told = BALLOONS["level_before_and_after"][index][:-1] < 1.0 - 1e-6
            np.testing.assert_allclose(reached[told], BALLOONS[name][index][told], atol=1e-9)
        else:
            np.testing.assert_allclose(reached, BALLOONS[name][index], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("index", range(len(BALLOONS["params"])))
def test_the_marginal_effect_of_a_dose_is_the_reference(index):
    delta = one_balloon(index).delta(
        BALLOONS["cf_level"][index][:, None], BALLOONS["cf_dose"][index][:, None]
    )
    np.testing.assert_allclose(delta[:, 0], BALLOONS["cf_delta"][index], rtol=0, atol=1e-9)


def test_expected_individual_rewards_are_the_reference():
    for entry in reference("expected_individual_rewards.json"):
        names = [drug["name"] for drug in entry["antibiotics"]]
        model = reward(entry["antibiotics"], entry["reward"])
        assert model.scale == pytest.approx(entry["scale_factor"], abs=1e-9)
        patient = [entry["patient"][name] for name in ATTRIBUTES]
        level = np.full(len(names), entry["visible_level"])
        expected = model.expected_reward(patient, level, entry["delta_visible_level"])
        treatment = [*names, "no_treatment"].index(entry["treatment"])
        assert expected[treatment] == pytest.approx(entry["expected"], abs=1e-9)


def test_expected_composite_rewards_are_the_reference():
    for entry in reference("expected_composite_rewards.json"):
        names = [drug["name"] for drug in entry["antibiotics"]]
        model = reward(entry["antibiotics"], entry["reward"])
        patients = [[patient[name] for name in ATTRIBUTES] for patient in entry["patients"]]
        level = np.array([entry["visible_levels"][name] for name in names])
        delta = np.array([entry["delta_visible_levels"][name] for name in names])
        by_treatment = model.expected_reward(patients, level, delta)
        chosen = by_treatment[np.arange(len(patients)), entry["action_indices"]]
        whole = model.composite(chosen.mean(), level)
        assert whole == pytest.approx(entry["expected"], abs=1e-9)
        assert -level.sum() == pytest.approx(entry["community_reward_sum"], abs=1e-9)


def test_effective_doses_are_the_reference():
    for entry in reference("effective_doses.json"):
        names = entry["antibiotics"]
        counts = [entry["prescriptions"][name] for name in names]
        case = CASES[entry["id"]] | {"patients_per_step": sum(counts) + 1}
        case = case | {"cross_resistance": entry["cross_resistance"]}
        clinic = Clinic(clinic_model(case), stream_states(0, "doses", count=1))
        clinic.reset()
        actions = np.repeat(np.arange(len(names) + 1), [*counts, 1])
        clinic.step(actions[None])
        expected = [entry["effective_doses"][name] for name in names]
        np.testing.assert_allclose(clinic.last_step["effective_doses"][0], expected, atol=1e-9)


def our_name(meaning):
    """Return our name of an entry that the reference describes in words."""
    windows = r"fraction_of_last_(\d+)_steps_with_any_prescription\[(\w+)\]"
    rules = [
        (r"(patient\[\d+\]\.\w+) \(observed\)", r"\1"),
        (r"visible_level\[(\w+)\]", r"visible_amr[\1]"),
        (windows, r"prescribed_fraction_of_last_\1_steps[\2]"),
        (r"visible_level_change_in_last_step\[(\w+)\]", r"visible_amr_change[\1]"),
        (r"steps_since_visible_level_update .*", "steps_since_amr_update"),
    ]
    for pattern, name in rules:
        if re.fullmatch(pattern, meaning):
            return re.sub(pattern, name, meaning)
    raise AssertionError(meaning)


@pytest.mark.parametrize("entry", reference("observation_layout.json"), ids=lambda e: e["id"])
def test_every_observation_entry_means_what_the_reference_says(entry):
    layout = clinic_model(CASES[entry["id"]]).layout
    assert list(layout.names) == [our_name(meaning) for meaning in entry["index_meaning"]]
    assert list(layout.attributes) == entry["visible_attributes_order"]
    example = np.array(entry["example_after_step_T"], dtype=np.float32)
    assert ((layout.low <= example) & (example <= layout.high)).all()


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_has_the_reference_levels_doses_and_amr_observations(name):
    actions = TRACES[f"{name}/actions"]
    model = clinic_model(CASES[name], max_time_steps=len(actions))
    clinic = Clinic(model, stream_states(0, "trace", count=1))
    observations = [clinic.reset()[0]]
    seen = {"level": [clinic.true_amr[0]], "visible": [clinic.visible_amr[0]]}
    seen |= {"effective_dose": [], "delta_visible": [], "community": [], "steps_since_update": [0]}
    for action in actions:
        observation, _, _ = clinic.step(action[None])
        observations.append(observation[0])
        step = clinic.last_step
        seen["level"].append(step["true_amr"][0])
        seen["visible"].append(step["visible_amr"][0])
        seen["effective_dose"].append(step["effective_doses"][0])
        seen["delta_visible"].append(step["delta_visible_amr"][0])
        seen["community"].append(step["community"][0])
        every = model.visible_amr.update_every_n_time_steps
        seen["steps_since_update"].append(clinic.time % every)
    for key, values in seen.items():
        np.testing.assert_allclose(values, TRACES[f"{name}/{key}"], rtol=0, atol=1e-6, err_msg=key)
    certain = [i for i, entry in enumerate(model.layout.names) if not entry.startswith("patient[")]
    expected = TRACES[f"{name}/obs"][:, certain]
    np.testing.assert_allclose(np.array(observations)[:, certain], expected, rtol=0, atol=1e-6)


def actions_of(policy, model, observation, generator):
    shape = (len(observation), model.num_patients_per_time_step)
    none = len(model.antibiotics)
    if policy == "never":
        return np.full(shape, none)
    if policy == "always_first":
        return np.zeros(shape, dtype=np.int64)
    if policy == "random":
        return generator.integers(0, none + 1, shape)
    infected = model.layout.decode(observation).attributes["prob_infected"]
    return np.where(infected > 0.5, 0, none)


@pytest.mark.parametrize("entry", STATISTICS, ids=lambda e: f"{e['case']}-{e['policy']}")
def test_episodes_have_the_reference_statistics(entry):
    model = clinic_model(CASES[entry["case"]], max_time_steps=entry["horizon"])
    clinic = Clinic(model, stream_states(7, "statistics", count=EPISODES))
    generator = np.random.default_rng(5)
    observation = clinic.reset()
    sums, curves = {}, {"level_curve": [], "visible_level_curve": []}
    summed = {
        "episode_return": "reward",
        "individual_component_sum": "individual",
        "community_component_sum": "community",
        "benefits_per_episode": "benefits",
        "failures_per_episode": "failures",
        "adverse_events_per_episode": "adverse_events",
        "prescriptions_per_episode": "prescriptions",
    }
    infected = 0
    for time in range(1, entry["horizon"] + 1):
        infected = infected + clinic.cohort.infected.sum(axis=1)
        observation, _, _ = clinic.step(actions_of(entry["policy"], model, observation, generator))
        for name, key in summed.items():
            sums[name] = sums.get(name, 0.0) + clinic.last_step[key]
        if time in entry["curve_steps"]:
            curves["level_curve"].append(clinic.true_amr)
            curves["visible_level_curve"].append(clinic.visible_amr)
    sums["infected_patients_per_episode"] = infected
    sums["final_level"], sums["final_visible_level"] = clinic.true_amr, clinic.visible_amr
    sums |= {name: np.stack(values, axis=1) for name, values in curves.items()}
    for name, values in sums.items():
        ours, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(EPISODES)
        theirs, their_error = np.array(entry[name]["mean"]), np.array(entry[name]["se"])
        allowed = 4.0 * np.hypot(error, their_error)
        allowed = np.where(their_error == 0.0, 1e-6 * np.maximum(1.0, np.abs(theirs)), allowed)
        assert (np.abs(ours - theirs) <= allowed + 1e-9).all(), (name, ours, theirs, allowed)


@pytest.mark.parametrize(
    "entry", reference("patient_attribute_statistics.json"), ids=lambda e: e["id"]
)
def test_patients_have_the_reference_distribution(entry):
    case = CASES[entry["id"]]
    samples, envs = entry["samples"], 100
    levels = entry["true_levels_used"]
    drugs = [
        drug | {"initial_level": levels[drug["name"]], "residual_level": 0.0}
        for drug in case["antibiotics"]
    ]
    case = case | {"antibiotics": drugs, "patients_per_step": samples // envs}
    visible = case["patient_populations"][0]["visible_attributes"]
    everything = [
        part | {"visible_attributes": list(ATTRIBUTES)} for part in case["patient_populations"]
    ]
    assert set(visible) <= set(ATTRIBUTES)
    case = case | {"patient_populations": everything}
    model = clinic_model(case)
    assert population(everything).visible_patient_attributes == ATTRIBUTES
    clinic = Clinic(model, stream_states(3, "patients", count=envs))
    seen = model.layout.decode(clinic.reset()).attributes
    cohort = clinic.cohort

    def same_rate(ours, theirs):
        error = np.sqrt(max(theirs * (1.0 - theirs), 1e-12) / samples)
        assert ours == pytest.approx(theirs, abs=4.0 * np.sqrt(2.0) * error)

    same_rate(cohort.infected.mean(), entry["infected_rate"])
    for j, name in enumerate(model.antibiotics):
        same_rate(cohort.sensitive[:, :, j].mean(), entry["sensitive_rate"][name])
    for a, name in enumerate(ATTRIBUTES):
        theirs = entry["attributes"][name]
        pairs = {"true": cohort.attributes[:, :, a].ravel(), "observed": np.ravel(seen[name])}
        for kind, values in pairs.items():
            stated = theirs[kind]
            error = 4.0 * np.sqrt(2.0) * stated["std"] / np.sqrt(samples) + 1e-6
            assert values.mean() == pytest.approx(stated["mean"], abs=error), (name, kind)
            assert values.std() == pytest.approx(stated["std"], abs=0.01), (name, kind)
            for key, share in (("q05", 0.05), ("q50", 0.5), ("q95", 0.95)):
                assert np.quantile(values, share) == pytest.approx(stated[key], abs=0.02), name
        if theirs["correlation"] is not None and theirs["true"]["std"] > 1e-6:
            ours = np.corrcoef(pairs["true"], pairs["observed"])[0, 1]
            assert ours == pytest.approx(theirs["correlation"], abs=0.02), name
