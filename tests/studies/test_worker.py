"""Workers spend the budget exactly, whatever dies, fails or is interrupted."""

import json
import logging
import math
import os
import signal
import threading
import time

import numba
import optuna
import pytest
from llvmlite.binding.ffi import ObjectRef

from abx_amr.studies.finishing import finish_study
from abx_amr.studies.heartbeat import heartbeats
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.stored import read_study
from abx_amr.studies.tables import table_of
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola


def states(trials):
    return {name: sum(t.state.name == name for t in trials) for name in ("COMPLETE", "FAIL")}


def slow(seconds, then=parabola):
    def run_trial(params, seeds, folder):
        time.sleep(seconds)
        return then(params, seeds, folder)

    return run_trial


def killed_at(*numbers):
    def run_trial(params, seeds, folder):
        if int(folder.name) in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return parabola(params, seeds, folder)

    return run_trial


# -- the budget --------------------------------------------------------------------------------


def test_four_workers_finish_exactly_the_budget(study, in_processes, trials_of):
    settings, storage = study(n_trials=18)
    assert in_processes(4, lambda _: run_worker(settings, storage, slow(0.02))) == [0] * 4
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 18, "FAIL": 0}
    assert len({tuple(t.params.values()) for t in trials}) == 18
    assert (settings.folder / "best_params.json").exists()


def test_dead_workers_cost_their_trial_one_retry_and_the_budget_stays_exact(
    study, in_processes, trials_of
):
    settings, storage = study(n_trials=12)
    codes = in_processes(5, lambda i: run_worker(settings, storage, slow(0.02, killed_at(1, 4, 7))))
    assert sorted(codes) == [-signal.SIGKILL] * 3 + [0] * 2
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 12, "FAIL": 3}
    retried = {t.user_attrs["retry_of"]: t for t in trials if "retry_of" in t.user_attrs}
    assert set(retried) == {1, 4, 7}
    assert all(retried[n].params == trials[n].params for n in retried)
    assert all("is gone" in trials[n].user_attrs["failure"] for n in retried)


def test_the_same_command_after_the_death_of_the_only_worker_does_not_wait(
    study, in_processes, trials_of
):
    settings, storage = study(n_trials=5, heartbeat_interval=600)
    assert in_processes(1, lambda _: run_worker(settings, storage, killed_at(2))) == [
        -signal.SIGKILL
    ]
    began = time.monotonic()
    report = run_worker(settings, storage, parabola)
    assert time.monotonic() - began < 30
    assert report.trials_run == 3
    assert states(trials_of(settings, storage)) == {"COMPLETE": 5, "FAIL": 1}


def test_a_worker_that_comes_to_a_finished_study_runs_nothing(study):
    settings, storage = study()
    run_worker(settings, storage, parabola)
    report = run_worker(settings, storage, parabola)
    assert (report.reason, report.trials_run) == ("budget", 0)


def test_trials_have_folders_of_their_own_named_by_number(study):
    folders = []

    def run_trial(params, seeds, folder):
        folders.append(folder)
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=3)
    run_worker(settings, storage, run_trial)
    assert folders == [settings.folder / "trials" / str(n) for n in range(3)]
    assert not (settings.folder / "trials").exists()


def test_a_trial_the_user_queued_is_run_first_and_counts(study, trials_of):
    import optuna

    settings, storage = study(n_trials=3)
    mine = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    mine.enqueue_trial({"agent_algorithm.x": 0.3, "agent_algorithm.n_steps": 1})
    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert trials[0].params == {"agent_algorithm.x": 0.3, "agent_algorithm.n_steps": 1}
    assert [t.user_attrs["lineage"] for t in trials] == [0, 1, 2]


# -- what is stored ----------------------------------------------------------------------------


def test_a_failed_seed_is_recorded_on_its_trial(study, trials_of, caplog):
    def run_trial(params, seeds, folder):
        return [
            SeedOutcome(seeds[0], 1.0, effective_values={"lr": 0.5}, seconds=2.0),
            SeedOutcome(seeds[1], None, failure="OutOfMemoryError: 8 GiB"),
            SeedOutcome(seeds[2], 3.0, effective_values={"lr": 0.5}),
        ]

    settings, storage = study(n_trials=1, stability_penalty_weight=0.5)
    run_worker(settings, storage, run_trial)
    [trial] = trials_of(settings, storage)
    attributes = trial.user_attrs
    assert trial.value == 1.5
    assert (attributes["mean_reward"], attributes["std_reward"]) == (2.0, 1.0)
    assert attributes["stability_penalty"] == 0.5
    assert attributes["failed_seeds"] == {"1001": "OutOfMemoryError: 8 GiB"}
    assert attributes["seeds"][0] == {
        "seed": 1000,
        "episode_return": 1.0,
        "failure": None,
        "seconds": 2.0,
    }
    assert attributes["effective_values"] == {"lr": 0.5}
    assert attributes["wall_time_seconds"] >= 0
    assert attributes["owner"]["pid"] == os.getpid()
    assert "seed 1001 failed: OutOfMemoryError" in caplog.text


def test_a_collapsed_seed_is_recorded_on_its_trial_and_counted_in_the_table(study, trials_of):
    def run_trial(params, seeds, folder):
        kinds = ("never_treats", None, "entropy_vanished")
        return [SeedOutcome(s, 1.0, collapse=k) for s, k in zip(seeds, kinds, strict=True)]

    settings, storage = study(n_trials=1)
    run_worker(settings, storage, run_trial)
    [trial] = trials_of(settings, storage)
    expected = {"1000": "never_treats", "1002": "entropy_vanished"}
    assert trial.user_attrs["collapsed_seeds"] == expected
    table = table_of(read_study(storage, settings.study_name))
    assert table["collapsed"].tolist() == [2]


@pytest.mark.parametrize(("direction", "worst"), [("maximize", -math.inf), ("minimize", math.inf)])
def test_a_study_goes_on_when_all_seeds_of_a_trial_fail(study, trials_of, direction, worst):
    def run_trial(params, seeds, folder):
        if folder.name == "1":
            return [SeedOutcome(s, math.nan) for s in seeds]
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=4, direction=direction)
    run_worker(settings, storage, run_trial)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 4, "FAIL": 0}
    assert trials[1].value == worst
    assert "non-finite" in trials[1].user_attrs["failed_seeds"]["1000"]
    assert trials[1].user_attrs["seeds"][0]["episode_return"] is None


def test_seeds_per_trial_are_kept_by_a_retry(study, in_processes, trials_of):
    settings, storage = study(n_trials=3, seeds="per_trial", n_seeds_per_trial=2)
    in_processes(1, lambda _: run_worker(settings, storage, killed_at(1)))
    run_worker(settings, storage, parabola)
    seeds = [
        [s["seed"] for s in t.user_attrs["seeds"]]
        for t in trials_of(settings, storage)
        if t.state.name == "COMPLETE"
    ]
    assert seeds == [[1000, 1001], [1002, 1003], [1004, 1005]]


def test_every_step_is_an_event(study):
    events = []
    settings, storage = study(n_trials=2)
    run_worker(settings, storage, parabola, events.append)
    assert [(e.kind, e.number, e.finished) for e in events] == [
        ("trial_started", 0, 0),
        ("trial_finished", 0, 1),
        ("trial_started", 1, 1),
        ("trial_finished", 1, 2),
        ("stopped", None, 2),
    ]
    assert events[1].value is not None
    assert events[-1].message == "2 of 2 trials are finished"


# -- what goes wrong ---------------------------------------------------------------------------


def test_an_error_outside_a_seed_is_tried_again_with_the_same_parameters(study, trials_of):
    attempts = []

    def run_trial(params, seeds, folder):
        attempts.append(params)
        if len(attempts) in (2, 3):
            raise OSError("the disk is full")
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=3)
    run_worker(settings, storage, run_trial)
    trials = trials_of(settings, storage)
    assert attempts[1] == attempts[2] == attempts[3]
    assert states(trials) == {"COMPLETE": 3, "FAIL": 2}
    assert trials[1].user_attrs["failure"] == "OSError: the disk is full"
    assert [t.user_attrs.get("retries", 0) for t in trials] == [0, 0, 1, 2, 0]


def test_a_point_is_given_up_after_its_retries_and_the_budget_is_spent_on_others(study, trials_of):
    settings, storage = study(n_trials=4, max_retry=2)
    first = []

    def poisoned(params, seeds, folder):
        if not first:
            first.append(params)
        if params == first[0]:
            raise OSError("always")
        return parabola(params, seeds, folder)

    run_worker(settings, storage, poisoned)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 4, "FAIL": 3}
    assert [t.params for t in trials[:3]] == [first[0]] * 3


def test_a_study_that_only_fails_ends_and_says_why(study, trials_of):
    def run_trial(params, seeds, folder):
        raise OSError("the disk is full")

    settings, storage = study(n_trials=8, max_failures=5)
    report = run_worker(settings, storage, run_trial)
    assert report.reason == "failures"
    assert report.message.endswith("the last error: OSError: the disk is full")
    assert len([t for t in trials_of(settings, storage) if t.state.name == "FAIL"]) == 5

    prepare_study(settings, storage)  # the same command again may try again
    assert run_worker(settings, storage, parabola).reason == "budget"


def test_a_worker_stops_after_its_quota(study):
    settings, storage = study(n_trials=6, n_trials_per_worker=2)
    report = run_worker(settings, storage, parabola)
    assert (report.reason, report.trials_run) == ("quota", 2)


def test_a_worker_starts_nothing_after_its_timeout(study):
    settings, storage = study(n_trials=50, timeout=0.3)
    report = run_worker(settings, storage, slow(0.2))
    assert report.reason == "timeout"
    assert 1 <= report.trials_run <= 2


def test_a_worker_starts_nothing_when_its_slurm_limit_is_near(study, monkeypatch):
    settings, storage = study(n_trials=6)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) - 1))
    report = run_worker(settings, storage, parabola)
    assert (report.reason, report.trials_run) == ("time limit", 1)


# -- signals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_gives_the_trial_back_and_says_how_to_go_on(study, trials_of, number):
    def run_trial(params, seeds, folder):
        if folder.name == "2":
            os.kill(os.getpid(), number)
            time.sleep(10)
        return parabola(params, seeds, folder)

    settings, storage = study(n_trials=4)
    before = signal.getsignal(number)
    began = time.monotonic()
    report = run_worker(settings, storage, run_trial)
    assert time.monotonic() - began < 8
    assert signal.getsignal(number) is before
    assert report.was_interrupted
    assert report.message == (
        f"stopped by {number.name}: 2 of 4 trials are finished; run the same command again to go on"
    )
    trials = trials_of(settings, storage)
    assert [t.state.name for t in trials] == ["COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    assert trials[3].user_attrs["retries"] == 0
    summary = json.loads((settings.folder / "study_summary.json").read_text())
    assert (summary["status"], summary["n_finished"]) == ("unfinished", 2)

    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 4, "FAIL": 1}
    assert trials[3].params == trials[2].params


def test_a_second_interrupt_ends_the_process_at_once(study, in_processes):
    settings, storage = study(n_trials=4)

    def run_trial(params, seeds, folder):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        finally:  # a clean-up that takes long
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)

    assert in_processes(1, lambda _: run_worker(settings, storage, run_trial)) == [130]
    report = run_worker(settings, storage, parabola)
    assert (report.reason, report.trials_run) == ("budget", 4)


def interrupted_at(study, trials_of, work):
    """Check that the trial whose `work(interrupt)` sends a signal ends soon afterwards."""
    settings, storage = study(n_trials=1)

    def run_trial(params, seeds, folder):
        work(lambda: os.kill(os.getpid(), signal.SIGTERM))
        time.sleep(10)
        return parabola(params, seeds, folder)

    assert run_worker(settings, storage, run_trial).was_interrupted
    assert [t.state.name for t in trials_of(settings, storage)] == ["FAIL", "WAITING"]


def test_an_interrupt_in_a_finalizer_is_obeyed_after_it(study, trials_of):
    finalized = []

    class Held:
        def __init__(self, interrupt):
            self.interrupt = interrupt

        def __del__(self):
            self.interrupt()
            finalized.append(True)

    interrupted_at(study, trials_of, lambda interrupt: Held(interrupt) and None)
    assert finalized


def test_an_interrupt_while_a_kernel_is_compiled_is_obeyed_after_it(study, trials_of, monkeypatch):
    kernel = numba.njit(lambda x: x + 1)
    interrupts = []
    make = ObjectRef.__init__

    def interrupted(self, pointer):
        if interrupts:
            interrupts.pop()()
        make(self, pointer)

    def compiled(interrupt):
        interrupts.append(interrupt)
        kernel(1)

    monkeypatch.setattr(ObjectRef, "__init__", interrupted)
    interrupted_at(study, trials_of, compiled)
    assert not interrupts
    assert len(kernel.signatures) == 1


def wait_until(claim, seconds=60):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_interrupt_while_waiting_ends_the_wait(study, in_processes, tmp_path):
    settings, storage = study(n_trials=1)
    started, interrupted = tmp_path / "started", tmp_path / "interrupted"

    def held(params, seeds, folder):
        started.touch()
        wait_until(interrupted.exists)
        return parabola(params, seeds, folder)

    def interrupt():
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    def work(index):
        if index == 0:
            run_worker(settings, storage, held)
            return
        wait_until(started.exists)
        threading.Thread(target=interrupt, daemon=True).start()
        assert run_worker(settings, storage, parabola).was_interrupted
        interrupted.touch()

    assert in_processes(2, work) == [0, 0]


# -- heartbeats and owners ---------------------------------------------------------------------


def start_trial_elsewhere(settings, storage, *, interval):
    """Leave a running trial whose owner is on another machine."""
    import optuna

    mine = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    trial = mine.ask(settings.space)
    trial.set_user_attr("lineage", 0)
    trial.set_user_attr(
        "owner",
        {"host": "elsewhere", "boot": "b", "container": "c", "pid": 1, "interval": interval},
    )
    return trial


def test_a_silent_worker_on_another_machine_loses_its_trial_after_three_intervals(study, trials_of):
    settings, storage = study(n_trials=2)
    lost = start_trial_elsewhere(settings, storage, interval=0.2)
    began = time.monotonic()
    run_worker(settings, storage, parabola)
    assert time.monotonic() - began >= 0.6
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 2, "FAIL": 1}
    assert "has been silent" in trials[0].user_attrs["failure"]
    assert trials[2].params == lost.params


def test_a_worker_on_another_machine_that_beats_keeps_its_trial(study, trials_of):
    settings, storage = study(n_trials=2)
    trial = start_trial_elsewhere(settings, storage, interval=0.4)
    backend = storage.open()

    def elsewhere():
        with heartbeats(backend, trial._trial_id, 0.2):
            time.sleep(3.0)
        trial.study.tell(trial, 0.0)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    report = run_worker(settings, storage, parabola)
    thread.join()
    assert report.trials_run == 1
    assert states(trials_of(settings, storage)) == {"COMPLETE": 2, "FAIL": 0}


def test_a_result_that_comes_after_its_trial_was_given_up_is_not_counted(study, trials_of, caplog):
    from optuna.trial import TrialState

    settings, storage = study(n_trials=2)
    backend = storage.open()
    stolen = []

    def run_trial(params, seeds, folder):
        if not stolen:
            stolen.append(params)
            backend.set_trial_state_values(
                backend.get_all_trials(1)[0]._trial_id, state=TrialState.FAIL
            )
        return parabola(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    assert states(trials_of(settings, storage)) == {"COMPLETE": 2, "FAIL": 1}
    assert "was given up by another worker" in caplog.text


def test_a_trial_lost_while_it_was_drawn_is_drawn_again_alike(study, trials_of):
    settings, storage = study(n_trials=3)
    backend = storage.open()
    backend.create_new_trial(backend.get_study_id_from_name(settings.study_name))
    run_worker(settings, storage, parabola)
    drawn = [t.params for t in trials_of(settings, storage) if t.state.name == "COMPLETE"]

    whole, other = study({"run_name": "whole"}, n_trials=3)
    run_worker(whole, other, parabola)
    assert drawn == [t.params for t in trials_of(whole, other)]


def test_the_heart_beats_on_through_errors_of_the_database(caplog):
    beats = []

    class Flaky:
        def set_trial_system_attr(self, trial_id, key, value):
            beats.append((trial_id, key, value[0]))
            if value[0] < 3:
                raise ConnectionError("server closed the connection")

    with caplog.at_level(logging.DEBUG), heartbeats(Flaky(), 7, 0.02):
        time.sleep(0.5)
    assert (7, "abx:heartbeat", 3) in beats
    assert "server closed the connection" in caplog.text


def test_the_summary_counts_the_trials_of_every_worker(study, in_processes, tmp_path):
    settings, storage = study(n_trials=8)

    def once_both_are_at_work(params, seeds, folder):
        (tmp_path / f"worker_{os.getpid()}").touch()
        until = time.monotonic() + 60
        while len([*tmp_path.glob("worker_*")]) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return parabola(params, seeds, folder)

    in_processes(2, lambda _: run_worker(settings, storage, once_both_are_at_work))
    workers = finish_study(settings, storage).content["workers"]
    assert len(workers) == 2
    assert sum(worker["trials"] for worker in workers) == 8


# -- what others have queued --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queued", "reason"),
    [
        ({"agent_algorithm.x": 7.0}, "agent_algorithm.x = 7.0, which is outside its range"),
        ({"agent_algorithm.x": "high"}, "agent_algorithm.x = 'high', which is outside"),
        ({"agent_algorithm.n_steps": 4}, "agent_algorithm.n_steps = 4, which is outside"),
        ({"x": 0.5}, "'x', which the study does not search; write 'agent_algorithm.x'"),
        ({"learning_rat": 0.5}, "'learning_rat', which the study does not search"),
    ],
)
def test_a_queued_trial_outside_the_space_is_failed_in_one_line_and_the_others_are_run(
    study, trials_of, caplog, queued, reason
):
    settings, storage = study(n_trials=3)
    mine = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    mine.enqueue_trial(queued)
    mine.enqueue_trial({"agent_algorithm.x": 0.25})
    run_worker(settings, storage, parabola)
    trials = trials_of(settings, storage)
    assert states(trials) == {"COMPLETE": 3, "FAIL": 1}
    assert reason in trials[0].user_attrs["failure"]
    assert reason in caplog.text
    assert trials[1].params["agent_algorithm.x"] == 0.25
