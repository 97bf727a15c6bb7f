"""One set of checks, from declared types: nothing is read as something else."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest

from abx_amr.checks import (
    LARGEST,
    Count,
    NotNegative,
    Positive,
    Share,
    check_declared,
    fits,
    number,
    whole_number,
)
from abx_amr.errors import InputError

HUGE = 10**400
OF_KINDS: dict[str, list[Any]] = {
    "flag": [True, False],
    "whole number": [0, 1, 7, 100],
    "number": [0.5, 1e-9, 12.25],
    "not finite": [math.nan, math.inf, -math.inf],
    "huge": [HUGE],
    "negative": [-1, -0.5],
    "text": ["no", "off", "n", "false", "", "1", "0x10", "None"],
    "list": [[], [1], [True]],
    "mapping": [{}, {"a": 1}],
    "null": [None],
}
#: Declared type -> the kinds that fit it, and single values of other kinds that do or do not.
DECLARED: list[tuple[Any, set[str], list[Any], list[Any]]] = [
    (bool, {"flag"}, [], []),
    (int, {"whole number"}, [-1, LARGEST], [-0.5, LARGEST + 1]),
    (Count, set(), [1, LARGEST], [0, -1, True, HUGE]),
    (float, {"whole number", "number", "negative"}, [], []),
    (Share, set(), [0, 1, 0.5], [1.5, -0.5, True, "0.5"]),
    (Positive, set(), [1e-9, 100], [0, -1]),
    (NotNegative, {"whole number", "number"}, [], [-1]),
    (str, {"text"}, [], []),
    (int | None, {"whole number", "null"}, [-1], []),
    (float | Callable[[float], float], {"whole number", "number", "negative"}, [abs], []),
    (Sequence[int], set(), [[], [1]], [[True], ["a"], "abc", 3]),
    (dict[str, float], set(), [{}, {"a": 1}], [{"a": "1"}, [1]]),
    (Literal["maximize", "minimize"], set(), ["maximize"], ["Maximise", True, None]),
    (Any, set(OF_KINDS), [], []),
]


@pytest.mark.parametrize(
    ("declared", "kinds", "right", "wrong"),
    DECLARED,
    ids=[str(declared) for declared, *_ in DECLARED],
)
def test_a_value_fits_its_declared_type_or_is_refused_in_one_line(
    declared: Any, kinds: set[str], right: list[Any], wrong: list[Any]
) -> None:
    for kind in kinds:
        for value in OF_KINDS[kind]:
            fits("key", value, declared)
    for value in right:
        fits("key", value, declared)
    others = [v for kind, values in OF_KINDS.items() if kind not in kinds for v in values]
    if right and not kinds:
        others = []
    for value in [*others, *wrong]:
        if any(type(value) is type(each) and value == each for each in right):
            continue
        with pytest.raises(InputError, match=r"^key") as caught:
            fits("key", value, declared)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_a_refusal_of_a_type_that_may_be_null_says_both() -> None:
    with pytest.raises(InputError, match="timeout must be null or a number above 0, got 'soon'"):
        fits("timeout", "soon", Positive | None)


def test_the_element_of_a_list_is_named() -> None:
    with pytest.raises(InputError, match=r"layers\[1\] must be a whole number, got 'b'"):
        fits("layers", [1, "b"], list[int])


class Learner:
    """A class as a user writes one, with a name that only a type checker knows."""

    def __init__(self, *, rate: float, shuffle: bool = True, layers: "Unknown" = None) -> None:  # noqa: F821
        """Take them."""


def test_a_type_that_cannot_be_resolved_costs_only_its_own_parameter() -> None:
    check_declared(Learner, {"rate": 0.5, "layers": 3}, key="agent")
    with pytest.raises(InputError, match=r"agent\.shuffle must be true or false, got 'no'"):
        check_declared(Learner, {"shuffle": "no"}, key="agent")


def test_plain_data_is_no_object_of_a_class_that_stands_beside_a_plain_type() -> None:
    fits("device", "cpu", Learner | str)
    with pytest.raises(InputError, match="device must be text, got 3"):
        fits("device", 3, Learner | str)
    fits("kind", bool, type[int])
    with pytest.raises(InputError, match="kind must be a class, got 'bool'"):
        fits("kind", "bool", type[int])


def rated(rate: float, options: Mapping[str, bool]) -> None:
    """Take what a function declares."""


def test_the_arguments_of_a_function_are_named_by_their_path() -> None:
    check_declared(rated, {"rate": 1, "options": {"a": True}}, key="agent")
    with pytest.raises(InputError, match=r"agent\.options\.a must be true or false, got 'yes'"):
        check_declared(rated, {"rate": 1, "options": {"a": "yes"}}, key="agent")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("1:30", "90 for 1:30 in minutes, 1.5 in hours"),
        ("12:30:45", "45045 for 12:30:45 in seconds, 12.5125 in hours"),
        ("10k", "written out: 10000"),
        ("1,000,000", "without commas: 1000000"),
        ("1_000", "in plain digits: 1000"),
        ("\uff11\uff10", "in plain digits: 10"),
        ("nan", "got 'nan'"),
        ("inf", "got 'inf'"),
    ],
)
def test_a_text_that_is_nearly_a_number_has_the_cure_that_fits_it(given: str, right: str) -> None:
    for check in (number, whole_number):
        with pytest.raises(InputError) as refused:
            check("training.n_envs", given, 1)
        assert str(refused.value).endswith(right)
