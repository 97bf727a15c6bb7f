"""What the command line says about the search space is what the study searches."""

from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from abx_amr.configuration.search_space import (
    entry_of,
    search_space_override,
    split_arguments,
)
from abx_amr.configuration.written import to_the_letter
from abx_amr.errors import InputError
from abx_amr.studies.space import describe, parse_search_space

GROUPS = {"agent_algorithm": ["a2c", "ppo"]}
LOADER = SimpleNamespace(get_group_options=lambda group, *rest: GROUPS.get(group, []))

WRITTEN = {
    "interval(1e-5, 1e-3)": FloatDistribution(1e-5, 1e-3),
    "tag(log, interval(1e-5, 1e-3))": FloatDistribution(1e-5, 1e-3, log=True),
    "interval(1, 8)": FloatDistribution(1.0, 8.0),
    "int(interval(1, 8))": IntDistribution(1, 8),
    "tag(log, int(interval(1, 64)))": IntDistribution(1, 64, log=True),
    "int(interval(1.0, 8.0))": IntDistribution(1, 8),
    "interval(1, 8.0)": FloatDistribution(1.0, 8.0),
    "range(1, 9)": IntDistribution(1, 8),
    "range(1, 9, 3)": IntDistribution(1, 7, step=3),
    "range(128, 2049, step=128)": IntDistribution(128, 2048, step=128),
    "range(9, 1, -3)": IntDistribution(3, 9, step=3),
    "range(0.1, 0.5, step=0.1)": FloatDistribution(0.1, 0.4, step=0.1),
    "range(0.0, 1.0, 0.25)": FloatDistribution(0.0, 0.75, step=0.25),
    "choice(32, 64, 128)": CategoricalDistribution([32, 64, 128]),
    "choice(0.0, 0.01)": CategoricalDistribution([0.0, 0.01]),
    "32,64": CategoricalDistribution([32, 64]),
    "a,b,true": CategoricalDistribution(["a", "b", True]),
    "float(1,2)": CategoricalDistribution([1.0, 2.0]),
    "tag(log, other, interval(1, 2.5))": FloatDistribution(1.0, 2.5, log=True),
}


def parsed(text):
    return OverridesParser.create().parse_override(f"agent_algorithm.x={text}")


def searched(arguments, written=None):
    """Return the distributions after all: the command line on top of what the file says."""
    _, entries = split_arguments(arguments, LOADER)
    override = search_space_override(entries, written=written or {})
    additions = OverridesParser.create().parse_override(override).value()
    return parse_search_space(merged(written or {}, additions))


def merged(below, above):
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@pytest.mark.parametrize("text", WRITTEN)
def test_the_command_line_grammar_becomes_a_distribution(text):
    assert searched([f"agent_algorithm.x={text}"]) == {"agent_algorithm.x": WRITTEN[text]}


@pytest.mark.skipif(
    find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason="hydra-optuna-sweeper is not installed: make hydra14",
)
@pytest.mark.parametrize("text", WRITTEN)
def test_the_upstream_sweeper_reads_the_same_search_space(text):
    upstream = import_module("hydra_plugins.hydra_optuna_sweeper._impl")
    expected = upstream.create_optuna_distribution_from_override(parsed(text))
    assert searched([f"agent_algorithm.x={text}"]) == {"agent_algorithm.x": expected}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("choice([64, 64], [128])", {"type": "categorical", "choices": [[64, 64], [128]]}),
        (
            "choice({pi: [64], vf: ['a']}, [64])",
            {"type": "categorical", "choices": [{"pi": [64], "vf": ["a"]}, [64]]},
        ),
        ("choice(null, [64])", {"type": "categorical", "choices": [None, [64]]}),
        (
            "tag(log_below_one, interval(0.9, 0.99))",
            {
                **{"type": "float", "low": 0.9, "high": 0.99, "log": False, "step": None},
                "log_below_one": True,
            },
        ),
    ],
)
def test_lists_sections_and_distances_below_one_are_searched_as_they_are_meant(text, fields):
    (argument,) = to_the_letter([f"agent_algorithm.x={text}"])
    space = searched([argument])
    assert describe(space) == {"agent_algorithm.x": fields}
    assert parse_search_space(describe(space)) == space


def test_a_tag_says_when_a_key_counts():
    space = searched(
        [
            "agent_algorithm.mode=flat,steep,null",
            "agent_algorithm.x=tag(log, 'when mode=steep|null', interval(1e-5, 1e-3))",
            "agent_algorithm.y=tag('when agent_algorithm.mode=flat', choice(1, 2))",
        ]
    )
    assert space.conditions == {
        "agent_algorithm.x": {"agent_algorithm.mode": ["steep", None]},
        "agent_algorithm.y": {"agent_algorithm.mode": ["flat"]},
    }
    assert parse_search_space(describe(space)).conditions == space.conditions


def test_null_is_no_value_rather_than_the_text_null():
    # the upstream sweeper makes it a text, since it hands values on as overrides
    assert searched(["agent_algorithm.x=a,null"]) == {
        "agent_algorithm.x": CategoricalDistribution(["a", None])
    }


def test_texts_that_need_quotes_survive_the_way_to_the_workers():
    choices = ["it's", 'a "b"', "c,d", "1", "true", "null", "{e:f}", "g h", "back\\slash", "x\\'y"]
    entry = {"type": "categorical", "choices": choices}
    override = search_space_override({"agent_algorithm.x": entry}, written={})
    value = OverridesParser.create().parse_override(override).value()
    assert value["agent_algorithm.x"]["choices"] == choices


def test_fixed_overrides_are_passed_on_as_they_are():
    arguments = ["+tuning=ppo_default", "run_name=a", "~x", "l=[1,2]", "agent_algorithm.y=1,2"]
    fixed, entries = split_arguments(arguments, LOADER)
    assert fixed == arguments[:4]
    assert list(entries) == ["agent_algorithm.y"]


def test_an_entry_of_the_file_is_replaced_however_it_is_written_there():
    new = {"agent_algorithm.x": CategoricalDistribution([1, 2])}
    for written in (
        {"x": {"type": "float", "low": 0.1, "high": 1.0, "log": True}},
        {"agent_algorithm.x": {"type": "int", "low": 1, "high": 9, "step": 2}},
        {"agent_algorithm": {"x": {"type": "float", "low": 0.1, "high": 1.0}}},
    ):
        assert searched(["agent_algorithm.x=1,2"], written) == new


def test_other_entries_of_the_file_stay():
    written = {"y": {"type": "int", "low": 1, "high": 9}}
    space = searched(["agent_algorithm.x=interval(0.0, 1.0)"], written)
    assert set(describe(space)) == {"agent_algorithm.x", "agent_algorithm.y"}


def test_an_option_gamma_on_the_command_line_is_the_managers():
    written = {"option_gamma": {"type": "float", "low": 0.1, "high": 1.0}}
    assert searched(["hrl.option_gamma=interval(0.5, 0.9)"], written) == {
        "hrl.option_gamma": FloatDistribution(0.5, 0.9)
    }


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("agent_algorithm=ppo,a2c", r"write agent_algorithm=choice\(ppo,a2c\)"),
        ("run_name=a,b", "full paths"),
        ("agent_algorithm.x=range(5, 1)", "holds no value"),
        ("agent_algorithm.x=tag(log, range(1, 5))", "log needs an interval"),
        ("agent_algorithm.x=tag(log, choice(1, 5))", "log needs an interval"),
        ("agent_algorithm.x=tag(log_below_one, choice(0.9,0.99))", "no order, log_below_one needs"),
        ("agent_algorithm.x=tag('when y=1', 'when y=2', interval(0,1))", "write 'when y=A|B'"),
        ("agent_algorithm.x=tag('when y', interval(0,1))", "must say which key has which value"),
        ("agent_algorithm.x=glob(*)", "takes interval, range or choice"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(argument, message):
    with pytest.raises(InputError, match=message) as error:
        split_arguments([argument], LOADER)
    assert argument in str(error.value)


def test_a_shuffled_range_is_the_range():
    assert entry_of(parsed("shuffle(range(1, 4))")) == entry_of(parsed("range(1, 4)"))
