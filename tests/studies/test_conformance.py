"""A study lives the same life in every storage: created once, spent exactly, resumed, refused."""

import os
import signal
import time

import pytest

from abx_amr.errors import InputError
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.heartbeat import heartbeats
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola
from tests.studies.test_worker import killed_at, slow, start_trial_elsewhere, states


def results(trials):
    """What a study has come to, whoever was interrupted meanwhile."""
    return [
        (t.params, t.values, t.user_attrs["mean_reward"], t.user_attrs["seeds"][0]["seed"])
        for t in trials
        if t.state.name == "COMPLETE"
    ]


def test_eight_processes_create_one_study(configuration, storage, in_processes):
    settings = StudySettings.from_configuration(configuration())
    assert in_processes(8, lambda _: prepare_study(settings, storage)) == [0] * 8
    assert storage.names() == ["parabola"]
    study = read_study(storage, "parabola")
    assert study.attributes.origin.digest == settings.fingerprint.digest
    assert (study.attributes.budget, len(study.trials)) == (6, 0)


def test_four_workers_finish_exactly_the_budget(stored_study, in_processes, trials_of):
    settings, storage = stored_study(n_trials=14)
    assert in_processes(4, lambda _: run_worker(settings, storage, slow(0.02))) == [0] * 4
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 14, "FAIL": 0}
    assert [t.number for t in trials] == list(range(14))
    assert sorted(t.user_attrs["lineage"] for t in trials) == list(range(14))
    assert len({tuple(t.params.values()) for t in trials}) == 14
    assert finish_study(settings, storage).is_complete


def test_a_dead_workers_trial_is_failed_and_its_parameters_are_tried_again(
    stored_study, in_processes, trials_of
):
    settings, storage = stored_study(n_trials=8)
    codes = in_processes(4, lambda _: run_worker(settings, storage, slow(0.02, killed_at(1, 3))))
    assert sorted(codes) == [-signal.SIGKILL] * 2 + [0] * 2
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 8, "FAIL": 2}
    retried = {t.user_attrs["retry_of"]: t for t in trials if "retry_of" in t.user_attrs}
    assert set(retried) == {1, 3}
    assert all(retried[n].params == trials[n].params for n in retried)


def test_a_worker_elsewhere_that_falls_silent_loses_its_trial(stored_study, trials_of):
    settings, storage = stored_study(n_trials=2)
    lost = start_trial_elsewhere(settings, storage, interval=0.2)
    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 2, "FAIL": 1}
    assert "has been silent" in trials[0].user_attrs["failure"]
    assert trials[2].params == lost.params


def test_every_storage_carries_the_heartbeat(stored_study, trials_of):
    settings, storage = stored_study()
    trial = start_trial_elsewhere(settings, storage, interval=0.1)
    give_up = time.monotonic() + 60
    with heartbeats(storage.open(), trial._trial_id, 0.1):
        count = 0
        while count < 2 and time.monotonic() < give_up:
            time.sleep(0.05)
            told = trials_of(settings, storage)[0].system_attrs
            count, moment = told.get("abx:heartbeat", (0, ""))
    assert count >= 2
    assert moment.endswith("+00:00")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_interrupted_study_resumed_equals_an_uninterrupted_one_to_the_bit(
    stored_study, in_processes, trials_of, sampler
):
    tuning = {"n_trials": 9, "sampler": sampler}
    if sampler == "tpe":
        tuning["sampler_options"] = {"n_startup_trials": 3}
    whole, storage = stored_study({"run_name": "whole"}, **tuning)
    run_worker(whole, storage, parabola)

    settings, _ = stored_study({"run_name": "torn"}, **tuning)
    died = in_processes(1, lambda _: run_worker(settings, storage, killed_at(5)))
    assert died == [-signal.SIGKILL]
    assert prepare_study(settings, storage) is Preparation.JOINED
    run_worker(settings, storage, parabola)
    assert results(trials_of(settings, storage)) == results(trials_of(whole, storage))


def test_the_draws_do_not_depend_on_the_storage(stored_study, study, trials_of):
    settings, storage = stored_study(
        n_trials=8, sampler="tpe", sampler_options={"n_startup_trials": 3}
    )
    run_worker(settings, storage, parabola)
    other, reference = study(
        {"run_name": "reference"},
        n_trials=8,
        sampler="tpe",
        sampler_options={"n_startup_trials": 3},
    )
    run_worker(other, reference, parabola)
    assert results(trials_of(settings, storage)) == results(trials_of(other, reference))


def test_other_settings_are_refused_with_a_way_out_that_works(stored_study, configuration):
    settings, storage = stored_study()
    changed = StudySettings.from_configuration(
        configuration({"reward_calculator.lambda_weight": 0.5})
    )
    with pytest.raises(InputError, match=r"lambda_weight 0\.0 -> 0\.5") as error:
        prepare_study(changed, storage)
    if storage.can_overwrite:
        assert "overwrite_existing_study=true" in str(error.value)
    else:
        assert f"`abx-study delete {settings.study_name} storage=postgres`" in str(error.value)


def test_overwriting_is_done_or_refused_with_the_command_that_does_it(stored_study, configuration):
    settings, storage = stored_study()
    run_worker(settings, storage, parabola)
    again = StudySettings.from_configuration(configuration({"overwrite_existing_study": True}))
    if storage.can_overwrite:
        assert prepare_study(again, storage) is Preparation.CREATED
        assert read_study(storage, settings.study_name).trials == []
    else:
        with pytest.raises(
            InputError, match=f"`abx-study delete {settings.study_name} storage=postgres`"
        ):
            prepare_study(again, storage)
        assert len(read_study(storage, settings.study_name).trials) == 6


def test_a_worker_whose_study_is_deleted_says_so(stored_study):
    settings, storage = stored_study(n_trials=3)

    def run_trial(params, seeds, folder):
        if folder.name == "1":
            storage.delete(settings.study_name)
        return parabola(params, seeds, folder)

    with pytest.raises(InputError, match="study 'parabola' was deleted from"):
        run_worker(settings, storage, run_trial)


def test_a_trial_that_was_told_is_never_tried_again(stored_study, trials_of, monkeypatch):
    """A worker tells its value after another has seen it running and before it is failed."""
    settings, storage = stored_study(n_trials=2)
    trial = start_trial_elsewhere(settings, storage, interval=0.01)

    from abx_amr.studies.claiming import Claims

    honest = Claims._fail

    def late(self, lost, reason, trials, **more):
        trial.study.tell(trial, 0.5)
        return honest(self, lost, reason, trials, **more)

    monkeypatch.setattr(Claims, "_fail", late)
    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 2, "FAIL": 0}
    assert [t.user_attrs["lineage"] for t in trials] == [0, 1]


def test_as_many_killed_workers_as_there_are_trials_do_not_end_a_study(
    stored_study, in_processes, trials_of
):
    settings, storage = stored_study(n_trials=1)
    assert in_processes(1, lambda _: run_worker(settings, storage, killed_at(0))) == [
        -signal.SIGKILL
    ]
    report = run_worker(settings, storage, parabola)
    assert report.reason == "budget"
    assert states(trials_of(settings, storage)) == {"COMPLETE": 1, "FAIL": 1}


def test_a_death_between_failing_a_trial_and_queueing_it_again_loses_no_point(
    stored_study, in_processes, trials_of, monkeypatch
):
    from abx_amr.studies import retries

    settings, storage = stored_study(n_trials=3)
    in_processes(1, lambda _: run_worker(settings, storage, killed_at(1)))

    def reap_and_die(index):
        monkeypatch.setattr(
            retries, "queue_again", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        )
        run_worker(settings, storage, parabola)

    assert in_processes(1, reap_and_die) == [-signal.SIGKILL]
    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 3, "FAIL": 1}
    assert sum("retry_of" in t.user_attrs for t in trials) == 1
