"""A study chooses between configurations: each trial has one, with the values that count in it."""

import copy

import pytest
import yaml

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json
from abx_amr.studies.agreement import check_settings
from abx_amr.studies.best import read_best
from abx_amr.studies.contexts import choices_of, contexts, probe_points
from abx_amr.studies.first_points import default_point, first_points
from abx_amr.studies.members import trial_episodes, with_choices
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.space import parse_search_space
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

AGENT, X, STEPS = "agent_algorithm", "agent_algorithm.x", "agent_algorithm.n_steps"
LIBRARY = "option_library"
MEMBERS = {
    AGENT: {
        "near": {AGENT: {"x": 0.5, "n_steps": 3}, "training": {"seed": 1, "n_envs": 8}},
        "far": {
            AGENT: {"x": -0.5, "depth": 2},
            LIBRARY: {"options": {"wait": float("inf")}},
            "training": {"seed": 1, "n_envs": 8},
        },
    },
    LIBRARY: {name: {LIBRARY: {"options": {name: 5.0}}} for name in ("short", "long")},
}
SPACE = {
    AGENT: {"type": "categorical", "choices": ["near", "far"]},
    "x": {"type": "float", "low": -1.0, "high": 1.0, "step": 0.5},
    "n_steps": {"type": "int", "low": 1, "high": 3, "when": {AGENT: "near"}},
    LIBRARY: {"type": "categorical", "choices": ["short", "long"], "when": {AGENT: "far"}},
}


def choosing(**more):
    return {"search_space": SPACE, "members": copy.deepcopy(MEMBERS), **more}


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_each_trial_has_one_configuration_and_the_values_that_count_in_it(study, sampler):
    settings, storage = study(**choosing(sampler=sampler, n_trials=12))
    run_worker(settings, storage, lambda p, s, f: parabola({X: 0.0, **p}, s, f))
    found = [trial.params for trial in read_study(storage, settings.study_name).trials]
    assert {point[AGENT] for point in found} == {"near", "far"}
    assert all((STEPS in point) == (point[AGENT] == "near") for point in found)
    assert all((LIBRARY in point) == (point[AGENT] == "far") for point in found)
    if sampler == "grid":
        assert len({str(sorted(point.items())) for point in found}) == 12


def test_the_default_of_each_configuration_is_tried_first_that_of_the_first_is_the_default(study):
    settings, storage = study(**choosing(enqueue_default=True, n_trials=3))
    near = {AGENT: "near", X: 0.5, STEPS: 3}
    assert default_point(settings) == near
    run_worker(settings, storage, lambda p, s, f: parabola(p, s, f))
    trials = read_study(storage, settings.study_name).trials
    assert [dict(trial.params) for trial in trials] == [
        near,
        {AGENT: "far", X: -0.5, LIBRARY: "short"},
        {AGENT: "far", X: -0.5, LIBRARY: "long"},
    ]
    assert len(first_points(settings)) == 3


def test_what_is_chosen_replaces_what_another_choice_brings(configuration):
    made = configuration(**choosing())
    made["training"]["torch_threads"] = 2
    own, values = with_choices(made, {AGENT: "far", LIBRARY: "long", X: 0.5})
    assert own[AGENT] == MEMBERS[AGENT]["far"][AGENT]
    assert own[LIBRARY] == {"options": {"long": 5.0}}
    assert "hrl" not in own  # the agent that was composed has it, this one does not
    assert own["training"]["torch_threads"] == 2
    assert values == {X: 0.5}
    assert with_choices(made, {X: 0.5}) == (made, {X: 0.5})
    with pytest.raises(InputError, match="no configuration of agent_algorithm=other"):
        with_choices(made, {AGENT: "other"})


def test_a_study_goes_on_only_with_the_configurations_that_it_began_with(study, configuration):
    settings, storage = study(**choosing())
    check_settings(settings, storage)
    changed = choosing()
    changed["members"][AGENT]["far"][AGENT]["depth"] = 3
    with pytest.raises(InputError, match=r"members\.agent_algorithm\.far.*depth 2 -> 3"):
        check_settings(StudySettings.from_configuration(configuration(**changed)), storage)
    free = choosing()
    free["members"][AGENT]["far"]["training"]["seed"] = 7
    check_settings(StudySettings.from_configuration(configuration(**free)), storage)


def test_the_best_point_is_read_back_as_the_configuration_that_was_chosen(study):
    settings, _ = study(**choosing(truncated_episodes={"near": 30, "far": 60}))
    point = {AGENT: "far", X: 0.5, LIBRARY: "long"}
    write_json(settings.files.best_params_file, point)
    best = read_best(settings.optimization_dir, settings.run_name)
    assert best.values == {X: 0.5}
    assert best.configuration[AGENT] == MEMBERS[AGENT]["far"][AGENT]
    assert best.configuration[LIBRARY] == {"options": {"long": 5.0}}
    assert "tuning" not in best.configuration
    assert best.trial_episodes == 60
    kept = yaml.safe_load(settings.files.tuning_file.read_text())["tuning"]["members"]
    assert kept == MEMBERS  # an endless duration too, which JSON does not have


def test_each_configuration_is_probed_with_what_counts_in_it():
    space = parse_search_space(
        {**SPACE, "depth": {"type": "int", "low": 1, "high": 4, "when": {"x": 0.5, AGENT: "far"}}}
    )
    near, short, long = choices_of(space)
    assert (near, short[LIBRARY], long[LIBRARY]) == ({AGENT: "near"}, "short", "long")
    assert contexts(space, within=near) == [{}]
    assert probe_points(space, within=near) == {X: (-1.0, 1.0), STEPS: (1, 3)}
    assert contexts(space, within=short) == [{}, {X: 0.5}]
    assert probe_points(space, within=short) == {X: (-1.0, 1.0)}
    assert probe_points(space, where={X: 0.5}, within=short) == {"agent_algorithm.depth": (1, 4)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"search_space": {**SPACE, "n_steps": {"type": "int", "low": 1, "high": 3}}},
            r"n_steps' does not exist for agent_algorithm=far: add when: \{agent_algorithm: near\}",
        ),
        (
            {"search_space": {**SPACE, "nsteps": {"type": "int", "low": 1, "high": 3}}},
            "nsteps' does not exist; did you mean",
        ),
        (
            {"search_space": {**SPACE, AGENT: {"type": "int", "low": 1, "high": 3}}},
            "is a configuration group: its entry is",
        ),
        (
            {"search_space": {**SPACE, AGENT: {"type": "categorical", "choices": [{"x": 1}]}}},
            "is a configuration group: its entry is",
        ),
        ({"members": None}, r"add -m \(abx-tune -m"),
        ({"truncated_episodes": {"near": 30}}, "near: 100, far: 100"),
        ({"truncated_episodes": {"near": 30, "far": 0}}, r"truncated_episodes\.far must be"),
        (
            {"search_space": {"x": SPACE["x"]}, "truncated_episodes": {"near": 30}},
            "must be a whole number where agent_algorithm is not searched",
        ),
        (
            {"truncated_episodes": {"near": 30, "far": 60}, "race": {"episodes": [10, 30]}},
            "needs trainings of one length: those of near, far differ",
        ),
        (
            {"enqueue": [{AGENT: "far", "n_steps": 3}]},
            r"enqueue\[0\] has agent_algorithm.n_steps, which counts only where",
        ),
    ],
)
def test_a_choice_that_cannot_be_meant_is_one_line(configuration, changes, message):
    with pytest.raises(InputError, match=message) as error:
        StudySettings.from_configuration(configuration(**choosing(**changes)))
    assert "\n" not in str(error.value)


def test_the_agents_of_a_choice_may_train_for_different_lengths():
    lengths = {"truncated_episodes": {"near": 30, "far": 60}}
    assert trial_episodes(lengths, {AGENT: "far"}) == 60
    assert trial_episodes(lengths, {}) == 30  # the default's
    assert trial_episodes({"truncated_episodes": 50}, {AGENT: "far"}) == 50
