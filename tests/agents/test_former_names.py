"""What was written by release 0.1 names classes by their former modules, and still opens."""

import importlib
import json

import pytest

from abx_amr.agents.rules import Greedy
from abx_amr.configuration.agent import build_prescriber, learns
from abx_amr.configuration.classes import locate
from abx_amr.configuration.composing import compose
from abx_amr.host.former_names import FORMER_MODULES, canonical, present_name


@pytest.mark.parametrize("former", FORMER_MODULES)
def test_every_former_module_is_one_of_today(former: str) -> None:
    assert importlib.import_module(present_name(former)).__doc__


def test_a_former_target_is_the_class_of_today() -> None:
    assert locate("abx_amr.algorithms.rules.Greedy", key="agent_algorithm._target_") is Greedy


def test_a_rule_of_a_former_name_is_a_rule() -> None:
    config = compose("train", ["agent_algorithm=greedy"]).plain
    config["agent_algorithm"]["_target_"] = "abx_amr.algorithms.rules.Greedy"
    assert not learns(config)
    assert not build_prescriber(config).learns


def test_settings_that_differ_in_a_former_name_alone_are_the_same() -> None:
    config = compose("train", ["agent_algorithm=ppo_linear"]).plain
    former = json.loads(json.dumps(config).replace("abx_amr.agents.", "abx_amr.algorithms."))
    assert former != config
    assert canonical(former) == config


def test_a_users_own_names_are_left_alone() -> None:
    own = {"reward": {"_target_": "components.algorithms.Mine", "values": [1, {"a": None}]}}
    assert canonical(own) == own
