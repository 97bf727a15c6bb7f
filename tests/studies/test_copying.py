"""A study that is copied is the study, wherever it goes."""

import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from abx_amr.errors import InputError
from abx_amr.studies.copying import copy_study
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import JournalStorage, PostgresStorage, SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola
from tests.studies.test_conformance import results
from tests.studies.test_worker import killed_at

PAIRS = [
    ("sqlite", "postgres"),
    ("postgres", "sqlite"),
    ("sqlite", "journal"),
    ("journal", "postgres"),
]


@pytest.fixture
def storage_of(request, tmp_path):
    def make(kind, name):
        if kind == "postgres":
            request.getfixturevalue("postgres")
            return PostgresStorage()
        made = {"sqlite": SqliteStorage, "journal": JournalStorage}[kind]
        return made(path=tmp_path / name / "study")

    return make


def fill(storage):
    """Store a study with every kind of trial, value, distribution and attribute."""
    study = optuna.create_study(study_name="all", storage=storage.open(), direction="minimize")
    study.set_user_attr("note", {"nested": [1, None, "ü"]})
    storage.open().set_study_system_attr(study._study_id, "kept", [1, 2])
    space = {
        "rate": FloatDistribution(1e-5, 1e-2, log=True),
        "share": FloatDistribution(0.0, 1.0, step=0.25),
        "n": IntDistribution(64, 512, step=64),
        "mode": CategoricalDistribution(["flat", None, 3, True]),
    }
    for value in (0.1 + 0.2, math.inf, -math.inf, 1e-300):
        trial = study.ask(space)
        trial.set_user_attr("seeds", [{"seed": 1000, "episode_return": None}])
        trial.report(1.5, step=3)
        study.tell(trial, value)
    pruned = study.ask(space)
    pruned.report(7.0, step=1)
    study.tell(pruned, state=TrialState.PRUNED)
    study.tell(study.ask(space), state=TrialState.FAIL)
    running = study.ask(space)
    running.set_user_attr("owner", {"host": "elsewhere"})
    storage.open().set_trial_system_attr(running._trial_id, "abx:heartbeat", [4, "2026-01-01"])
    study.enqueue_trial({"n": 128}, user_attrs={"by": "hand"})
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params={"n": 64},
            distributions={"n": space["n"]},
            user_attrs={"retry_of": 5},
        )
    )


def everything(storage, name="all"):
    study = read_study(storage, name)
    fields = (
        *("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs"),
        *("intermediate_values", "datetime_start", "datetime_complete"),
    )
    return (
        study.direction,
        study.user_attrs,
        study.system_attrs,
        [{field: getattr(trial.frozen, field) for field in fields} for trial in study.trials],
        [list(trial.params) for trial in study.trials],
    )


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_a_copy_has_lost_nothing(storage_of, here, there):
    source, target = storage_of(here, "a"), storage_of(there, "b")
    fill(source)
    copy_study(source, target, "all")
    assert everything(target) == everything(source)
    states = [trial.state for trial in read_study(target, "all").trials]
    assert states == [*["COMPLETE"] * 4, "PRUNED", "FAIL", "RUNNING", "WAITING", "WAITING"]


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_a_copy_goes_on_as_the_original_would_have(
    storage_of, configuration, in_processes, here, there
):
    source, target = storage_of(here, "a"), storage_of(there, "b")
    settings = StudySettings.from_configuration(
        configuration(n_trials=8, sampler="tpe", sampler_options={"n_startup_trials": 3})
    )
    prepare_study(settings, source)
    in_processes(1, lambda _: run_worker(settings, source, killed_at(4)))
    copy_study(source, target, "parabola")
    for storage in (source, target):
        assert prepare_study(settings, storage) is Preparation.JOINED
        run_worker(settings, storage, parabola)
    assert results(t.frozen for t in read_study(target, "parabola").trials) == results(
        t.frozen for t in read_study(source, "parabola").trials
    )


def test_a_copy_never_replaces_a_study(storage_of):
    source, target = storage_of("sqlite", "a"), storage_of("journal", "b")
    fill(source)
    copy_study(source, target, "all")
    with pytest.raises(InputError, match=r"'all' exists in journal .* already"):
        copy_study(source, target, "all")
    copy_study(source, target, "all", as_name="other")
    assert target.names() == ["all", "other"]


def test_what_a_death_in_mid_copy_leaves_is_not_taken_for_the_study(
    storage_of, configuration, in_processes, monkeypatch
):
    import os
    import signal

    source, target = storage_of("sqlite", "a"), storage_of("journal", "b")
    settings = StudySettings.from_configuration(configuration())
    prepare_study(settings, source)
    run_worker(settings, source, parabola)

    def die(index):
        backend = target.open()
        honest = backend.create_new_trial

        def third(study_id, template_trial=None):
            if template_trial.number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return honest(study_id, template_trial=template_trial)

        backend.create_new_trial = third
        copy_study(source, target, "parabola")

    assert in_processes(1, die) == [-signal.SIGKILL]
    with pytest.raises(InputError, match="made by something else"):
        prepare_study(settings, target)


def test_a_study_that_is_not_there_is_named_with_those_that_are(storage_of):
    source, target = storage_of("sqlite", "a"), storage_of("journal", "b")
    fill(source)
    with pytest.raises(InputError, match=r"'al' does not exist .*did you mean 'all'"):
        copy_study(source, target, "al")
