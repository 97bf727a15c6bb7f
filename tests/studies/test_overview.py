"""How far a study is, read from the study itself, and how long the rest may take."""

import os
import signal
import time
from dataclasses import replace
from datetime import datetime

import pytest
from optuna.trial import TrialState, create_trial

from abx_amr.host.processes import ProcessIdentity
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.overview import overview_of
from abx_amr.studies.records import Worker
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola


def test_a_fresh_study_has_no_rate_and_predicts_nothing(study):
    found = overview_of(*study(n_trials=6))
    assert (found.n_finished, found.budget, found.is_complete) == (0, 6, False)
    assert found.best_value is None
    assert found.remaining_seconds is None
    assert "no trial has finished" in found.prediction(8)


def test_finished_running_failed_best_and_workers_are_counted(study, in_processes, trials_of):
    def run_trial(params, seeds, folder):
        if int(folder.name) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=6)
    in_processes(1, lambda _: run_worker(settings, storage, run_trial))
    found = overview_of(settings, storage)
    assert (found.n_finished, found.n_running) == (3, 1)
    (worker,) = found.workers
    assert (worker.n_finished, worker.trial) == (3, 3)
    assert worker.seconds >= 0
    run_worker(settings, storage, parabola)
    found = overview_of(settings, storage)
    assert found.is_complete
    assert (found.n_running, found.n_failed, len(found.workers)) == (0, 1, 2)
    assert found.remaining_seconds == 0
    best = max(t.values[0] for t in trials_of(settings, storage) if t.values)
    assert found.best_value == best


def test_a_clock_that_was_set_back_gives_no_negative_times(study):
    settings, storage = study(n_trials=3)
    backend = storage.open()
    study_id = backend.get_study_id_from_name(settings.study_name)
    elsewhere = replace(ProcessIdentity.of_this_process(), host="elsewhere")
    for state, value in ((TrialState.COMPLETE, 1.0), (TrialState.RUNNING, None)):
        trial = create_trial(state=state, value=value)
        trial.datetime_start = datetime(2999, 1, 1)
        trial.user_attrs["owner"] = Worker(process=elsewhere).as_record()
        backend.create_new_trial(study_id, template_trial=trial)
    (worker,) = overview_of(settings, storage).workers
    assert worker.seconds == 0
    assert finish_study(settings, storage).content["wall_time_seconds"] is None


def test_the_rest_is_predicted_from_the_trials_seen_so_far(study):
    def run_trial(params, seeds, folder):
        time.sleep(0.2)
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=10, n_trials_per_worker=2)
    run_worker(settings, storage, run_trial)
    found = overview_of(settings, storage)
    assert found.typical_trial_seconds == pytest.approx(0.2, abs=0.15)
    expected = 4 * found.typical_trial_seconds / 3600
    assert f"{expected:.3g} hours" in found.prediction(2)
    assert found.remaining_seconds == pytest.approx(8 * 3600 / found.trials_per_hour)
