"""A key counts where another has a value; lists, sections and distances below 1 are values too."""

import json
import math
import os
import signal

import pytest

from abx_amr.errors import InputError
from abx_amr.studies.contexts import contexts, probe_points
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.samplers import SamplerChoice, effective_budget
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.space import describe, parse_search_space
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.tables import table_of
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

X, N, MODE = ("agent_algorithm.x", "agent_algorithm.n_steps", "agent_algorithm.mode")
SPACE = {  # the key that it hangs on comes last
    "x": {"type": "float", "low": -1.0, "high": 1.0, "when": {"mode": "steep"}},
    "n_steps": {"type": "int", "low": 1, "high": 9, "step": 2},
    "mode": {"type": "categorical", "choices": ["flat", "steep"]},
}
GRID_SPACE = SPACE | {"x": SPACE["x"] | {"step": 0.5}}
WAYS = {
    "mode": SPACE["mode"],
    "n_steps": [
        {"type": "int", "low": 1, "high": 3, "when": {"mode": "flat"}},
        {"type": "int", "low": 100, "high": 300, "log": True, "when": {"mode": "steep"}},
    ],
}


def tried(params, seeds, folder):
    return parabola({X: 0.0, **params}, seeds, folder)


def trials(settings, storage):
    return read_study(storage, settings.study_name).trials


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "gp", "qmc", "grid"])
def test_a_key_is_drawn_only_where_it_counts(study, sampler):
    space = GRID_SPACE if sampler == "grid" else SPACE
    options = {"n_startup_trials": 3} if sampler in ("tpe", "gp") else {}
    settings, storage = study(
        search_space=space, sampler=sampler, sampler_options=options, n_trials=14
    )
    run_worker(settings, storage, tried)
    found = trials(settings, storage)
    assert {trial.params[MODE] for trial in found} == {"flat", "steep"}
    assert all((X in trial.params) == (trial.params[MODE] == "steep") for trial in found)
    assert all(trial.is_finished for trial in found)
    assert finish_study(settings, storage).is_complete


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_conditional_study_with_deaths_in_it_equals_one_without_to_the_bit(
    configuration, tmp_path, in_processes, sampler
):
    options = {"n_startup_trials": 3} if sampler == "tpe" else {}
    settings = StudySettings.from_configuration(
        configuration(search_space=GRID_SPACE, sampler=sampler, sampler_options=options, n_trials=9)
    )

    def deadly(at):
        def run_trial(params, seeds, folder):
            if folder.name == str(at):
                os.kill(os.getpid(), signal.SIGKILL)
            return tried(params, seeds, folder)

        return run_trial

    found = []
    for name, victims in {"whole": (), "torn": (0, 6)}.items():
        storage = SqliteStorage(path=tmp_path / name / "study.db")
        for at in (*victims, None):
            prepare_study(settings, storage)
            in_processes(1, lambda _, at=at, s=storage: run_worker(settings, s, deadly(at)))
        ended = [t for t in trials(settings, storage) if t.state == "COMPLETE"]
        found.append([(t.params, t.value) for t in ended])
    assert found[0] == found[1]
    assert len(found[0]) == 9


def test_a_grid_counts_what_counts_once(study):
    grid = SamplerChoice(name="grid")
    space = parse_search_space(GRID_SPACE)
    assert effective_budget(grid, n_trials=1000, space=space) == 5 + 5 * 5
    assert effective_budget(grid, n_trials=7, space=space) == 7
    settings, storage = study(search_space=GRID_SPACE, sampler="grid", n_trials=1000)
    run_worker(settings, storage, tried)
    found = [tuple(sorted(trial.params.items())) for trial in trials(settings, storage)]
    assert len(found) == len(set(found)) == 30


def test_a_key_is_searched_in_another_way_by_what_it_hangs_on(study):
    settings, storage = study(
        search_space=WAYS, n_trials=8, enqueue=[{"mode": "steep", "n_steps": 150}]
    )
    run_worker(settings, storage, tried)
    found = trials(settings, storage)
    assert found[0].params == {MODE: "steep", N: 150}
    assert {t.params[MODE] for t in found} == {"flat", "steep"}
    assert all((t.params[N] <= 3) == (t.params[MODE] == "flat") for t in found)
    assert describe(parse_search_space(describe(settings.space))) == describe(settings.space)
    table = table_of(read_study(storage, settings.study_name))
    assert table[f"params.{N}"].notna().all()


def test_a_point_with_a_key_that_does_not_count_is_one_line(configuration):
    made = configuration(search_space=SPACE, enqueue=[{"mode": "flat", "x": 0.5}])
    with pytest.raises(InputError, match=r'x, which counts only where .*mode is "steep"'):
        StudySettings.from_configuration(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": SPACE["x"] | {"when": {"mod": "flat"}}}, r"names agent_algorithm.mod, .*not searc"),
        ({"x": SPACE["x"] | {"when": {"mode": "even"}}}, r"mode is never 'even'"),
        ({"x": SPACE["x"] | {"when": {"n_steps": 2}}}, r"n_steps is never 2"),
        ({"mode": SPACE["mode"] | {"when": {"n_steps": 1}}, "n_steps": SPACE["n_steps"] |
          {"when": {"mode": "flat"}}}, r"mode, agent_algorithm.n_steps hang on"),
        ({"n_steps": SPACE["n_steps"] | {"when": {"x": 0.5}}}, "has no end of values"),
        ({"n_steps": [SPACE["n_steps"] | {"when": {"mode": ["flat", "steep"]}},
                      SPACE["n_steps"] | {"when": {"mode": "flat"}}]}, "two of its ways count"),
    ],
)  # fmt: skip
def test_an_impossible_condition_is_refused_by_name(changes, message):
    with pytest.raises(InputError, match=message) as error:
        parse_search_space(SPACE | changes)
    assert "\n" not in str(error.value)


def test_a_key_is_probed_where_it_counts():
    space = parse_search_space(SPACE)
    assert contexts(space) == [{}, {MODE: "steep"}]
    assert probe_points(space) == {N: (1, 9), MODE: ("flat", "steep")}
    assert probe_points(space, where={MODE: "steep"}) == {X: (-1.0, 1.0)}


def test_what_is_stored_as_text_or_as_a_distance_comes_back_as_it_was_meant(study):
    choices = [[64, 64], {"pi": [8], "vf": None}, None, "flat"]
    settings, storage = study(
        search_space={
            "x": {"type": "float", "low": 0.9, "high": 0.999, "log_below_one": True},
            "mode": {"type": "categorical", "choices": choices},
        },
        enqueue=[{"x": 0.99, "mode": choice} for choice in choices],
        n_trials=40,
    )
    run_worker(settings, storage, tried)
    found = trials(settings, storage)
    assert [trial.params for trial in found[:4]] == [{X: 0.99, MODE: c} for c in choices]
    distances = [math.log10(1 - trial.params[X]) for trial in found[4:]]
    assert -3.0 <= min(distances) < max(distances) <= -1.0
    assert 0.3 < sum(d < -2 for d in distances) / 36 < 0.7  # half of each decade
    summary = finish_study(settings, storage)
    best = json.loads(settings.files.best_params_file.read_text())
    assert best == summary.best_params == summary.content["best_trial"]["params"]
    assert best[MODE] in choices
    assert 0.9 <= best[X] <= 0.999


def test_a_space_without_conditions_is_in_the_order_in_which_it_is_written():
    assert list(parse_search_space({"b": SPACE["mode"], "a": SPACE["mode"]})) == [
        "agent_algorithm.b",
        "agent_algorithm.a",
    ]
    assert list(parse_search_space(SPACE)) == [N, MODE, X]
    assert SearchSpace() == {}
