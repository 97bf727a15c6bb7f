"""Direct policy search: its evolution, its network and its compiled episodes."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cmaes import SepCMA

from abx_amr.agents.learners.policy_search.evolution import Evolution
from abx_amr.agents.learners.policy_search.network import PolicyNetwork, attribute_scales
from abx_amr.agents.learners.policy_search.policy import SearchedPolicy
from abx_amr.agents.learners.policy_search.rollouts import Rollouts
from abx_amr.agents.learners.policy_search.search import PolicySearchAgent
from abx_amr.agents.read_back import effective_values, find_read_back
from abx_amr.api import load_policy
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.configuration.values import with_values
from abx_amr.envs.single_env import ClinicEnv
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.rng import stream_states, stream_states_at
from abx_amr.runs.run import Run
from abx_amr.runs.training import execute
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel

SHORT = "environment.max_time_steps=60"
EVERYTHING = (
    "environment.temporal_windows=[5,20]",
    "environment.include_previous_action=true",
    "environment.include_steps_since_amr_update=true",
    "environment.include_time_remaining=true",
)
CLINICS: dict[str, tuple[str, ...]] = {
    "two": ("experiment=paper_two",),
    "cross": ("experiment=paper_two_cross_resistant", "reward_calculator.lambda_weight=0.3"),
    "late and noisy": ("experiment=paper_degraded", *EVERYTHING),
    "mixture": ("patient_generator=mixed_risk", *EVERYTHING),
    "noisy attributes": ("experiment=paper_crowded",),
    "epsilon": ("reward_calculator.epsilon=0.1",),
}


def clinic(*overrides: str) -> ClinicModel:
    return build_clinic(compose("train", [SHORT, *overrides]).plain)


def network_of(model: ClinicModel, *, hidden_units: int = 8) -> PolicyNetwork:
    centres, spreads = attribute_scales(model)
    return PolicyNetwork(
        layout=model.layout,
        hidden_units=hidden_units,
        log_levels=True,
        centres=centres,
        spreads=spreads,
    )


def candidates_of(network: PolicyNetwork, count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, network.size))


# --- the evolution -------------------------------------------------------------------------------


def test_the_evolution_is_the_separable_cma_es_of_the_literature() -> None:
    theirs = SepCMA(mean=np.ones(12), sigma=0.5, population_size=16, seed=1)
    ours = Evolution.begin(np.ones(12), 0.5)
    generator = np.random.default_rng(0)
    for _ in range(40):
        candidates = ours.candidates(generator.normal(size=(16, 12)))
        scores = -(candidates**2 * np.arange(1, 13)).sum(axis=1)
        theirs.tell([(x.copy(), -score) for x, score in zip(candidates, scores, strict=True)])
        ours = ours.told(candidates, scores)
        np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-9)
    assert ours.step_size == pytest.approx(theirs._sigma)
    assert np.abs(ours.mean).max() < 0.2


def test_only_the_order_of_scores_counts() -> None:
    start = Evolution.begin(np.zeros(5), 1.0)
    candidates = start.candidates(np.random.default_rng(2).normal(size=(8, 5)))
    scores = np.random.default_rng(3).normal(size=8)
    np.testing.assert_array_equal(
        start.told(candidates, scores).mean, start.told(candidates, np.exp(scores)).mean
    )


def test_an_evolution_goes_on_from_its_state_to_the_bit() -> None:
    search = Evolution.begin(np.zeros(5), 1.0)
    normals = np.random.default_rng(4).normal(size=(3, 8, 5))
    for z in normals[:2]:
        candidates = search.candidates(z)
        search = search.told(candidates, candidates.sum(axis=1))
    again = Evolution.restored(search.state())
    assert again.generation == search.generation == 2
    np.testing.assert_array_equal(again.candidates(normals[2]), search.candidates(normals[2]))


# --- the network ---------------------------------------------------------------------------------


def reference(network: PolicyNetwork, weights: np.ndarray, observation: np.ndarray) -> np.ndarray:
    """Return the treatments (P,) of one observation, written out once more in double precision."""
    layout, names = network.layout, network.layout.names
    value = dict(zip(names, observation.astype(float), strict=True))
    units, rows = network.first_units, iter(weights.astype(np.float32).astype(float))

    def take(count: int) -> np.ndarray:
        return np.array([next(rows) for _ in range(count)])

    common = take(units)
    for name in network.clinic_inputs:
        if name.startswith("log "):
            x = (np.log(value[name.removeprefix("log ")] + 1e-3) + 3.4538777) * 4 / 6.9077553
        elif name == "steps_since_amr_update":
            x = 2 * value[name] / float(layout.high[names.index(name)])
        else:
            x = 2 * value[name]
        common = common + take(units) * x
    inputs = [take(units) for _ in network.patient_inputs]
    if network.hidden_units:
        biases = take(network.num_treatments)
        scores = [take(network.num_treatments) for _ in range(network.hidden_units)]
    chosen = []
    last = max(1, layout.num_patients - 1)
    for p in range(layout.num_patients):
        own = common + inputs[0] * (2 * p + 1 - layout.num_patients) / last
        for row, name in zip(inputs[1:], network.patient_inputs[1:], strict=True):
            x = value[f"patient[{p}].{name}"]
            if name in layout.attributes:
                at = layout.attributes.index(name)
                x = (x - network.centres[at]) / network.spreads[at]
            own = own + row * x
        if network.hidden_units:
            own = biases + np.tanh(own) @ np.array(scores)
        chosen.append(int(own.argmax()))
    assert next(rows, None) is None
    return np.array(chosen)


@pytest.mark.parametrize("hidden_units", [8, 0])
@pytest.mark.parametrize("name", CLINICS)
def test_the_compiled_network_is_the_one_written_out_in_numpy(name: str, hidden_units: int) -> None:
    model = clinic(*CLINICS[name])
    network = network_of(model, hidden_units=hidden_units)
    seen = observations(model)
    given = []
    for weights in candidates_of(network):
        expected = np.stack([reference(network, weights, row) for row in seen])
        found = SearchedPolicy(network, weights).predict(seen)[0]
        assert (found == expected).mean() > 0.999
        given.append(expected)
    assert len(np.unique(given)) > 1


def observations(model: ClinicModel) -> np.ndarray:
    """Return what is seen in an episode of random treatments, (N, D)."""
    generator = np.random.default_rng(5)
    clinics = Clinic(model, stream_states(5, "seen", count=2))
    seen = [clinics.reset()]
    shape = (2, model.num_patients_per_time_step)
    for _ in range(model.max_time_steps):
        actions = generator.integers(model.num_treatments, size=shape)
        seen.append(clinics.step(actions)[0])
    return np.concatenate(seen[::4])


def test_one_observation_gives_one_row_of_treatments() -> None:
    model = clinic()
    network = network_of(model)
    policy = SearchedPolicy(network, candidates_of(network)[0])
    row = np.zeros(model.layout.size, np.float32)
    actions, state = policy.predict(row, "mine")
    assert actions.shape == (5,)
    assert state == "mine"
    np.testing.assert_array_equal(actions, policy.predict(row[None])[0][0])
    with pytest.raises(InputError, match="observations must have shape"):
        policy.predict(row[:-1])


def test_stable_baselines3_evaluates_it_as_one_of_its_own() -> None:
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecMonitor

    model = clinic("experiment=paper_two")
    network = network_of(model)
    policy = SearchedPolicy(network, candidates_of(network)[0])
    playing: Any = policy
    for env in (VecMonitor(ClinicVecEnv(model, 3, seed=1)), Monitor(ClinicEnv(model, seed=1))):
        returns, lengths = evaluate_policy(
            playing, env, n_eval_episodes=6, deterministic=False, return_episode_rewards=True
        )
        assert len(returns) >= 6
        assert set(lengths) == {model.max_time_steps}
    assert np.std(returns) > 0


# --- compiled episodes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLINICS)
def test_compiled_episodes_are_those_of_the_clinic(name: str) -> None:
    model = clinic(*CLINICS[name])
    network = network_of(model)
    candidates = candidates_of(network)
    streams = stream_states_at(3, "evaluation", "clinic", indices=range(4))
    returns = Rollouts(model, network).returns(candidates, streams)
    for weights, found in zip(candidates, returns, strict=True):
        policy = SearchedPolicy(network, weights)
        expected = evaluate(policy, model, episodes=4, seed=3).returns
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert returns.std() > 0


def test_returns_do_not_depend_on_the_number_of_threads() -> None:
    model = clinic("patient_generator=mixed_risk")
    network = network_of(model)
    candidates, streams = candidates_of(network), stream_states(1, "x", count=5)
    one = Rollouts(model, network).returns(candidates, streams)
    three = Rollouts(model, network, threads=3).returns(candidates, streams)
    np.testing.assert_array_equal(one, three)


def test_a_clinic_of_a_users_own_class_is_played_in_batches() -> None:
    from dataclasses import replace

    from abx_amr.simulator.dynamics import LeakyBalloon

    class Own(LeakyBalloon):
        """No other law, but no shipped class."""

    model = clinic("experiment=paper_two")
    assert isinstance(model.dynamics, LeakyBalloon)
    own = object.__new__(Own)
    own.__dict__.update(vars(model.dynamics))
    network = network_of(model)
    candidates, streams = candidates_of(network), stream_states(1, "x", count=3)
    np.testing.assert_array_equal(
        Rollouts(replace(model, dynamics=own), network).returns(candidates, streams),
        Rollouts(model, network).returns(candidates, streams),
    )


# --- the agent -----------------------------------------------------------------------------------

PLAN = (
    "agent_algorithm=policy_search",
    "experiment=paper_two",
    "agent_algorithm.population=16",
    "agent_algorithm.episodes_per_candidate=2",
    "training.total_num_training_episodes=640",
    "training.eval_freq_every_n_episodes=320",
)


def test_it_finds_a_better_policy_than_never_treating_and_is_loaded_again(tmp_path: Path) -> None:
    config = compose("train", [*PLAN, "environment.max_time_steps=200"]).plain
    model = build_clinic(config)
    folder = execute(
        Run(
            run_name="searched",
            results_dir=str(tmp_path),
            model=model,
            prescriber=build_learner(config),
            settings=build_training(config),
            config=config,
            figures=False,
        )
    )
    never = compose("train", ["agent_algorithm=never"]).plain
    from abx_amr.configuration.agent import build_rule

    worst = evaluate(build_rule(never, model), model, episodes=10, seed=0)
    summary = folder.read_summary()
    assert summary["mean_return"] > worst.mean_return + 20
    assert summary["transitions"] == 640 * 200
    assert summary["updates"] == 20
    policy = load_policy(folder.path, checkpoint="last")
    assert evaluate(policy, model, episodes=10, seed=0).mean_return == summary["mean_return"]


def test_its_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    config = compose("train", [*PLAN, SHORT]).plain
    plan = Run(
        run_name="searched",
        results_dir=str(tmp_path),
        model=build_clinic(config),
        prescriber=build_learner(config),
        settings=build_training(config),
        config=config,
        figures=False,
    )
    folder = execute(plan)
    state = folder.read_checkpoint("last").state
    assert all(np.asarray(value).dtype.kind in "fiub" for value in state.values())
    for file in folder.path.glob("checkpoints/*.zip"):
        with zipfile.ZipFile(file) as archive:
            assert not [n for n in archive.namelist() if n.endswith((".pkl", ".pth"))]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("population", 3),
        ("episodes_per_candidate", 0),
        ("initial_step_size", 0.0),
        ("hidden_units", -1),
        ("sees_log_levels", "yes"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(name: str, value: Any) -> None:
    config = compose("train", list(PLAN)).plain
    with pytest.raises(InputError, match=rf"agent_algorithm\.{name}"):
        build_learner(with_values(config, {f"agent_algorithm.{name}": value}))


def test_shipped_settings_bring_their_own_length_and_a_given_one_counts() -> None:
    own = build_training(compose("train", ["agent_algorithm=policy_search"]).plain)
    assert own.total_num_training_episodes > 10_000
    assert own.eval_freq_every_n_episodes > 1_000
    told = compose(
        "train", ["agent_algorithm=policy_search", "training.total_num_training_episodes=100"]
    )
    assert build_training(told.plain).total_num_training_episodes == 100
    plain = build_training(compose("train", ["agent_algorithm=ppo_tutorial"]).plain)
    assert (plain.total_num_training_episodes, plain.eval_freq_every_n_episodes) == (25, 5)


def test_every_value_of_the_shipped_search_space_is_read_back_from_the_built_agent() -> None:
    config = compose("tune", ["+tuning=policy_search_default", SHORT]).plain
    space = config["tuning"]["search_space"]
    points = {
        f"agent_algorithm.{name}": entry.get("choices") or [entry["low"], entry["high"]]
        for name, entry in space.items()
    }
    assert len(points) == 5

    def build(values: Any) -> Any:
        told = with_values(config, values)
        return build_learner(told).build(build_clinic(told), build_training(told))

    names = find_read_back(build, points)
    last = {path: values[-1] for path, values in points.items()}
    assert effective_values(build(last), names) == last


@pytest.mark.parametrize(("told", "threads"), [("null", 6), ("1", 1), ("3", 3)])
def test_it_takes_the_processors_that_there_are_unless_told_how_many(
    told: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abx_amr.host.processors.available", lambda: 6)
    config = compose("train", [*PLAN, SHORT, f"training.torch_threads={told}"]).plain
    settings = build_training(config)
    agent = build_learner(config).build(build_clinic(config), settings)
    assert isinstance(agent, PolicySearchAgent)
    assert agent.rollouts.threads == threads
    assert settings.threads == (1 if told == "null" else threads)  # of torch
