"""What a winner is worth is said with an interval over seeds and episodes."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from abx_amr.cli.printed_final import compared, default_overrides
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.records import DEFAULT
from abx_amr.tuning.held_out import _is_beaten, _left, crossed_interval
from abx_amr.tuning.seed_files import write_seed_result


def crossed(generator, *, seeds=8, episodes=20, of_seed=1.0, of_episode=1.0, rest=1.0):
    """Returns (S, N) whose mean is 0."""
    rows = generator.normal(0, of_seed, (seeds, 1))
    columns = generator.normal(0, of_episode, (1, episodes))
    return rows + columns + generator.normal(0, rest, (seeds, episodes))


@pytest.mark.parametrize("of_episode", [0.0, 4.0])
def test_the_interval_holds_the_mean_as_often_as_it_says(of_episode):
    generator = np.random.default_rng(1)
    ends = [crossed_interval(crossed(generator, of_episode=of_episode)) for _ in range(400)]
    covered = np.mean([low <= 0.0 <= high for low, high in ends])
    assert 0.92 <= covered <= 0.985


def test_an_interval_over_seeds_alone_would_miss_what_all_episodes_share():
    from abx_amr.evaluation.statistics import t_interval

    generator = np.random.default_rng(1)
    made = [crossed(generator, of_seed=0.1, of_episode=4.0, rest=0.1) for _ in range(200)]
    covered = [low <= 0.0 <= high for low, high in (t_interval(r.mean(axis=1)) for r in made)]
    assert np.mean(covered) < 0.3
    assert np.mean([low <= 0 <= high for low, high in map(crossed_interval, made)]) > 0.9


def test_a_single_seed_has_no_interval_and_equal_values_one_of_no_width():
    assert all(map(math.isnan, crossed_interval(np.ones((1, 5)))))
    assert crossed_interval(np.full((3, 5), 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("interval", "selected", "direction", "beaten"),
    [
        ((1.0, 2.0), 3, "maximize", True),
        ((-1.0, 2.0), 3, "maximize", None),
        ((-2.0, -1.0), 3, "maximize", False),
        ((-2.0, -1.0), 3, "minimize", True),
        ((1.0, 2.0), 3, "minimize", False),
        ((0.0, 0.0), DEFAULT, "maximize", False),
        (None, 3, "maximize", None),
    ],
)
def test_the_default_is_beaten_where_the_interval_says_so(interval, selected, direction, beaten):
    assert _is_beaten(interval, selected=selected, direction=direction) is beaten


def test_a_default_that_is_not_beaten_is_said_and_offered():
    final = {
        "selected": 4,
        "default_beaten": None,
        "held_out": {"difference": {"mean": 0.5, "interval_95": [-1.0, 2.0]}},
        "candidates": [{"point": DEFAULT, "params": {"a.rate": 1e-3, "a.sees": False, "a.f": "x"}}],
    }
    assert compared(final) == (
        "the default is NOT beaten, not distinguishably: difference 0.500 "
        "(95 % interval -1.000 to 2.000)"
    )
    assert default_overrides(final) == ["a.rate=0.001", "a.sees=false", "a.f=x"]
    assert "is the result" in compared({**final, "selected": DEFAULT})
    assert compared({**final, "default_beaten": True}).startswith("the default is beaten: ")


def test_each_held_out_agent_is_told_by_itself_beside_what_they_have_in_common(tmp_path):
    files, outcomes = StudyFolder(tmp_path), []
    for seed, level in ((10000, 0.9), (10001, 0.1)):
        told = {"seed": seed, "episode_return": -level, "failure": None, "effective_values": {}}
        write_seed_result(
            files.final_point(3).path,
            outcome={**told, "seconds": 1.0},
            evaluation_returns=[-level],
            final_amr={"A": level},
            treatments={"given": {"A": round(100 * level)}, "none": 5},
        )
        outcomes.append(SimpleNamespace(seed=seed, episode_return=-level, failure_reason=None))
    study = SimpleNamespace(settings=SimpleNamespace(files=files))
    found = _left(study, SimpleNamespace(held_out=lambda point: outcomes), 3)
    assert found["final_amr"] == {"A": 0.5}
    assert found["treatments"] == {"given": {"A": 100}, "none": 10}
    assert found["by_seed"] == [
        {"seed": 10000, "mean": -0.9, "final_amr": {"A": 0.9}, "given": {"A": 90}, "none": 5},
        {"seed": 10001, "mean": -0.1, "final_amr": {"A": 0.1}, "given": {"A": 10}, "none": 5},
    ]
