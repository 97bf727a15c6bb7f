"""The search space refuses what cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from abx_amr.errors import InputError
from abx_amr.studies.contexts import probe_points
from abx_amr.studies.paths import check_paths
from abx_amr.studies.space import describe, finite_values, parse_search_space

FLOAT = {"type": "float", "low": 1.0e-5, "high": 1.0e-3, "log": True}


def test_entries_become_optuna_distributions_under_their_full_path():
    space = parse_search_space(
        {
            "learning_rate": FLOAT,
            "n_steps": {"type": "int", "low": 128, "high": 2048, "step": 128, "log": None},
            "ent_coef": {"type": "categorical", "choices": [0.0, 0.01], "low": None},
            "option_gamma": {"type": "float", "low": 0.95, "high": 0.999},
            "training.n_envs": {"type": "int", "low": 1, "high": 8},
        }
    )
    assert space == {
        "agent_algorithm.learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
        "agent_algorithm.n_steps": IntDistribution(128, 2048, step=128),
        "agent_algorithm.ent_coef": CategoricalDistribution([0.0, 0.01]),
        "hrl.option_gamma": FloatDistribution(0.95, 0.999),
        "training.n_envs": IntDistribution(1, 8),
    }


def test_sections_may_be_nested():
    nested = parse_search_space({"agent_algorithm": {"policy_kwargs": {"lr": FLOAT}}})
    assert list(nested) == ["agent_algorithm.policy_kwargs.lr"]


def test_an_entry_of_null_is_no_entry():
    assert list(parse_search_space({"gamma": None, "lr": FLOAT})) == ["agent_algorithm.lr"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "float", "low": 2.0, "high": 1.0}, "low 2.0 is above high 1.0"),
        ({"type": "float", "low": 0.0, "high": 1.0, "log": True}, "log needs low above 0"),
        (
            {"type": "float", "low": 0.1, "high": 1.0, "log": True, "step": 0.1},
            "log and step exclude each other",
        ),
        ({"type": "int", "low": 1, "high": 8, "log": True, "step": 2}, "log and step exclude"),
        ({"type": "categorical", "choices": []}, "choices must hold at least one value"),
        ({"type": "categorical", "choices": "abc"}, "choices must be a list"),
        ({"type": "categorical"}, "choices must be a list"),
        ({"type": "categorical", "choices": [[1], [{1, 2}]]}, "must be numbers, text"),
        ({"type": "categorical", "choices": ["[1]", "[2]"]}, "list or section without quotes"),
        ({"type": "categorical", "choices": [[1], [1]]}, r"holds \[1\] more than once"),
        (FLOAT | {"log_below_one": True}, "log_below_one and log exclude each other"),
        (
            {"type": "float", "low": 0.9, "high": 1.0, "log_below_one": True},
            "log_below_one needs high below 1, not 1.0",
        ),
        ({"type": "int", "low": 1, "high": 2, "log_below_one": True}, "no field 'log_below_one'"),
        (FLOAT | {"when": "x"}, r"when must say which key has which value, such as {batch_size"),
        (FLOAT | {"when": {"use_sde": []}}, "when names no value of use_sde"),
        (FLOAT | {"when": {"use_sde": True}}, "use_sde, which is not searched"),
        ([FLOAT, FLOAT | {"low": 1e-4}], "each needs a 'when' of its own"),
        ({"type": "categorical", "choices": [1, 2, 1]}, "holds 1 more than once"),
        ({"type": "flaot", "low": 0, "high": 1}, "did you mean 'float'"),
        ({"type": "float", "lwo": 0, "high": 1}, "no field 'lwo'; did you mean 'low'"),
        ({"type": "float", "high": 1}, "needs low"),
        (
            {"type": "float", "low": "1e-5", "high": 1},
            "low must be a finite number, got '1e-5'; a number is",
        ),
        ({"type": "float", "low": True, "high": 1}, "low must be a finite number, got True"),
        (
            {"type": "float", "low": 0, "high": float("inf")},
            "high must be a finite number, got inf",
        ),
        ({"type": "int", "low": 1.5, "high": 3}, "must be a whole number"),
        ({"type": "int", "low": 1, "high": 3, "step": 0}, "step must be above 0"),
        ({"type": "float", "low": 0.1, "high": 1, "log": "yes"}, "log must be true or false"),
        ({"low": 0.0, "high": 1.0}, "has no type"),
        (0.5, r"must be a section with a type .* write \{type: categorical, choices: \[0.5\]\}"),
        ([1, 2], r"write \{type: categorical, choices: \[1, 2\]\}"),
        ({"type": "loguniform", "low": 1, "high": 2}, "float, low: LOW, high: HIGH, log: true"),
        ({"type": "categorical", "choices": [float("nan"), 1.0]}, "must be a finite number"),
        ({"type": "float", "low": 10**400, "high": 1}, "low must be a finite number"),
        ({"type": "int", "low": 1, "high": 10**30}, "at most 9223372036854775807"),
    ],
)
def test_an_impossible_entry_is_refused_by_name(entry, message):
    with pytest.raises(InputError, match=message) as error:
        parse_search_space({"gamma": entry})
    assert "search_space.gamma" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_same_path_twice_is_refused():
    with pytest.raises(InputError, match=r"names agent_algorithm.lr twice"):
        parse_search_space({"lr": FLOAT, "agent_algorithm": {"lr": FLOAT}})


@pytest.mark.parametrize(
    "key",
    [
        "experiment.x",
        "environment.max_time_steps",
        "antibiotics.drugs.A.leak",
        "amr_dynamics.x",
        "patient_generator.prob_infected.value",
        "reward_calculator.lambda_weight",
        "experiment",
    ],
)
def test_what_would_change_the_problem_is_refused(key):
    with pytest.raises(InputError, match="change the problem"):
        parse_search_space({key: FLOAT})


@pytest.mark.parametrize("key", ["tuning.n_trials", "training.seed", "run_name", "storage.path"])
def test_what_says_how_the_study_is_run_is_refused(key):
    with pytest.raises(InputError, match="must not hold"):
        parse_search_space({key: FLOAT})


def test_a_path_that_does_not_exist_is_refused_with_the_nearest_one():
    configuration = {"agent_algorithm": {"learning_rate": 1.0, "net": {"a": 1}}}
    with pytest.raises(InputError, match=r"did you mean .agent_algorithm.learning_rate."):
        check_paths(parse_search_space({"learning_rat": FLOAT}), configuration)
    with pytest.raises(InputError, match="is a section"):
        check_paths(parse_search_space({"net": FLOAT}), configuration)


def test_a_step_that_does_not_divide_is_said_in_one_line(caplog):
    space = parse_search_space({"n": {"type": "int", "low": 1, "high": 10, "step": 4}})
    assert space["agent_algorithm.n"] == IntDistribution(1, 9, step=4)
    assert [record.getMessage() for record in caplog.records] == [
        "search_space.n: step 4 does not divide 1..10, the highest value is 9"
    ]


def test_every_key_is_probed_at_two_values():
    space = parse_search_space(
        {"lr": FLOAT, "m": {"type": "categorical", "choices": ["a", "b", "c"]}}
    )
    assert probe_points(space) == {
        "agent_algorithm.lr": (1e-5, 1e-3),
        "agent_algorithm.m": ("a", "c"),
    }


def test_two_spellings_of_a_space_are_described_alike():
    one = parse_search_space({"lr": FLOAT, "n": {"type": "int", "low": 1, "high": 2}})
    other = parse_search_space(
        {
            "n": {"type": "int", "low": 1, "high": 2, "step": 1, "log": False, "choices": None},
            "agent_algorithm": {"lr": FLOAT},
        }
    )
    assert describe(one) == describe(other)


@given(low=st.integers(-50, 50), span=st.integers(0, 100), step=st.integers(1, 20))
def test_finite_values_are_the_ones_the_distribution_holds(low, span, step):
    entry = {"type": "int", "low": low, "high": low + span, "step": step}
    [distribution] = parse_search_space({"n": entry}).values()
    assert finite_values(distribution) == list(range(low, low + span + 1, step))


def test_a_stepped_float_ends_exactly_at_its_high():
    [distribution] = parse_search_space(
        {"x": {"type": "float", "low": 0.1, "high": 1.0, "step": 0.3}}
    ).values()
    assert finite_values(distribution) == [0.1, 0.4, 0.7, 1.0]


def test_a_continuous_float_has_no_end_of_values():
    assert finite_values(FloatDistribution(0.0, 1.0)) is None


BATCH = {"type": "categorical", "choices": [64, 128]}
EPOCHS = {"type": "categorical", "choices": [1, 5]}
LAYERS = "agent_algorithm.policy_kwargs.net_arch"
ODD = {
    "values that exclude each other": (
        {"b": BATCH, "n": EPOCHS | {"when": {"b": 64}}, "x": FLOAT | {"when": {"n": 5, "b": 128}}},
        "search_space.x can never count.*values that exclude each other",
    ),
    "a key that is not searched": (
        {"x": FLOAT | {"when": {"n": 5}}},
        r"x\.when names agent_algorithm\.n, which is not searched$",
    ),
    "a circle": (
        {"n": EPOCHS | {"when": {"b": 64}}, "b": BATCH | {"when": {"n": 1}}},
        r"agent_algorithm\.n, agent_algorithm\.b hang on each other by their 'when'",
    ),
    "a key on itself": ({"n": EPOCHS | {"when": {"n": 1}}}, "n hangs on itself by its 'when'"),
    "one number twice": ({"n": {**EPOCHS, "choices": [3, 3.0]}}, "holds 3.0 more than once"),
    "one list twice": ({LAYERS: {**EPOCHS, "choices": [[64], [64.0]]}}, "more than once"),
    "true for 1": ({"n": EPOCHS, "x": FLOAT | {"when": {"n": True}}}, "n is never True"),
    "a text for a number": ({"n": EPOCHS, "x": FLOAT | {"when": {"n": "5"}}}, "n is never '5'"),
    "a list as values": (
        {LAYERS: {**EPOCHS, "choices": [[64, 64], [8]]}, "x": FLOAT | {"when": {LAYERS: [64, 64]}}},
        r"never 64.*; the list as one value is written \[\[64, 64\]\]",
    ),
    "one key under two names": (
        {"n": EPOCHS, "x": FLOAT | {"when": {"n": 1, "agent_algorithm.n": 5}}},
        r"x\.when names agent_algorithm\.n twice",
    ),
    "a range without end": (
        {"y": FLOAT, "x": FLOAT | {"when": {"y": 1.0e-4}}},
        r"which has no end of values",
    ),
    "a section and what lies in it": (
        {
            "policy_kwargs": {**EPOCHS, "choices": [{"net_arch": [64]}, {"net_arch": [8]}]},
            LAYERS: {**EPOCHS, "choices": [[64], [8]]},
        },
        "holds agent_algorithm.policy_kwargs and agent_algorithm.policy_kwargs.net_arch",
    ),
    "ways that count at once": (
        {"n": EPOCHS, "b": BATCH, "x": [FLOAT | {"when": {"n": 1}}, FLOAT | {"when": {"b": 64}}]},
        "two of its ways count at once",
    ),
    "a quoted list": ({LAYERS: {**EPOCHS, "choices": ["[64]", "[8]"]}}, "without quotes"),
    "a list of text": ({"n": {**EPOCHS, "choices": "1,5"}}, r"write \[1,5\]"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_entry_is_one_line_that_says_what_is_wrong(case):
    entries, message = ODD[case]
    with pytest.raises(InputError, match=message) as error:
        parse_search_space(entries)
    assert "\n" not in str(error.value)


def test_conditions_may_be_nested_and_may_ask_for_null_a_list_or_true_beside_1():
    space = parse_search_space(
        {
            "n": {**EPOCHS, "choices": [None, True, 1, [64, 64]]},
            "b": BATCH | {"when": {"n": [None, [64, 64]]}},
            "x": FLOAT | {"when": {"b": 64, "n": None}},
        }
    )
    n, b, x = (f"agent_algorithm.{key}" for key in "nbx")
    assert space.counts(b, {n: [64, 64]})
    assert not space.counts(b, {n: True})
    assert space.counts(x, {n: None, b: 64})
    assert not space.counts(x, {n: [64, 64], b: 64})


def test_a_choice_that_is_a_section_names_what_the_configuration_has():
    configuration = {"agent_algorithm": {"policy_kwargs": {"net_arch": [64], "init": {"gain": 1}}}}

    def check(*choices):
        entry = {"type": "categorical", "choices": list(choices)}
        check_paths(parse_search_space({"policy_kwargs": entry}), configuration)

    check({"net_arch": [8]}, {"init": {"gain": 2}, "net_arch": [4]}, {})
    with pytest.raises(InputError, match="names 'nett_arch', which does not exist there"):
        check({"net_arch": [8]}, {"nett_arch": [4]}, {"net_arch": [2]})


def test_many_choices_are_read_at_once():
    choices = list(range(20_000))
    space = parse_search_space({"n": {"type": "categorical", "choices": choices}})
    assert len(space["agent_algorithm.n"].choices) == 20_000
