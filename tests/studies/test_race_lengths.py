"""A race whose points begin with short trainings, and go on as these are known to tell."""

import json
import os
import signal
from functools import partial

import pytest

from abx_amr.errors import InputError
from abx_amr.rng import stream
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.race import RacePoint, RaceStanding, Step
from abx_amr.studies.race_lengths import Foresight, in_a_line
from abx_amr.studies.race_standing import race_of
from abx_amr.studies.records import RaceRules
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.stored import read_study
from abx_amr.studies.tables import of_whole_trainings, table_of
from abx_amr.studies.worker import run_batches

SHORT, WHOLE = 50, 200
LENGTHS = {"truncated_episodes": WHOLE}


def lengths(**rules):
    return {**LENGTHS, "race": {"episodes": [SHORT, WHOLE], **rules}}


def trained(batch, *, told=True):
    """Return what a batch gives: short trainings tell the ranks of whole ones, or nothing."""
    return [[outcome(trial, seed, told=told) for seed in trial.seeds] for trial in batch]


def outcome(trial, seed, *, told):
    x = trial.parameters["agent_algorithm.x"]
    is_short = trial.part is not None and trial.part.end is not None
    assert trial.part is None or trial.part.end in (None, SHORT)
    name = repr(sorted(trial.parameters.items()))
    value = -10 * (x - 0.3) ** 2 + stream(seed, "luck", name).normal(0.0, 0.1)
    if is_short:
        value = value - 20.0 if told else stream(0, "nothing", name).normal()
    return SeedOutcome(seed, value, seconds=1.0 if is_short else 3.0)


def work(settings, storage, run=trained):
    return run_batches(settings, storage, run, size=1)


def standing(points, *, trainings=60, **more):
    """Return how far a race is; of each point what its short and its whole trainings gave."""
    return RaceStanding(
        rules=RaceRules(trainings=trainings, episodes=(SHORT, WHOLE)),
        points={number: point_of(number, *point) for number, point in enumerate(points)},
        penalty_weight=0.0,
        direction="maximize",
        **more,
    )


def point_of(number, short, whole=None):
    length = SHORT if whole is None else WHOLE
    returns = short if whole is None else whole
    return RacePoint(
        number=number,
        returns=returns,
        reserved=len(returns),
        length=length,
        reserved_length=length,
        shorter=() if whole is None else short,
    )


def pairs_of(values):
    return [([v, v], [v, v]) for v in values]


# -- what is done next -------------------------------------------------------------------------


def test_points_begin_short_and_each_goes_on_while_nothing_is_known():
    assert standing([]).next_step() == Step(number=None, seeds=2, length=SHORT)
    race = standing([([-9.0, -9.0],)])
    assert race.next_step() == Step(number=0, seeds=2, length=WHOLE)


def test_once_short_trainings_tell_only_the_best_third_goes_on():
    known = pairs_of(range(8))
    race = standing([*known, ([-1.0, -1.0],)])
    assert race.foresight.is_supported
    assert race.next_step() == Step(number=7, seeds=4, length=WHOLE)
    full = RacePoint(number=7, returns=[7.0] * 4, reserved=4, length=WHOLE, reserved_length=WHOLE)
    others = [RacePoint(**{**vars(p), "is_out": True}) for p in race.points.values()][:7]
    points = {p.number: p for p in [*others, full, race.points[8]]}
    points[7] = RacePoint(**{**vars(full), "shorter": [7.0, 7.0]})
    race = RaceStanding(rules=race.rules, points=points, penalty_weight=0.0, direction="maximize")
    assert race.next_step() == Step(number=None, seeds=2, length=SHORT)
    points[8] = RacePoint(**{**vars(points[8]), "returns": [6.5, 6.5]})
    race = RaceStanding(rules=race.rules, points=points, penalty_weight=0.0, direction="maximize")
    assert race.next_step() == Step(number=8, seeds=2, length=WHOLE, is_chosen=True)


@pytest.mark.parametrize(
    ("pairs", "is_supported"),
    [
        ([(i, i) for i in range(7)], False),  # too few
        ([(i, i) for i in range(8)], True),
        ([(i, -i) for i in range(20)], False),
        ([(i, 7 * i % 20) for i in range(20)], False),
        ([(i, 1.0) for i in range(20)], False),
        ([(i, i if i else -float("inf")) for i in range(12)], True),
    ],
)
def test_short_trainings_choose_where_their_ranks_are_known_to_tell(pairs, is_supported):
    assert Foresight([(float(a), float(b)) for a, b in pairs]).is_supported is is_supported


def test_chosen_points_do_not_count_for_what_short_trainings_tell():
    race = standing(pairs_of(range(8)))
    chosen = RacePoint(**{**vars(race.points[7]), "is_chosen": True})
    points = {**race.points, 7: chosen}
    race = RaceStanding(rules=race.rules, points=points, penalty_weight=0.0, direction="maximize")
    assert len(race.foresight.pairs) == 7


def test_values_of_short_trainings_are_not_compared_with_those_of_whole_ones():
    race = standing([*pairs_of([0.0, 1.0]), ([90.0, 90.0],)])
    assert race.leader == 1
    assert 2 not in race.ranking
    assert 2 not in race.likely
    assert race.losers == [0]


def test_the_sampler_sees_what_a_short_training_lets_expect():
    pairs = [([v, v], [2 * v + 3, 2 * v + 3]) for v in map(float, range(8))]
    race = standing([*pairs, ([10.0, 10.0],)])
    assert race.likely[8] == pytest.approx(23.0)


def test_what_is_too_little_for_a_whole_training_goes_into_short_ones():
    """Of 4 trainings, 800 episodes: 2 x 200 and 2 x 50 are spent, then 1 x 200 and 2 x 50."""
    points = [([1.0, 1.0], [1.0, 1.0]), ([None, None],)]
    race = standing(points, trainings=4)
    assert race.next_step() == Step(number=0, seeds=3, length=WHOLE)
    race = standing([([1.0] * 2, [1.0] * 3), ([None, None],)], trainings=4)
    assert race.next_step() == Step(number=None, seeds=2, length=SHORT)
    race = standing([([1.0] * 2, [1.0] * 3), ([None, None],)], trainings=4, most_points=2)
    assert race.next_step() == Step(number=1, seeds=4, length=SHORT)


# -- a study -----------------------------------------------------------------------------------


def seeds_of(trials):
    """Return what is stored of the points' seeds, without their seconds."""
    return [
        (
            t.params,
            t.state.name,
            [{k: v for k, v in s.items() if k != "seconds"} for s in t.user_attrs["seeds"]],
            t.intermediate_values,
            t.values,
        )
        for t in trials
    ]


def spent(trials):
    return sum(s["episodes"] for t in trials for s in t.user_attrs["seeds"])


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_a_race_of_two_lengths_spends_exactly_its_budget(study, trials_of, sampler):
    space = {"search_space": GRID} if sampler == "grid" else {}
    settings, storage = study(sampler=sampler, **space, **lengths(trainings=60))
    report = work(settings, storage)
    assert report.message == "12000 of 12000 episodes are finished"
    trials = trials_of(settings, storage)
    assert spent(trials) == 60 * WHOLE
    summary = json.loads((settings.folder / "study_summary.json").read_text())
    assert (summary["status"], summary["n_finished"], summary["budget"]) == (
        "complete",
        12_000,
        12_000,
    )
    race = summary["race"]
    assert race["foresight"]["is_used"]
    assert race["rungs"][0] == {"seeds": 2, "points": len(trials), "episodes": SHORT}
    assert race["rungs"][1]["points"] < len(trials)
    assert "since then only the best 1 in 3 went on" in in_a_line(race)
    table = table_of(read_study(storage, "parabola"))
    assert len(of_whole_trainings(table)) == race["rungs"][1]["points"] < len(table)
    best = summary["best_trial"]
    assert {seed["episodes"] for seed in best["seeds"]} == {WHOLE}
    assert best["value"] > -5.0
    assert prepare_study(settings, storage) is Preparation.FINISHED


GRID = {
    "x": {"type": "categorical", "choices": [i / 10 for i in range(12)]},
}


def test_more_points_are_tried_where_short_trainings_tell(study, trials_of):
    found = {}
    for told in (True, False):
        settings, storage = study({"run_name": str(told)}, n_trials=20, **lengths())
        work(settings, storage, partial(trained, told=told))
        trials = trials_of(settings, storage)
        assert spent(trials) == 60 * WHOLE
        found[told] = len(trials)
        rungs = {s["episodes"] for t in trials for s in t.user_attrs["seeds"]}
        race = json.loads((settings.folder / "study_summary.json").read_text())["race"]
        assert race["foresight"]["is_used"] is told
        if not told:
            assert rungs == {WHOLE}
            assert "every point was trained to its end" in in_a_line(race)
    assert found[True] > 1.3 * found[False]


def test_where_short_trainings_tell_nothing_the_race_is_the_plain_one(study, trials_of):
    """Each point as it would be without them: the same seeds, values and states."""
    settings, storage = study(n_trials=12, sampler="tpe", **lengths())
    work(settings, storage, partial(trained, told=False))
    plain_settings, plain = study(
        {"run_name": "plain"}, n_trials=12, sampler="tpe", race=True, **LENGTHS
    )
    work(plain_settings, plain)
    expected = [returns_of(trial) for trial in trials_of(plain_settings, plain)]
    assert [returns_of(trial) for trial in trials_of(settings, storage)] == expected


def returns_of(trial):
    seeds = [(seed["seed"], seed["episode_return"]) for seed in trial.user_attrs["seeds"]]
    return trial.params, trial.state.name, seeds, trial.value


def test_a_point_keeps_what_its_short_trainings_gave(study, trials_of):
    settings, storage = study(n_trials=4, **lengths())
    work(settings, storage)
    (first, *_) = trials_of(settings, storage)
    seed = first.user_attrs["seeds"][0]
    assert seed["episodes"] == WHOLE
    assert seed["shorter"] == {
        "episodes": SHORT,
        "episode_return": pytest.approx(seed["episode_return"] - 20.0),
    }
    assert seed["seconds"] == 4.0
    assert [*first.intermediate_values][:2] == [2 * SHORT, 2 * WHOLE]


def test_the_final_compares_points_of_whole_trainings(study):
    settings, storage = study(n_trials=20, final={"top": 3, "seeds": 4}, **lengths())
    work(settings, storage)
    from abx_amr.studies.final import standing as final_standing

    record = read_study(storage, "parabola")
    final = final_standing(settings, record.trials, record.final)
    whole = {t.number for t in record.trials if t.length == WHOLE}
    assert {point for point in final.points if point != "default"} <= whole
    assert [*final.points][:3] == race_of(settings, record.trials).ranking[:3]


def killed_at(at, count):
    def run(batch):
        with count.open("a") as file:
            file.write("x")
        if count.stat().st_size == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return trained(batch)

    return run


@pytest.mark.parametrize("at", [2, 25, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 9))])
def test_a_worker_that_is_killed_and_begun_again_gives_the_same_study(
    study, in_processes, trials_of, tmp_path, at
):
    settings, storage = study(n_trials=10, sampler="tpe", **lengths())
    run = killed_at(at, tmp_path / "count")
    assert in_processes(1, lambda _: work(settings, storage, run)) == [-9]
    assert in_processes(1, lambda _: work(settings, storage)) == [0]
    whole_settings, whole = study({"run_name": "whole"}, n_trials=10, sampler="tpe", **lengths())
    work(whole_settings, whole)
    assert seeds_of(trials_of(settings, storage)) == seeds_of(trials_of(whole_settings, whole))


@pytest.mark.parametrize(
    "n_writes", [19, 33, *(pytest.param(n, marks=pytest.mark.slow) for n in (12, 16, 24, 40, 57))]
)
def test_a_death_between_any_two_writes_changes_nothing(
    study, trials_of, killed_at_write, n_writes
):
    settings, storage = study(n_trials=3, **lengths())
    killed_at_write(storage, n_writes, lambda: work(settings, storage))
    work(settings, storage)
    whole_settings, whole = study({"run_name": "whole"}, n_trials=3, **lengths())
    work(whole_settings, whole)
    assert seeds_of(trials_of(settings, storage)) == seeds_of(trials_of(whole_settings, whole))


def test_workers_that_die_or_come_late_leave_exactly_the_budget(
    stored_study, in_processes, trials_of, tmp_path
):
    settings, storage = stored_study(n_trials=12, heartbeat_interval=1, **lengths())
    run = killed_at(11, tmp_path / "count")
    codes = in_processes(4, lambda _: work(settings, storage, run))
    assert codes.count(-9) == 1
    assert codes.count(0) == 3
    trials = trials_of(settings, storage)
    assert spent(trials) == 36 * WHOLE
    assert all(t.state.is_finished() for t in trials)
    assert not any(s["failure"] for t in trials for s in t.user_attrs["seeds"])


def test_seeds_that_fail_after_short_trainings_do_not_go_on(study, trials_of):
    settings, storage = study(n_trials=8, max_retry=0, max_failures=20, **lengths())

    def run(batch):
        if batch[0].number == 1:
            raise RuntimeError("no memory")
        return trained(batch)

    work(settings, storage, run)
    trials = trials_of(settings, storage)
    seeds = trials[1].user_attrs["seeds"]
    assert {(s["failure"], s["episodes"]) for s in seeds} == {("RuntimeError: no memory", SHORT)}
    assert trials[1].state.name == "PRUNED"
    assert spent(trials) == 24 * WHOLE


@pytest.mark.parametrize(
    ("episodes", "line"),
    [
        (50, r"must be two lengths, \[SHORT, WHOLE\] as in \[75, 300\], or null, not 50"),
        ([50], "must be two lengths"),
        ([10, 50, 200], "must be two lengths"),
        ("50,200", "must be two lengths"),
        ([0, 200], r"tuning\.race\.episodes\[0\] must be"),
        ([1.5, 200], r"tuning\.race\.episodes\[0\]"),
        ([50, 100], r"say tuning\.truncated_episodes=100"),
        ([200, 200], "must begin with a length that goes into 200 several times"),
        ([150, 200], "such as 50: not"),
    ],
)
def test_a_mistake_in_the_lengths_is_one_line(configuration, episodes, line):
    with pytest.raises(InputError, match=line) as told:
        StudySettings.from_configuration(
            configuration(truncated_episodes=WHOLE, race={"episodes": episodes})
        )
    assert "\n" not in str(told.value)


def test_a_race_of_one_length_is_stored_as_before():
    assert "episodes" not in RaceRules(trainings=60).as_record()
    assert RaceRules(trainings=60, episodes=(5, 10)).as_record()["episodes"] == [5, 10]
