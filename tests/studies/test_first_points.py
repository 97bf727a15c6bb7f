"""Known good points and the default are tried first, each once, whoever claims them."""

import os
import signal

import pytest

from abx_amr.errors import InputError
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

X, N, MODE = ("agent_algorithm.x", "agent_algorithm.n_steps", "agent_algorithm.mode")
SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0, "step": 0.5},
    "n_steps": {"type": "int", "low": 1, "high": 9, "step": 2},
    "mode": {"type": "categorical", "choices": ["flat", "steep"]},
}
GOOD = {X: 0.5, N: 9, MODE: "steep"}
DEFAULT = {X: 0.0, N: 3, MODE: "flat"}


def points(trials):
    return [trial.params for trial in trials]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid", "gp", "cmaes"])
def test_known_points_come_first_then_the_default_then_what_the_sampler_draws(
    study, trials_of, sampler
):
    settings, storage = study(
        sampler=sampler, search_space=SPACE, enqueue=[GOOD], enqueue_default=True
    )
    run_worker(settings, storage, parabola)
    found = points(trials_of(settings, storage))
    assert found[:2] == [GOOD, DEFAULT]
    assert len(found) == settings.n_trials


def test_a_grid_tries_its_first_points_no_second_time(study, trials_of):
    small = {name: SPACE[name] for name in ("n_steps", "mode")}
    good = {N: 9, MODE: "steep"}
    settings, storage = study(
        n_trials=99, sampler="grid", search_space=small, enqueue=[good], enqueue_default=True
    )
    run_worker(settings, storage, lambda p, s, f: parabola({X: 0.0, **p}, s, f))
    found = points(trials_of(settings, storage))
    assert found[:2] == [good, {N: 3, MODE: "flat"}]
    assert len(found) == 10
    assert all(point not in found[:i] for i, point in enumerate(found))


def test_a_point_that_leaves_something_open_has_it_drawn(study, trials_of):
    settings, storage = study(
        search_space=SPACE, enqueue=[{"x": 0.5}, {"agent_algorithm": {"x": 1, "mode": "steep"}}]
    )
    run_worker(settings, storage, parabola)
    first, second, *_ = points(trials_of(settings, storage))
    assert first[X] == 0.5
    assert (second[X], second[MODE]) == (1.0, "steep")
    assert set(first) == set(second) == {X, N, MODE}


def test_first_points_change_no_draw_of_a_sampler_that_learns_nothing(
    study, trials_of, configuration
):
    settings, storage = study(search_space=SPACE)
    run_worker(settings, storage, parabola)
    more = configuration(search_space=SPACE, enqueue_default=True)
    more |= {"run_name": "with_default"}
    others = StudySettings.from_configuration(more)
    beside = SqliteStorage(path=others.folder / "study.db")
    prepare_study(others, beside)
    run_worker(others, beside, parabola)
    assert points(trials_of(others, beside)) == [
        DEFAULT,
        *points(trials_of(settings, storage))[1:],
    ]


@pytest.mark.parametrize("sampler", ["tpe", "qmc", "grid"])
def test_a_study_killed_among_its_first_points_equals_one_that_was_not_to_the_bit(
    configuration, tmp_path, trials_of, in_processes, sampler
):
    settings = StudySettings.from_configuration(
        configuration(
            sampler=sampler, search_space=SPACE, enqueue=[GOOD], enqueue_default=True, n_trials=5
        )
    )

    def deadly(at):
        def run_trial(params, seeds, folder):
            if folder.name == str(at):
                os.kill(os.getpid(), signal.SIGKILL)
            return parabola(params, seeds, folder)

        return run_trial

    found = []
    for name, victims in {"whole": (), "torn": (0, 2)}.items():
        storage = SqliteStorage(path=tmp_path / name / "study.db")
        for at in (*victims, None):
            prepare_study(settings, storage)
            in_processes(1, lambda _, at=at, s=storage: run_worker(settings, s, deadly(at)))
        ended = [t for t in trials_of(settings, storage) if t.state.name == "COMPLETE"]
        found.append(sorted((str(t.params), t.values) for t in ended))
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_several_workers_try_each_first_point_once(stored_study, trials_of, in_processes):
    good = [{X: x, N: n, MODE: "steep"} for x in (-1.0, 0.5) for n in (1, 9)]
    settings, storage = stored_study(
        n_trials=7, search_space=SPACE, enqueue=good, enqueue_default=True
    )
    assert in_processes(3, lambda _: run_worker(settings, storage, parabola)) == [0, 0, 0]
    found = points(trials_of(settings, storage))
    assert found[:5] == [*good, DEFAULT]
    assert len(found) == 7


@pytest.mark.parametrize(
    ("enqueue", "message"),
    [
        ([{"x": 2.0}], r"tuning.enqueue\[0\] has agent_algorithm.x = 2.0, which is outside"),
        ([GOOD, {"x": "0.5"}], r"tuning.enqueue\[1\] has agent_algorithm.x = '0.5', which is"),
        ([{"n_step": 3}], r"'agent_algorithm.n_step', which the study does not search"),
        ([{"x": True}], r"agent_algorithm.x = True, which is outside"),
        ([{}], r"must be a point such as {agent_algorithm.x: -1.0}, got {}"),
        (["default"], "must be a point such as"),
        ({"x": 0.5}, "tuning.enqueue must be a list"),
    ],
)
def test_a_point_outside_the_space_is_one_line_and_nothing_is_stored(
    configuration, enqueue, message
):
    made = configuration(search_space=SPACE, enqueue=enqueue)
    with pytest.raises(InputError, match=message) as raised:
        StudySettings.from_configuration(made)
    assert "\n" not in str(raised.value)


def test_a_grid_is_told_each_value_of_a_first_point(configuration):
    made = configuration(search_space=SPACE, enqueue=[{"x": 0.5}], sampler="grid")
    with pytest.raises(InputError, match=r"has no value of agent_algorithm.n_steps"):
        StudySettings.from_configuration(made)


def test_a_default_outside_the_space_is_said_and_left_out(study, trials_of, caplog):
    narrow = SPACE | {"x": {"type": "float", "low": 0.5, "high": 1.0}}
    settings, storage = study(search_space=narrow, enqueue_default=True)
    assert (
        "the default is not among the first points: it has agent_algorithm.x = 0.0" in caplog.text
    )
    run_worker(settings, storage, parabola)
    assert all(point[X] >= 0.5 for point in points(trials_of(settings, storage)))


def test_a_study_that_began_without_the_default_goes_on_without_it(study, configuration, trials_of):
    settings, storage = study(search_space=SPACE, n_trials=2)
    run_worker(settings, storage, parabola)
    before = points(trials_of(settings, storage))
    longer = configuration(search_space=SPACE, n_trials=4, enqueue_default=True)
    going_on = StudySettings.from_configuration(longer)
    prepare_study(going_on, storage)
    run_worker(going_on, storage, parabola)
    after = points(trials_of(settings, storage))
    assert after[:2] == before
    assert DEFAULT not in after


def test_other_first_points_are_another_study(study, configuration):
    _, storage = study(search_space=SPACE)
    other = StudySettings.from_configuration(configuration(search_space=SPACE, enqueue=[GOOD]))
    with pytest.raises(InputError, match=r"Mismatch Detected.*tuning.enqueue"):
        prepare_study(other, storage)
