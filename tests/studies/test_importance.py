"""Which searched values matter is told of points that can be compared, and of enough of them."""

import math

import numpy as np
import pytest

from abx_amr.studies.importance import LEAST, ValuedPoint, importance_of
from abx_amr.studies.space import parse_search_space

X, Y, Z = "agent_algorithm.x", "agent_algorithm.y", "agent_algorithm.z"
FLOAT = {"type": "float", "low": 0.0, "high": 1.0}
SPACE = parse_search_space({"x": FLOAT, "y": FLOAT})


def points(n, value, returns=lambda x, y: ()):
    drawn = np.random.default_rng(0).random((n, 2)).tolist()
    return [
        ValuedPoint(point={X: x, Y: y}, value=value(x, y), returns=returns(x, y)) for x, y in drawn
    ]


def told(found):
    return importance_of(found, SPACE, direction="maximize", penalty_weight=0.0)


def test_what_decides_the_value_is_what_matters():
    everything, good = told(points(80, lambda x, y: -((x - 0.5) ** 2)))
    assert (everything.of, everything.n_points) == ("80 trials", 80)
    assert (good.of, good.n_points) == ("the best quarter of 80", 20)
    for found in (everything, good):
        assert math.isclose(sum(found.shares.values()), 1.0)
        assert found.shares[X] > found.shares[Y]


def test_a_value_that_matters_only_among_the_good_is_found_there():
    def value(x, y):  # x decides whether a point is good at all, y how good it is then
        return 10.0 * (x > 0.7) + (y if x > 0.7 else 0.0)

    everything, good = told(points(200, value))
    assert everything.shares[X] > good.shares[X]
    assert good.shares[Y] > 0.9


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_points_of_a_race_are_compared_by_the_same_seeds(direction):
    def returns(x, y):  # by their first two seeds x decides, by all that they have y does
        return [x, x] if x < 0.5 else [x, x, y * 100.0, y * 100.0]

    sign = 1.0 if direction == "maximize" else -1.0
    found = points(80, lambda x, y: 1e6 * y, lambda x, y: [sign * one for one in returns(x, y)])
    everything, survivors = importance_of(
        found, SPACE, direction=direction, penalty_weight=0.0, first_seeds=2
    )
    n_survived = sum(len(each.returns) == 4 for each in found)
    assert everything.of == "80 points by 2 seeds"
    assert survivors.of == f"{n_survived} survivors by 4 seeds"
    assert everything.shares[X] > 0.8
    assert survivors.shares[Y] > 0.8


def test_survivors_are_compared_at_the_highest_rung_that_enough_of_them_have_reached():
    found = points(40, lambda x, y: x, lambda x, y: [x] * 2)
    longer = [
        ValuedPoint(point=p.point, value=p.value, returns=[p.value] * (16 if i < 3 else 8))
        for i, p in enumerate(found[: LEAST + 2])
    ]
    _, survivors = importance_of(
        longer + found[LEAST + 2 :], SPACE, direction="maximize", first_seeds=2
    )
    assert survivors.of == f"{LEAST + 2} survivors by 8 seeds"


def test_too_few_points_tell_nothing():
    assert told(points(LEAST - 1, lambda x, y: x)) == []
    assert told(points(40, lambda x, y: 1.0)) == []  # all alike
    failed = points(LEAST, lambda x, y: x if x > 0.5 else -math.inf)
    assert told(failed) == []
    assert len(told(points(4 * LEAST - 4, lambda x, y: x))) == 1  # its quarter is too small


def test_what_counts_at_some_points_alone_is_ranked_in_all_its_ways_together():
    ways = [FLOAT | {"when": {"x": 0}}, FLOAT | {"high": 2.0, "when": {"x": 1}}]
    space = parse_search_space(
        {"x": {"type": "categorical", "choices": [0, 1]}, "y": FLOAT, "z": ways}
    )
    rows = np.random.default_rng(1).random((40, 2)).tolist()
    found = [
        ValuedPoint(point={X: int(a > 0.5), Y: a, Z: b * (1 + (a > 0.5))}, value=b) for a, b in rows
    ]
    everything = importance_of(found, space, direction="maximize")[0]
    assert set(everything.shares) == {X, Y, Z}
    assert everything.shares[Z] > 0.6
