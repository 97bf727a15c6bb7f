"""What was written by release 0.1 names classes by their former modules, and still opens."""

import base64
import importlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from abx_amr.agents.learners.on_policy.former_agents import objects_of_former_names
from abx_amr.agents.rules import Greedy
from abx_amr.agents.schedules import LinearSchedule
from abx_amr.configuration.agent import build_prescriber, learns
from abx_amr.configuration.classes import locate
from abx_amr.configuration.composing import compose
from abx_amr.host.former_names import FORMER_MODULES, canonical, present_name

# Of release 0.1: pickle.dumps({"lr": LinearSchedule(initial=0.001, final=0.0)}, protocol=4).
SCHEDULE_OF_0_1 = base64.b64decode(
    "gASVZwAAAAAAAAB9lIwCbHKUjBxhYnhfYW1yLmFsZ29yaXRobXMuc2NoZWR1bGVzlIwOTGluZWFyU2No"
    "ZWR1bGWUk5QpgZR9lCiMB2luaXRpYWyURz9QYk3S8an8jAVmaW5hbJRHAAAAAAAAAAB1YnMu"
)


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


def test_an_object_that_was_pickled_under_a_former_name_is_found(tmp_path: Path) -> None:
    assert b"abx_amr.algorithms.schedules" in SCHEDULE_OF_0_1
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(SCHEDULE_OF_0_1)
    found: dict[str, Any] = objects_of_former_names(saved(tmp_path, SCHEDULE_OF_0_1))
    assert found == {"learning_rate": {"lr": LinearSchedule(initial=0.001, final=0.0)}}


def test_an_agent_of_today_has_none(tmp_path: Path) -> None:
    today = pickle.dumps(LinearSchedule(initial=0.001, final=0.0))
    assert objects_of_former_names(saved(tmp_path, today)) == {}


def saved(folder: Path, pickled: bytes) -> Path:
    """Return a zip with one attribute as SB3 saves those that are no JSON."""
    file = folder / "agent.zip"
    attribute = {":type:": "x", ":serialized:": base64.b64encode(pickled).decode()}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", json.dumps({"learning_rate": attribute, "n_envs": 4}))
    return file
