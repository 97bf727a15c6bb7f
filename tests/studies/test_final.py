"""A final compares the best points with the default on fresh seeds, then values the winner."""

import json
import os
import signal
import time
from datetime import datetime

import pytest

from abx_amr.errors import InputError
from abx_amr.studies.final import default_point, standing
from abx_amr.studies.final_worker import run_final
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.overview import overview_of
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.records import DEFAULT, FinalAttributes, FinalSize, FinalUnit
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

SMALL = {"top": 2, "seeds": 3}


def trained(work):
    """What the parabola gives, as a trial's."""
    return parabola(work.parameters, work.seeds, work.folder)


def search(settings, storage):
    assert run_worker(settings, storage, parabola).reason == "budget"


def work_on(settings, storage, run_seeds=trained, events=None):
    on_event = (lambda event: None) if events is None else events.append
    return run_final(
        settings,
        storage,
        run_seeds,
        on_event,
        began=time.monotonic(),
        write_summary=lambda: finish_study(settings, storage),
    )


def standing_of(settings, storage):
    study = read_study(storage, settings.study_name)
    return standing(settings, study.trials, study.final)


def summary_of(settings):
    return json.loads(settings.files.summary_file.read_text())


def test_a_final_tells_when_its_trainings_have_ended_as_far_as_it_was_kept():
    told = {"abx_final_outcome:1:9000": {"ended": "2026-11-29T08:00:00"}}
    told["abx_final_outcome:1:9001"] = {"episode_return": 1.0}  # of a release that kept no moment
    told["abx_final_claim:1:9001"] = {"ended": "2027-01-01T00:00:00"}
    assert FinalAttributes(told).ended == [datetime(2026, 11, 29, 8)]


# -- its size ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trainings", "points", "seeds"), [(1, 2, 3), (8, 2, 3), (60, 3, 6), (150, 5, 10)]
)
def test_its_comparison_takes_about_a_third_of_the_search_s_trainings(trainings, points, seeds):
    size = FinalSize.of_search(trainings)
    assert (size.top + 1, size.seeds) == (points, seeds)


@pytest.mark.parametrize(
    ("final", "what"),
    [
        (3, r"tuning\.final must be true .*, false or \{top: POINTS, seeds: SEEDS\}, not 3"),
        ({"tops": 3}, r"tuning\.final\.tops does not exist; did you mean 'top'"),
        ({"top": 0}, r"tuning\.final\.top must be a whole number"),
        ({"seeds": 1}, r"tuning\.final\.seeds must be a whole number"),
        ({"seeds": 1001}, r"needs 1001 seeds within 9000\.\.9999 .*tuning\.final=false"),
    ],
)
def test_a_wrong_size_is_refused_in_one_line(configuration, final, what):
    with pytest.raises(InputError, match=what):
        StudySettings.from_configuration(configuration(final=final))


def test_its_fresh_seeds_are_none_that_the_search_uses(study):
    settings, storage = study(n_trials=2, n_seeds_per_trial=2, first_seed=9001, final=SMALL)
    search(settings, storage)
    assert standing_of(settings, storage).seeds == [9000, 9003, 9004]


# -- its course --------------------------------------------------------------------------------


def test_the_best_points_and_the_default_are_compared_and_the_winner_is_held_out(study):
    settings, storage = study(n_trials=6, final=SMALL)
    search(settings, storage)
    seen = []

    def run_seeds(work):
        seen.append((work.point, tuple(work.seeds), work.is_held_out, work.folder.name))
        return trained(work)

    assert not overview_of(settings, storage).is_complete
    assert not settings.files.best_params_file.exists()  # before the final says which
    assert work_on(settings, storage, run_seeds).reason == "budget"
    trials = {t.number: t for t in read_study(storage, settings.study_name).trials}
    first, second = sorted(trials, key=lambda n: -trials[n].value)[:2]
    fresh, held_out = (9000, 9001, 9002), (10000, 10001, 10002)
    assert seen == [
        (first, fresh, False, str(first)),
        (second, fresh, False, str(second)),
        (DEFAULT, fresh, False, DEFAULT),
        (DEFAULT, held_out, True, DEFAULT),
        (first, held_out, True, str(first)),
    ]
    final = summary_of(settings)["final"]
    assert [c["point"] for c in final["candidates"]] == [first, second, DEFAULT]
    assert list(final["candidates"][0]["seeds"]) == ["9000", "9001", "9002"]
    assert (final["selected"], final["found"]) == (first, trials[first].value)
    assert json.loads(settings.files.best_params_file.read_text()) == dict(trials[first].params)
    assert overview_of(settings, storage).is_complete


def test_a_default_that_wins_is_the_result_and_plain_optuna_s_best_trial_stays(study):
    def favours_the_default(work):
        bonus = 10.0 if work.point == DEFAULT else 0.0
        return [SeedOutcome(o.seed, o.episode_return + bonus) for o in trained(work)]

    settings, storage = study(n_trials=3, final=SMALL)
    search(settings, storage)
    before = read_study(storage, settings.study_name).best.number
    work_on(settings, storage, favours_the_default)
    summary = summary_of(settings)
    assert summary["final"]["selected"] == DEFAULT
    best = json.loads(settings.files.best_params_file.read_text())
    assert best == default_point(settings) == {"agent_algorithm.x": 0, "agent_algorithm.n_steps": 3}
    assert summary["best_trial"]["number"] == before
    assert read_study(storage, settings.study_name).best.number == before
    # Nine trainings of the comparison, three held out: the default is the winner.
    assert summary["final_trainings"] == {"done": 12, "planned": 12}


def test_a_default_that_the_search_found_best_takes_no_other_point_s_place(study):
    best_there_is = {"agent_algorithm.x": 0.3, "agent_algorithm.n_steps": 1}
    settings, storage = study(best_there_is, n_trials=4, final=SMALL, enqueue_default=True)
    search(settings, storage)
    trials = read_study(storage, settings.study_name).trials
    best, second, third, _ = sorted(trials, key=lambda t: -t.value)
    assert best.number == 0
    assert list(standing_of(settings, storage).points) == [second.number, third.number, DEFAULT]


def test_less_is_better_where_the_study_minimises(study):
    def cost(params, seeds, folder):
        return [SeedOutcome(o.seed, -o.episode_return) for o in parabola(params, seeds, folder)]

    settings, storage = study(n_trials=4, final=SMALL, direction="minimize")
    run_worker(settings, storage, cost)
    work_on(settings, storage, lambda w: cost(w.parameters, w.seeds, w.folder))
    best = read_study(storage, settings.study_name).best.number
    assert summary_of(settings)["final"]["selected"] == best


def test_a_study_whose_trials_all_failed_has_nothing_to_compare(study):
    settings, storage = study(n_trials=2, final=SMALL)
    run_worker(settings, storage, lambda p, seeds, f: [SeedOutcome(s, None, "no") for s in seeds])
    assert work_on(settings, storage).reason == "budget"
    assert summary_of(settings)["final"] is None
    assert summary_of(settings)["status"] == "complete"


# -- its workers -------------------------------------------------------------------------------


def test_two_workers_one_of_them_killed_train_each_seed_and_come_to_the_same(
    stored_study, in_processes, tmp_path
):
    settings, storage = stored_study(n_trials=3, n_workers=2, heartbeat_interval=30, final=SMALL)
    search(settings, storage)
    trace = tmp_path / "trained"

    def run_seeds(number):
        def run(work):
            time.sleep(0.05)
            if number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            with trace.open("a") as file:
                file.writelines(f"{work.point}:{seed}\n" for seed in work.seeds)
            return trained(work)

        return run

    codes = in_processes(2, lambda i: work_on(settings, storage, run_seeds(i)))
    assert codes == [0, -signal.SIGKILL]
    done = trace.read_text().split()
    assert len(done) == len(set(done)) == 3 * 3 + 2 * 3
    assert summary_of(settings)["final"]["selected"] == summary_of(settings)["best_trial"]["number"]


def test_an_interrupted_final_goes_on_where_it_was(study, in_processes):
    settings, storage = study(n_trials=3, final=SMALL)
    search(settings, storage)
    started = []

    def stopped_at_third(work):
        started.append(work.point)
        if len(started) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return trained(work)

    codes = in_processes(1, lambda _: work_on(settings, storage, stopped_at_third))
    assert codes == [0]
    now = standing_of(settings, storage)
    assert (now.n_done, now.n_planned, now.selected) == (6, 15, None)
    assert summary_of(settings)["final_trainings"] == {"done": 6, "planned": 15}
    assert prepare_study(settings, storage) is Preparation.JOINED
    events = []
    assert work_on(settings, storage, events=events).reason == "budget"
    assert sum(event.kind == "final_trained" for event in events) == 9
    assert prepare_study(settings, storage) is Preparation.FINISHED


def test_a_seed_that_kills_or_fails_every_worker_is_given_up(study, in_processes):
    settings, storage = study(n_trials=2, max_retry=1, final={"top": 1, "seeds": 2})
    search(settings, storage)

    def broken(work):
        if 9001 in work.seeds and work.point == DEFAULT:
            raise OSError("the disk is full")
        return trained(work)

    assert work_on(settings, storage, broken).reason == "budget"
    outcome = standing_of(settings, storage).outcomes[FinalUnit(DEFAULT, 9001)]
    assert outcome.failure_reason == "OSError: the disk is full"
    assert summary_of(settings)["final"]["candidates"][-1]["objective"] is None


def test_a_seed_that_kills_its_worker_again_and_again_is_given_up(study, in_processes):
    settings, storage = study(n_trials=2, max_retry=1, final={"top": 1, "seeds": 2})
    search(settings, storage)

    def deadly(work):
        if 9001 in work.seeds and work.point == DEFAULT:
            os.kill(os.getpid(), signal.SIGKILL)
        return trained(work)

    codes = [in_processes(1, lambda _: work_on(settings, storage, deadly)) for _ in range(3)]
    assert codes == [[-signal.SIGKILL], [-signal.SIGKILL], [0]]
    outcome = standing_of(settings, storage).outcomes[FinalUnit(DEFAULT, 9001)]
    assert outcome.failure_reason is not None


def test_what_a_worker_claims_or_tells_is_written_in_one_piece(stored_study, monkeypatch):
    settings, storage = stored_study(n_trials=3, final=SMALL)
    search(settings, storage)
    pieces, kind = [], type(storage.open())
    written = kind.write_study
    monkeypatch.setattr(
        kind, "write_study", lambda *a: (pieces.append(len(a[-1])), written(*a))[-1]
    )
    monkeypatch.setattr(
        kind, "set_study_user_attr", lambda _, study, key, value: pieces.append(key)
    )
    work_on(settings, storage)
    assert pieces[:4] == [3, 3, 3, 3]  # seeds of a point: claimed, told, of the next one
    assert sum(n for n in pieces if isinstance(n, int)) == 2 * (3 * 3 + 2 * 3)
    assert not [key for key in pieces if str(key).startswith(("abx_final_claim", "abx_final_out"))]


# -- studies with and without one --------------------------------------------------------------


def test_a_study_finished_without_a_final_gets_one_where_its_size_is_written(configuration, study):
    settings, storage = study(n_trials=2, final=False)
    search(settings, storage)
    again = StudySettings.from_configuration(configuration(n_trials=2, final=True))
    assert prepare_study(again, storage) is Preparation.FINISHED
    told = StudySettings.from_configuration(configuration(n_trials=2, final=SMALL))
    assert prepare_study(told, storage) is Preparation.JOINED
    without = StudySettings.from_configuration(configuration(n_trials=2, final=False))
    assert prepare_study(without, storage) is Preparation.FINISHED
    assert standing_of(without, storage) is None


def test_more_trials_make_the_final_anew_and_keep_what_it_has_trained(configuration, study):
    settings, storage = study(n_trials=2, final=SMALL)
    search(settings, storage)
    work_on(settings, storage)
    more = StudySettings.from_configuration(configuration(n_trials=5, final=SMALL))
    assert prepare_study(more, storage) is Preparation.JOINED
    assert standing_of(more, storage) is None
    search(more, storage)
    now = standing_of(more, storage)
    assert now.open and now.n_done >= 6  # the default, at least
