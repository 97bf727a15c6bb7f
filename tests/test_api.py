"""The door for notebooks: overrides in, objects out."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import abx_amr
from abx_amr.configuration.composing import resolved
from abx_amr.errors import InputError
from abx_amr.runs.finished import EvaluateResult, FinishedRun, TrainResult
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.listening import RunListener

KEYS = (
    "true_amr", "visible_amr", "prescriptions", "effective_doses", "delta_visible_amr", "benefits",
    "failures", "adverse_events", "individual", "community", "reward",
)  # fmt: skip


def test_compose_gives_the_configuration_of_the_overrides() -> None:
    config = abx_amr.compose("experiment=paper_two", "training.seed=7")
    assert config.training.seed == 7
    assert config.environment.num_patients_per_time_step == 1
    with pytest.raises(InputError, match="did you mean 'paper_two'"):
        abx_amr.compose("experiment=paper_tow")


def test_make_env_is_a_gymnasium_environment_with_the_step_in_info() -> None:
    env = abx_amr.make_env("antibiotics=single", seed=3)
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    info = env.step(np.zeros(5, dtype=np.int64))[4]
    assert set(KEYS) <= set(info)
    assert np.shape(info["prescriptions"]) == (1,)
    assert info["prescriptions"][0] == 5


def test_last_step_of_the_vec_env_has_one_row_for_each_environment() -> None:
    env = abx_amr.make_vec_env(3, seed=3)
    env.reset()
    env.step(np.zeros((3, 5), dtype=np.int64))
    assert set(KEYS) <= set(env.last_step)
    assert np.shape(env.last_step["prescriptions"]) == (3, 2)
    assert np.shape(env.last_step["benefits"]) == (3,)


def test_unseeded_environments_differ_and_seeded_ones_do_not() -> None:
    def first(seed: int | None) -> np.ndarray:
        env = abx_amr.make_vec_env(2, "patient_generator=heterogeneous", seed=seed)
        return np.asarray(env.reset())

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
    assert not np.array_equal(first(None), first(None))


def test_the_expected_reward_is_the_closed_form() -> None:
    config = abx_amr.compose()
    levels = np.array([[0.0, 0.0], [0.5, 0.2]])
    found = abx_amr.expected_reward(config, amr_level=levels, prob_infected=0.8)
    # pI (1-a) RB + pI a RF + pAE AE, with RB = 1, RF = -1 and penalties over 10
    by_hand = [
        [0.8 - 0.02, 0.8 - 0.045, -0.8],
        [0.8 * 0.5 - 0.8 * 0.5 - 0.02, 0.8 * 0.8 - 0.8 * 0.2 - 0.045, -0.8],
    ]
    assert found == pytest.approx(np.array(by_hand))


def test_the_expected_reward_broadcasts_patients_over_levels() -> None:
    config = abx_amr.compose("antibiotics=single")
    risks = np.linspace(0, 1, 5)
    found = abx_amr.expected_reward(config, amr_level=np.zeros((5, 1)), prob_infected=risks)
    assert found.shape == (5, 2)
    assert (np.diff(found[:, 0]) > 0).all()
    with pytest.raises(InputError, match="did you mean 'prob_infected'"):
        abx_amr.expected_reward(config, amr_level=[0.0], prob_infectd=0.5)
    with pytest.raises(InputError, match="needs prob_infected"):
        abx_amr.expected_reward(config, amr_level=[0.0])


def test_a_policy_is_loaded_by_the_name_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create("results", "mine")
    folder.write_config(resolved(abx_amr.compose("agent_algorithm=never")))
    actions, _ = abx_amr.load_policy("mine").predict(np.zeros((1, 7), dtype=np.float32))
    assert actions.tolist() == [[2] * 5]
    with pytest.raises(InputError, match="did you mean 'mine'"):
        abx_amr.load_policy("mime")


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import abx_amr, sys; print([m for m in ('torch', 'numba', 'hydra') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


TINY = (
    *("environment.max_time_steps=16", "training.n_envs=2", "training.num_eval_episodes=3"),
    *("agent_algorithm.n_steps=16", "agent_algorithm.batch_size=8", "figures=false"),
    *("agent_algorithm.policy_kwargs.net_arch=[4]", "training.total_num_training_episodes=2"),
    "report=false",
)


def test_a_training_gives_back_its_run_its_summary_and_its_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = abx_amr.train("experiment=paper_two", *TINY, "run_name=mine").run
    assert run.run_name == "mine"
    assert run.folder.parent == Path("results")
    assert run.n_episodes == len(run.episodes) == 3
    assert run.mean_return == pytest.approx(run.episodes["episode_return"].mean())
    low, high = run.mean_return_interval
    assert low is not None and high is not None
    assert low <= run.mean_return <= high
    assert set(run.evaluations["transitions"]) >= set(run.episodes["transitions"])
    assert "mine" in repr(run)
    shown = run._repr_html_()
    assert f"{run.mean_return:.2f} (95 % interval {low:.2f} to {high:.2f})" in shown
    assert "optimality gap" in shown
    found = abx_amr.evaluate("run=mine", "against=never", "evaluation.episodes=4")
    assert found.run_name == "mine_evaluated"
    assert found.against is not None
    assert found.against["name"] == "never"
    assert len(found.episodes) == 4
    assert f"<th>minus never</th><td>{found.against['mean']:.2f} " in found._repr_html_()


def test_a_training_of_several_seeds_gives_a_run_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = abx_amr.train(*TINY, "training.seeds=[5,3]", "run_name=two")
    assert [run.run_name for run in result.runs] == ["two_seed5", "two_seed3"]
    means = [run.mean_return for run in result.runs]
    assert result.mean_return == pytest.approx(np.mean(means))
    assert result.over_seeds.n == 2
    shown = result._repr_html_()
    assert "two_seed5" in shown and "two_seed3" in shown
    assert f"<th>mean over seeds</th><td>{result.mean_return:.2f} " in shown
    with pytest.raises(InputError, match="there are 2 runs"):
        _ = result.run
    again = abx_amr.train(*TINY, "training.seeds=[5,3]", "run_name=two", "skip_if_exists=true")
    assert all(run.is_skipped for run in again.runs)
    assert [run.folder for run in again.runs] == [run.folder for run in result.runs]


def test_a_composed_configuration_is_trained_as_its_overrides_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = abx_amr.compose(*TINY, "training.seed=7")
    config.run_name = "composed"
    composed = abx_amr.train(config).run
    message = abx_amr.train(*TINY, "training.seed=7", "run_name=said").run
    assert composed.episodes.equals(message.episodes)
    config.run_name = None
    with pytest.raises(InputError, match="run_name must be given"):
        abx_amr.train(config)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("experiment=paper_tow",), "did you mean 'paper_two'"),
        (("training.seed=1,2",), "sweeps over values"),
        (("agent_algorithm.learning_rate=-1",), "learning_rate must be"),
    ],
)
def test_what_cannot_be_trained_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        abx_amr.train(*overrides)
    assert not list(tmp_path.iterdir())


def test_whoever_listens_is_told_of_transitions_and_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[object] = []

    class Listener(RunListener):
        def finished(self, run: FinishedRun) -> None:
            heard.append(run.run_name)

        @contextmanager
        def progress(self, run_name: str) -> Iterator[Callable[[int, int], None]]:
            yield lambda done, total: heard.append(done / total)

    abx_amr.train(*TINY, "run_name=mine", listener=Listener())
    assert heard[-2:] == [1.0, "mine"]


def test_a_plan_is_shown_with_its_optimum_and_its_rules() -> None:
    plan = abx_amr.plan("experiment=paper_single", "plan.audit=false")
    shown = plan._repr_html_()
    assert plan.optimum is not None
    assert f"<th>optimum</th><td>{plan.optimum.lower:.2f}</td>" in shown
    assert all(f"<td>{row['value']:.3f}</td>" in shown for row in plan.policies)


def test_what_a_cell_shows_is_escaped() -> None:
    wicked = "<script>alert(1)</script>"
    summary = {
        "run_name": wicked,
        "mean_return": 1.0,
        "iqm_return": 1.0,
        "mean_return_interval_95": [None, None],
        "evaluation_episodes": 1,
        "tuned_values": {"a.b": wicked},
        "collapse": {"kind": wicked, "evidence": wicked},
        "against": {"name": wicked, "mean": 1.0, "standard_error": None, "verdict": wicked},
    }
    run = EvaluateResult(folder=Path(wicked), summary=summary)
    several = TrainResult(runs=(run, run))
    for shown in (run._repr_html_(), several._repr_html_()):
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown


def test_no_environment_at_all_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match="n_envs must be a whole number of at least 1, got 0"):
        abx_amr.make_vec_env(0, seed=1)
