"""A race over seeds: exactly its budget, to the bit, whatever dies; the better points get more."""

import json
import math
import os
import signal
import time
from collections import Counter
from functools import partial

import numpy as np
import optuna
import pytest

from abx_amr.errors import InputError
from abx_amr.rng import stream
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.overview import overview_of
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.race import RacePoint, RaceStanding, Step
from abx_amr.studies.records.races import RaceRules
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker


def noisy(params, seeds, folder):
    """One outcome per seed: best at x = 0.3, each seed with its luck."""
    x = params["agent_algorithm.x"]
    luck = [stream(s, "luck", repr(sorted(params.items()))).normal(0.0, 0.3) for s in seeds]
    return [
        SeedOutcome(s, -10 * (x - 0.3) ** 2 + one, seconds=0.01)
        for s, one in zip(seeds, luck, strict=True)
    ]


def race(points, *, trainings=60, direction="maximize", **rules):
    """Return the standing of a race; of each point: returns, and perhaps whether it is out."""
    return RaceStanding(
        rules=RaceRules(trainings=trainings, **rules),
        points={
            number: RacePoint(number=number, returns=returns, reserved=len(returns), **more)
            for number, (returns, more) in enumerate(
                point if isinstance(point, tuple) else (point, {}) for point in points
            )
        },
        penalty_weight=0.2,
        direction=direction,
    )


# -- what is done next -------------------------------------------------------------------------


def test_a_race_begins_with_new_points():
    assert race([]).next_step() == Step(number=None, seeds=2)
    assert race([[1.0, 2.0], [0.0, 1.0]]).next_step() == Step(number=None, seeds=2)


def test_the_best_third_of_a_rung_has_its_seeds_doubled():
    points = [[1.0, 2.0], [5.0, 6.0], [0.0, 1.0]]
    assert race(points).next_step() == Step(number=1, seeds=4)
    assert race(points, direction="minimize").next_step() == Step(number=2, seeds=4)


def test_ranks_of_a_rung_count_those_that_went_on_by_their_first_seeds():
    points = [[1.0, 2.0], [5.0, 6.0, -90.0, -90.0], [0.0, 1.0]]
    assert race(points).next_step() == Step(number=None, seeds=2)


def test_points_that_are_out_get_no_more_seeds_but_count_in_their_rung():
    points = [[1.0, 2.0], ([5.0, 6.0], {"is_out": True}), [0.0, 1.0]]
    assert race(points).next_step() == Step(number=None, seeds=2)


def test_seeds_that_a_worker_has_given_back_come_first():
    points = [[1.0, 2.0], ([5.0, 6.0], {}), [0.0, 1.0]]
    standing = race(points)
    left = RacePoint(number=2, returns=[0.0], reserved=2)
    standing = RaceStanding(
        rules=standing.rules,
        points={**standing.points, 2: left},
        penalty_weight=0.2,
        direction="maximize",
    )
    assert standing.next_step() == Step(number=2, seeds=2)


def test_the_budget_is_spent_to_the_last_training():
    points = [[1.0, 2.0], [5.0, 6.0], [0.0, 1.0]]
    assert race(points, trainings=7).next_step() == Step(number=1, seeds=3)
    assert race(points[:2], trainings=5).next_step() == Step(number=1, seeds=3)
    assert race(points, trainings=6).next_step() is None


def test_one_seed_worse_by_far_does_not_put_a_point_out_but_all_seeds_do():
    leader = [10.0, 10.5, 11.0, 10.2]
    standing = race([leader, [9.0, 9.4, 9.9, 9.1], [10.4, 9.0, 11.5, 9.9], [9.9, 9.5]])
    assert standing.leader == 0
    assert standing.losers == [1, 3]
    assert standing.chance_against(2, 0) > 0.1


def test_points_are_compared_on_the_seeds_that_both_have():
    """The seeds' luck is common: paired, the difference is plain, unpaired it would drown."""
    luck = stream(1, "luck").normal(0.0, 50.0, 8)
    standing = race([list(10.0 + luck), list(9.0 + luck)])
    assert standing.losers == [1]


def test_a_point_of_which_too_few_seeds_succeeded_is_out():
    standing = race([[1.0, 2.0], [None, 5.0], [None, None]])
    assert standing.losers == [1, 2]
    assert math.isinf(standing.value(1))


def test_a_value_of_few_seeds_is_drawn_to_the_middle():
    rng = stream(0, "points")
    many = list(6.0 + rng.normal(0.0, 3.0, 16))
    few = [list(v + rng.normal(0.0, 3.0, 2)) for v in rng.normal(0.0, 1.5, 20)]
    lucky = [7.5, 7.5]
    standing = race([many, *few, lucky], trainings=200)
    assert standing.value(21) > standing.value(0)
    assert standing.leader == 0
    assert standing.ranking[0] == 0


def test_where_no_more_points_are_to_be_had_the_best_have_the_rest():
    points = {n: RacePoint(number=n, returns=[float(n), float(n)], reserved=2) for n in range(2)}
    standing = RaceStanding(
        rules=RaceRules(trainings=60),
        points=points,
        penalty_weight=0.2,
        direction="maximize",
        most_points=2,
    )
    assert standing.next_step() == Step(number=1, seeds=4)


def test_a_budget_that_has_grown_by_less_than_a_points_first_seeds_is_spent():
    standing = race(
        [([1.0, 2.0], {"is_closed": True}), ([0.0, 1.0], {"is_out": True})], trainings=5
    )
    assert standing.next_step() == Step(number=None, seeds=1)


# -- a study -----------------------------------------------------------------------------------


def told(trials):
    """Return what is stored of the points: parameters, state, seeds, values by seeds."""
    return [
        (
            t.params,
            t.state.name,
            [(s["seed"], s["episode_return"]) for s in t.user_attrs["seeds"]],
            t.intermediate_values,
            t.values,
        )
        for t in trials
    ]


@pytest.mark.parametrize(
    "sampler",
    ["tpe", "cmaes", "gp", *(pytest.param(n, marks=pytest.mark.slow) for n in ("random", "qmc"))],
)
def test_a_race_spends_its_budget_and_gives_the_better_points_more(study, trials_of, sampler):
    settings, storage = study(n_trials=20, race=True, sampler=sampler)
    report = run_worker(settings, storage, noisy)
    assert report.reason == "budget"
    assert report.message == "60 of 60 trainings are finished"
    trials = trials_of(settings, storage)
    sizes = [len(t.user_attrs["seeds"]) for t in trials]
    assert sum(sizes) == 60
    assert {t.state.name for t in trials} == {"COMPLETE", "PRUNED"}
    best = optuna.load_study(study_name="parabola", storage=storage.open()).best_trial
    assert len(best.user_attrs["seeds"]) >= max(sizes) / 2
    assert (
        sorted(best.intermediate_values)
        == [2**k for k in range(1, len(best.intermediate_values) + 1)]
        or sum(sizes) == 60
    )
    summary = json.loads((settings.folder / "study_summary.json").read_text())
    assert (summary["status"], summary["n_finished"], summary["budget"]) == ("complete", 60, 60)
    assert summary["race"]["rungs"][0] == {"seeds": 2, "points": len(trials)}
    assert summary["best_trial"]["number"] == best.number
    assert prepare_study(settings, storage) is Preparation.FINISHED


def test_a_race_over_a_grid_begins_every_point_once(study, trials_of):
    space = {"n_steps": {"type": "int", "low": 1, "high": 9, "step": 2}}
    space["mode"] = {"type": "categorical", "choices": ["flat", "steep"]}

    def by_steps(params, seeds, folder):
        n = params["agent_algorithm.n_steps"]
        return [SeedOutcome(s, n + stream(s, "luck", n).normal()) for s in seeds]

    settings, storage = study(n_trials=30, race=True, sampler="grid", search_space=space)
    run_worker(settings, storage, by_steps)
    trials = trials_of(settings, storage)
    assert len({tuple(t.params.values()) for t in trials}) == len(trials) == 10
    assert sum(len(t.user_attrs["seeds"]) for t in trials) == 30


def test_the_seeds_are_common_and_each_is_trained_once(study, trials_of):
    settings, storage = study(n_trials=10, race=True)
    asked = []

    def run_trial(params, seeds, folder):
        asked.extend((folder.name, seed) for seed in seeds)
        return noisy(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    assert len(asked) == len(set(asked)) == 30
    for trial in trials_of(settings, storage):
        seeds = [s["seed"] for s in trial.user_attrs["seeds"]]
        assert seeds == [1000 + i for i in range(len(seeds))]


def killed_after(n_trainings, count):
    """Kill the process at a training, by its number among all that this study has begun."""

    def run_trial(params, seeds, folder):
        with count.open("a") as file:
            file.write("x" * len(seeds))
        if count.stat().st_size >= n_trainings and not (count.parent / "once").exists():
            (count.parent / "once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return noisy(params, seeds, folder)

    return run_trial


@pytest.mark.parametrize("at", [9, 20, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 30))])
def test_a_worker_that_is_killed_and_begun_again_gives_the_same_race(
    configuration, in_processes, trials_of, tmp_path, at
):
    from abx_amr.studies.storages import SqliteStorage

    found = []
    for name in ("whole", "killed"):
        settings = StudySettings.from_configuration(
            configuration(
                {"run_name": name, "study_name": "same"}, n_trials=10, race=True, sampler="tpe"
            )
        )
        storage = SqliteStorage(path=settings.folder / "optuna_study.db")
        prepare_study(settings, storage)
        run = noisy
        if name == "killed":
            run = killed_after(at, tmp_path / "count")
        work = partial(run_worker, settings, storage, run)
        if name == "killed":
            assert in_processes(1, lambda _, work=work: work()) == [-9]
        assert in_processes(1, lambda _, work=work: work()) == [0]
        found.append(told(trials_of(settings, storage)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "n_writes",
    [
        pytest.param(n, marks=[] if n % 4 == 0 else pytest.mark.slow)
        for n in (3, 5, 9, 16, 18, 22, 27, 31, 36, 44, 51, 58, 64, 70, 77, 88, 95, 103, 111, 119)
    ],
)
def test_a_death_between_any_two_writes_changes_nothing(
    study, trials_of, killed_at_write, n_writes
):
    settings, storage = study(n_trials=6, race=True, sampler="tpe")
    whole_settings, whole = study({"run_name": "whole"}, n_trials=6, race=True, sampler="tpe")
    run_worker(whole_settings, whole, noisy)
    killed_at_write(storage, n_writes, lambda: run_worker(settings, storage, noisy))
    run_worker(settings, storage, noisy)
    assert told(trials_of(settings, storage)) == told(trials_of(whole_settings, whole))


def test_workers_that_die_leave_exactly_the_budget(stored_study, in_processes, trials_of, tmp_path):
    settings, storage = stored_study(n_trials=12, race=True, heartbeat_interval=1)

    def run_trial(params, seeds, folder):
        time.sleep(0.02)
        for number in range(3):
            mark = tmp_path / f"killed_{number}"
            if stream(int(folder.name), "die", len(seeds)).random() < 0.3:
                try:
                    mark.touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
        return noisy(params, seeds, folder)

    codes = in_processes(5, lambda _: run_worker(settings, storage, run_trial))
    assert codes.count(0) == 5 - codes.count(-9) > 0
    trials = trials_of(settings, storage)
    assert sum(len(t.user_attrs["seeds"]) for t in trials) == 36
    assert all(t.state.is_finished() for t in trials)
    assert not any(s["failure"] for t in trials for s in t.user_attrs["seeds"])


def test_seeds_that_always_fail_are_given_up_and_the_race_goes_on(study, trials_of):
    settings, storage = study(n_trials=8, race=True, max_retry=1, max_failures=20)

    def run_trial(params, seeds, folder):
        if folder.name == "1":
            raise RuntimeError("no memory")
        return noisy(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    trials = trials_of(settings, storage)
    assert [s["failure"] for s in trials[1].user_attrs["seeds"]] == ["RuntimeError: no memory"] * 2
    assert trials[1].state.name == "PRUNED"
    assert sum(len(t.user_attrs["seeds"]) for t in trials) == 24


def test_a_race_in_which_everything_fails_ends(study):
    settings, storage = study(n_trials=20, race=True, max_failures=5)

    def run_trial(params, seeds, folder):
        raise RuntimeError("no memory")

    report = run_worker(settings, storage, run_trial)
    assert report.reason == "failures"
    assert "no memory" in report.message


def test_an_interrupted_point_is_free_and_its_retries_are_not_touched(study, trials_of):
    settings, storage = study(n_trials=6, race=True)

    def run_trial(params, seeds, folder):
        if folder.name == "2":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return noisy(params, seeds, folder)

    report = run_worker(settings, storage, run_trial)
    assert report.was_interrupted
    assert "of 18 trainings are finished" in report.message
    rung = trials_of(settings, storage)[2].user_attrs["rung"]
    assert (rung["is_claimed"], rung["attempts"]) == (False, 0)
    assert overview_of(settings, storage).n_running == 0
    assert read_study(storage, "parabola").live_workers() == []


def test_the_sampler_sees_each_point_once_and_finished(study, monkeypatch):
    from abx_amr.studies import claiming

    seen = []
    draw = claiming.draw

    def watched(backend, name, trials, **more):
        seen.append([(t.state.name, t.values) for t in trials])
        return draw(backend, name, trials, **more)

    monkeypatch.setattr(claiming, "draw", watched)
    settings, storage = study(n_trials=8, race=True)
    run_worker(settings, storage, noisy)
    assert all(state == "COMPLETE" for state, _ in seen[-1])
    assert len(seen[-1]) == len(seen) - 1


def test_a_claim_works_the_race_out_once_and_again_after_points_are_put_out(study, monkeypatch):
    from abx_amr.studies import race_claims

    calls = Counter()
    kind = race_claims.RaceClaims

    def count(where, name, what=lambda found: True):
        original = getattr(where, name)

        def counted(*arguments):
            found = original(*arguments)
            calls[name] += what(found)
            return found

        monkeypatch.setattr(where, name, counted)

    count(race_claims, "race_of")
    count(kind, "_put_out", what=bool)
    count(kind, "claim")
    settings, storage = study(n_trials=12, race=True)
    run_worker(settings, storage, noisy)
    assert calls["_put_out"] > 0
    # The last claim finds the race over, and ends by saying so.
    assert calls["race_of"] == calls["claim"] + 1 + calls["_put_out"]


def test_the_final_compares_the_best_of_a_race_on_seeds_it_has_not_used(study):
    from abx_amr.studies.final import standing
    from abx_amr.studies.race_standing import race_of

    settings, storage = study(n_trials=20, race=True, final={"top": 3, "seeds": 4})
    run_worker(settings, storage, noisy)
    record = read_study(storage, "parabola")
    final = standing(settings, record.trials, record.final)
    assert [*final.points][:3] == race_of(settings, record.trials).ranking[:3]
    assert final.seeds == [9000, 9001, 9002, 9003]


@pytest.mark.parametrize(
    ("tuning", "line"),
    [
        ({"race": "yes"}, "tuning.race must be true, false or a section"),
        ({"race": {"seeds": 2}}, "tuning.race.seeds does not exist"),
        ({"race": {"trainings": 1}}, "tuning.race.trainings"),
        ({"race": {"reduction": 1}}, "tuning.race.reduction"),
        ({"race": {"level": 0.7}}, "tuning.race.level"),
        ({"race": True, "seeds": "per_trial"}, "tuning.seeds=common"),
        ({"race": True, "min_successful_seeds": 2}, "tuning.min_successful_seeds=null"),
    ],
)
def test_a_mistake_in_a_race_is_one_line(configuration, tuning, line):
    with pytest.raises(InputError, match=line.replace(".", r"\.")):
        StudySettings.from_configuration(configuration(**tuning))


def test_a_study_without_a_race_is_not_gone_on_with_as_one(study, configuration):
    settings, storage = study()
    other = StudySettings.from_configuration(configuration(race=True))
    with pytest.raises(InputError, match="Configuration Mismatch Detected"):
        prepare_study(other, storage)
    assert settings.race is None


def test_the_summary_of_a_race_in_the_middle_says_how_far_it_is(study):
    settings, storage = study(n_trials=6, race=True)

    def run_trial(params, seeds, folder):
        if folder.name == "3":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return noisy(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    summary = finish_study(settings, storage)
    assert not summary.is_complete
    assert 0 < summary.n_finished < summary.budget == 18
    assert np.isfinite(summary.best_value)


def test_a_race_whose_budget_grows_goes_on_with_new_points(study, configuration, trials_of):
    settings, storage = study(n_trials=6, race=True)
    run_worker(settings, storage, noisy)
    before = told(trials_of(settings, storage))
    more = StudySettings.from_configuration(configuration(n_trials=10, race=True))
    assert prepare_study(more, storage) is Preparation.JOINED
    run_worker(more, storage, noisy)
    trials = trials_of(more, storage)
    assert told(trials)[: len(before)] == before
    assert sum(len(t.user_attrs["seeds"]) for t in trials) == 30


def test_a_race_whose_budget_shrinks_ends_with_what_was_begun(study, configuration, trials_of):
    settings, storage = study(n_trials=10, race=True)

    def run_trial(params, seeds, folder):
        if folder.name == "4":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return noisy(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    less = StudySettings.from_configuration(configuration(n_trials=1, race=True))
    prepare_study(less, storage)
    assert run_worker(less, storage, noisy).reason == "budget"
    assert all(t.state.is_finished() for t in trials_of(less, storage))
