"""Every sampler draws each point once, and goes on after a death as if nothing had been."""

import importlib
import importlib.util
import inspect
import os
import signal
import sys

import numpy as np
import optuna
import pytest

from abx_amr.errors import InputError
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.samplers import (
    SamplerChoice,
    effective_budget,
    make_sampler,
    sampler_name,
    sampler_names,
)
from abx_amr.studies.samplers.grid import grid_values
from abx_amr.studies.samplers.members import sampler_called
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.space import parse_search_space
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

N_TRIALS = 12
OPTUNAS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
    "grid": "GridSampler",
}
SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "n_steps": {"type": "int", "low": 1, "high": 9, "step": 2},
    "mode": {"type": "categorical", "choices": ["flat", "steep"]},
}
GRID_SPACE = SPACE | {"x": {"type": "float", "low": -1.0, "high": 1.0, "step": 0.5}}
BY_PATH = "optuna.samplers.BruteForceSampler"
OPTIONS = {"tpe": {"n_startup_trials": 5}, "gp": {"n_startup_trials": 10}, "cmaes": {"popsize": 4}}


@pytest.fixture(scope="module", autouse=True)
def _imported_once():
    """Import what the samplers import late before the processes are forked."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    for module in ("cmaes", "scipy.stats.qmc", "optuna._gp.gp"):
        importlib.import_module(module)


@pytest.fixture(params=[*sampler_names(), BY_PATH])
def settings(request, configuration):
    is_by_path = request.param == BY_PATH
    return StudySettings.from_configuration(
        configuration(
            n_trials=N_TRIALS,
            sampler={"_target_": BY_PATH} if is_by_path else request.param,
            sampler_options=OPTIONS.get(request.param, {}),
            search_space=GRID_SPACE if is_by_path or request.param == "grid" else SPACE,
        )
    )


def run_in_a_process(in_processes, settings, storage, run_trial=parabola):
    return in_processes(1, lambda _: run_worker(settings, storage, run_trial))[0]


def finished(settings, storage):
    """Return parameters and value of every finished trial, in the order of their numbers."""
    backend = storage.open()
    trials = backend.get_all_trials(backend.get_study_id_from_name(settings.study_name))
    return [(t.params, t.values) for t in trials if t.state.name == "COMPLETE"]


def killing(at, how=os.kill):
    """Return a run_trial that dies by SIGKILL when it meets trial number `at`."""

    def run_trial(params, seeds, folder):
        if folder.name == str(at):
            how(os.getpid(), signal.SIGKILL)
        return parabola(params, seeds, folder)

    return run_trial


def test_a_study_with_deaths_in_it_equals_one_without_to_the_bit(settings, tmp_path, in_processes):
    whole = SqliteStorage(path=tmp_path / "whole" / "study.db")
    prepare_study(settings, whole)
    assert run_in_a_process(in_processes, settings, whole) == 0

    torn = SqliteStorage(path=tmp_path / "torn" / "study.db")
    for victim in (0, 9):
        prepare_study(settings, torn)
        assert run_in_a_process(in_processes, settings, torn, killing(victim)) == -signal.SIGKILL
    prepare_study(settings, torn)
    assert run_in_a_process(in_processes, settings, torn) == 0

    assert len(finished(settings, whole)) == N_TRIALS
    assert finished(settings, torn) == finished(settings, whole)


def test_failing_trials_neither_stop_a_sampler_nor_make_it_repeat_itself(settings, tmp_path):
    def run_trial(params, seeds, folder):
        outcomes = parabola(params, seeds, folder)
        if params["agent_algorithm.mode"] == "flat":
            return [type(o)(o.seed, None, failure="diverged") for o in outcomes]
        return outcomes

    storage = SqliteStorage(path=tmp_path / "study.db")
    prepare_study(settings, storage)
    report = run_worker(settings, storage, run_trial)
    assert (report.reason, report.trials_run) == ("budget", N_TRIALS)
    points = {tuple(params.values()) for params, _ in finished(settings, storage)}
    assert len(points) > N_TRIALS * 0.6


@pytest.mark.parametrize(
    ("written", "name"),
    [("TPE", "tpe"), ("Random", "random"), ("CmaEs", "cmaes"), ("CMAES", "cmaes"), ("GP", "gp")],
)
def test_the_tutorials_spellings_are_known(written, name):
    assert SamplerChoice(name=written).name == name


def test_an_unknown_sampler_is_refused_with_the_nearest_and_the_known_ones():
    with pytest.raises(InputError, match=r"'tpee' does not exist; did you mean 'tpe'") as error:
        sampler_name("tpee")
    assert all(name in str(error.value) for name in sampler_names())


def test_an_option_the_sampler_does_not_take_is_refused_by_name():
    with pytest.raises(InputError, match=r"n_startup_trails.*did you mean 'n_startup_trials'"):
        SamplerChoice(name="tpe", options={"n_startup_trails": 3})
    with pytest.raises(InputError, match="not an option of the sampler grid"):
        SamplerChoice(name="grid", options={"seed": 3})
    with pytest.raises(InputError, match="must be a whole number"):
        SamplerChoice(name="tpe", options={"n_startup_trials": 2.5})


def test_a_file_in_the_folder_is_a_sampler_by_its_name():
    assert {"tpe", "random", "cmaes", "gp", "qmc", "grid"} <= set(sampler_names())
    for name in sampler_names():
        assert importlib.util.find_spec(f"abx_amr.studies.samplers.{name}") is not None


@pytest.mark.parametrize("name", sampler_names())
def test_a_sampler_says_its_options_and_no_argument_that_is_set_for_it(name):
    options = sampler_called(name).option_names()
    assert not {*options} & {"seed", "search_space", "independent_sampler"}
    if name in OPTUNAS:
        known = inspect.signature(getattr(optuna.samplers, OPTUNAS[name])).parameters
        assert set(options) <= set(known)
        assert ("n_startup_trials" in options) == (name in ("tpe", "cmaes", "gp"))


def test_options_of_optunas_class_reach_a_sampler_that_has_an_index():
    choice = SamplerChoice(name="qmc", options={"qmc_type": "halton"})
    sampler = make_sampler(choice, space=parse_search_space(SPACE), n_trials=8, index=3)
    assert sampler._qmc_type == "halton"


def test_any_sampler_of_optunas_kind_is_chosen_by_the_path_of_its_class(configuration):
    written = {"_target_": BY_PATH, "avoid_premature_stop": True}
    settings = StudySettings.from_configuration(
        configuration(sampler=written, search_space=GRID_SPACE)
    )
    sampler = make_sampler(settings.sampler, space=settings.space, n_trials=8, index=0)
    assert isinstance(sampler, optuna.samplers.BruteForceSampler)
    assert settings.sampler.options == {"avoid_premature_stop": True}


class OfAHub(optuna.samplers.BaseSampler):
    """A sampler as OptunaHub's are: it is told the space, and draws all of it at once."""

    def __init__(self, search_space=None, *, seed=None, share=0.5, **others):
        if not 0 <= share <= 1:
            raise ValueError("share must lie within [0, 1]")
        self.search_space, self.share, self.others = search_space, share, others
        self.random = np.random.default_rng(seed)

    def infer_relative_search_space(self, study, trial):
        """Return all of it."""
        return self.search_space

    def sample_relative(self, study, trial, search_space):
        """Return numbers near a share of their range, and the first choice."""
        drawn = {}
        for name, distribution in search_space.items():
            if hasattr(distribution, "choices"):
                drawn[name] = distribution.choices[0]
                continue
            low, high = distribution.low, distribution.high
            value = low + (high - low) * (0.8 * self.share + 0.2 * self.random.random())
            drawn[name] = round(value) // 2 * 2 + 1 if distribution.step else value
        return drawn

    def sample_independent(self, study, trial, name, distribution):
        """Never come here: all is drawn at once."""
        raise AssertionError(name)


HUB = f"{__name__}.{OfAHub.__name__}"


def test_a_sampler_of_optunahubs_kind_is_told_the_space_and_searches_it(study):
    written = {"_target_": HUB, "share": 0.0, "whatever": 3}
    settings, storage = study(sampler=written, search_space=SPACE)
    run_worker(settings, storage, parabola)
    found = [params for params, _ in finished(settings, storage)]
    assert len({params["agent_algorithm.x"] for params in found}) == settings.n_trials
    assert all(-1.0 <= params["agent_algorithm.x"] < -0.6 for params in found)
    assert {params["agent_algorithm.mode"] for params in found} == {"flat"}


def test_a_module_beside_the_shell_may_load_a_sampler_and_name_its_class(
    configuration, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    hub = (
        "import types, optuna\nmodule = types.SimpleNamespace(Own=optuna.samplers.RandomSampler)\n"
    )
    (tmp_path / "samplers_of_mine.py").write_text(f"{hub}Own = module.Own\n")
    settings = StudySettings.from_configuration(
        configuration(sampler={"_target_": "samplers_of_mine.Own"})
    )
    assert settings.sampler.name == "samplers_of_mine.Own"


def test_a_sampler_that_refuses_its_options_is_one_line_before_anything_is_stored(configuration):
    written = {"_target_": HUB, "share": 2.0}
    with pytest.raises(InputError, match=r"cannot be built: share must lie within \[0, 1\]"):
        StudySettings.from_configuration(configuration(sampler=written))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"_target_": "optuna.samplers.NoSuchSampler"}, "cannot be imported"),
        ({"_target_": "nowhere.Sampler"}, "cannot be imported"),
        ({"_target_": "optuna.study.Study"}, "must name a subclass of optuna.samplers.BaseSampler"),
        ({"_target_": BY_PATH, "deep": 1}, "sampler_options.deep is not an option of the sampler"),
        ({"name": "tpe"}, "must be a name or"),
    ],
)
def test_a_class_that_is_no_sampler_is_one_line(configuration, written, message):
    with pytest.raises(InputError, match=message) as error:
        StudySettings.from_configuration(configuration(sampler=written))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
def test_a_sampler_seed_must_be_a_whole_number(seed):
    with pytest.raises(InputError, match="sampler_seed"):
        SamplerChoice(seed=seed)


def test_tpe_keeps_optunas_defaults_and_gets_its_start_up_trials():
    space = parse_search_space(SPACE)
    sampler = make_sampler(SamplerChoice(), space=space, n_trials=100, index=0)
    untouched = optuna.samplers.TPESampler()
    assert sampler._constant_liar is untouched._constant_liar is True
    assert sampler._multivariate is untouched._multivariate
    assert sampler._n_startup_trials == 25
    chosen = SamplerChoice(options={"n_startup_trials": 3})
    assert make_sampler(chosen, space=space, n_trials=100, index=0)._n_startup_trials == 3


def test_a_grid_needs_an_end_of_values():
    with pytest.raises(InputError, match=r"give agent_algorithm.x a step or choices"):
        grid_values(parse_search_space(SPACE))


@pytest.mark.parametrize(("n_trials", "budget"), [(10, 10), (50, 50), (51, 50), (1000, 50)])
def test_a_grids_budget_is_at_most_its_points(n_trials, budget):
    space = parse_search_space(GRID_SPACE)
    grid = SamplerChoice(name="grid")
    assert effective_budget(grid, n_trials=n_trials, space=space) == budget
    assert effective_budget(SamplerChoice(), n_trials=n_trials, space=space) == n_trials


@pytest.mark.slow
def test_a_whole_grid_is_visited_once_by_four_workers_of_which_two_die(
    configuration, tmp_path, in_processes
):
    settings = StudySettings.from_configuration(
        configuration(n_trials=1000, sampler="grid", search_space=GRID_SPACE)
    )
    storage = SqliteStorage(path=tmp_path / "study.db")
    prepare_study(settings, storage)
    victims = {0: killing(5), 1: killing(11)}
    codes = in_processes(4, lambda i: run_worker(settings, storage, victims.get(i, parabola)))
    assert codes[2:] == [0, 0]
    points = [tuple(sorted(params.items())) for params, _ in finished(settings, storage)]
    assert len(points) == len(set(points)) == 50


def test_a_payload_in_place_of_a_stored_strategy_is_not_run(tmp_path, caplog):
    import os
    import pickle

    from abx_amr.studies.samplers.cmaes import CmaEs

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was_run"),)

    sampler = CmaEs().constructor()(seed=1)
    trial = optuna.trial.create_trial(
        value=1.0,
        system_attrs={f"{sampler._attr_key_optimizer}:0": pickle.dumps(Payload()).hex()},
    )
    assert sampler._restore_optimizer([trial]) is None
    assert not (tmp_path / "was_run").exists()
    assert "not used" in caplog.text
