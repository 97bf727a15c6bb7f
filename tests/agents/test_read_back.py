"""A tuned value is the one the agent has; a key that changes nothing is found out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from abx_amr.agents.read_back import effective_values, find_read_back, own_name, shown
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.configuration.values import with_values
from abx_amr.errors import InputError
from abx_amr.studies.space import full_path

SMALL = ["environment.max_time_steps=20", "training.n_envs=4"]


class SwallowingPPO(PPO):
    """A user's class that takes any keyword and forgets those it does not know."""

    def __init__(self, *arguments: Any, magic: float = 0.0, **keywords: Any) -> None:
        keywords.pop("forgotten", None)
        super().__init__(*arguments, **keywords)


class HidingPPO(PPO):
    """A user's class that keeps what it is told under another name."""

    def __init__(self, *arguments: Any, sharpness: float = 0.0, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.temperature = 1.0 / (1.0 + sharpness)


class SwallowingPolicy(ActorCriticPolicy):
    """A user's policy that does the same."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        keywords.pop("forgotten", None)
        super().__init__(*arguments, **keywords)


def builder(*overrides: str) -> Any:
    torch.set_num_threads(1)
    config = compose("train", [*SMALL, *overrides]).plain
    model = build_clinic(config)

    def build(values: Mapping[str, Any]) -> Any:
        changed = with_values(config, values)
        return build_learner(changed).build(model, build_training(changed))

    return build


EVERY_SHIPPED_KEY = {
    "learning_rate": (1e-5, 1e-3),
    "n_steps": (128, 2048),
    "gamma": (0.95, 0.999),
    "gae_lambda": (0.9, 0.99),
    "ent_coef": (0.0, 0.1),
    "clip_range": (0.1, 0.3),
    "batch_size": (32, 256),
    "n_epochs": (3, 10),
}


@pytest.mark.parametrize(("name", "values"), EVERY_SHIPPED_KEY.items())
def test_every_searched_value_is_read_back_from_the_built_agent(
    name: str, values: tuple[float, float]
) -> None:
    build, path = builder(), f"agent_algorithm.{name}"
    names = find_read_back(build, {path: values})
    for value in values:
        assert effective_values(build({path: value}), names) == {path: value}


#: What tutorials and how-to pages recommend besides -> two values, and what the agent has then.
RECOMMENDED: dict[str, list[tuple[Any, Any]]] = {
    "training.vec_normalize.enabled": [(False, False), (True, True)],
    "training.n_envs": [(4, 4), (8, 8)],
    "agent_algorithm.one_minus_gamma": [(0.001, 0.999), (0.1, 0.9)],
    "agent_algorithm.vf_coef": [(0.25, 0.25), (0.75, 0.75)],
    "agent_algorithm.target_kl": [(0.01, 0.01), (0.05, 0.05)],
    "agent_algorithm.policy_kwargs.net_arch": [([8], [8]), ([16, 16], [16, 16])],
    "agent_algorithm.policy_kwargs.activation_fn": [
        ("torch.nn.Tanh", "torch.nn.modules.activation.Tanh"),
        ("torch.nn.ReLU", "torch.nn.modules.activation.ReLU"),
    ],
}


@pytest.mark.parametrize("path", RECOMMENDED)
def test_a_recommended_key_is_read_back_from_a_value_of_its_own(path: str) -> None:
    build = builder()
    names = find_read_back(build, {path: [value for value, _ in RECOMMENDED[path]]})
    assert own_name(path) == names[path].rpartition(".")[2]
    for value, there in RECOMMENDED[path]:
        found = effective_values(build({path: value}), names)
        assert found == {path: there}
        assert "not" not in shown(path, value, found)


def test_every_key_that_a_page_searches_is_in_these_tests() -> None:
    pages = Path("docs").rglob("*.md")
    known = {f"agent_algorithm.{name}" for name in EVERY_SHIPPED_KEY} | {*RECOMMENDED}
    sweep = (
        r"'?([\w.]+)=(?:tag\(|interval\(|range\()|^ *([\w.]+): \{type: (?:float|int|categorical)"
    )
    searched = {
        full_path(first or second)
        for page in pages
        for first, second in re.findall(sweep, page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    others = {path for path in searched if path.startswith(("agent_algorithm.", "training."))}
    assert len(others) >= 10, "the pages are not read any more"
    # A set of runs is no study; `every` belongs to a class that the page itself writes.
    assert others - known <= {"training.seed", "agent_algorithm.every"}


def test_a_value_that_is_none_of_the_agents_own_is_said_to_be_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    build = builder(
        "agent_algorithm._target_=tests.agents.test_read_back.HidingPPO",
        "+agent_algorithm.sharpness=1.0",
    )
    assert find_read_back(build, {"agent_algorithm.sharpness": (1.0, 2.0)}) == {}
    assert "agent_algorithm.sharpness changes the built agent" in caplog.text
    assert shown("agent_algorithm.sharpness", 1.0, {}) == "not read back"


def test_a_tuned_learning_rate_is_the_one_the_optimiser_uses() -> None:
    agent = builder()({"agent_algorithm.learning_rate": 0.00123})
    assert agent.snapshot()["optimizer.lr"] == 0.00123


def test_a_clipped_batch_is_reported_as_clipped() -> None:
    build = builder("agent_algorithm.n_steps=64")
    names = find_read_back(build, {"agent_algorithm.batch_size": (32, 64)})
    agent = build({"agent_algorithm.batch_size": 256})
    assert effective_values(agent, names) == {"agent_algorithm.batch_size": 64}


def test_a_key_that_the_class_swallows_is_an_error() -> None:
    build = builder(
        "agent_algorithm._target_=tests.agents.test_read_back.SwallowingPPO",
        "+agent_algorithm.forgotten=1.0",
        "+agent_algorithm.magic=1.0",
    )
    for name in ("forgotten", "magic"):
        with pytest.raises(InputError, match=f"{name} changes nothing in the built agent"):
            find_read_back(build, {f"agent_algorithm.{name}": (1.0, 2.0)})


def test_a_key_that_the_policy_swallows_is_an_error_although_sb3_records_it() -> None:
    build = builder("+agent_algorithm.policy_kwargs.forgotten=1")
    policy = SwallowingPolicy

    def swallowing(values: Mapping[str, Any]) -> Any:
        original = PPO.policy_aliases["MlpPolicy"]
        PPO.policy_aliases["MlpPolicy"] = policy
        try:
            return build(values)
        finally:
            PPO.policy_aliases["MlpPolicy"] = original

    with pytest.raises(InputError, match="forgotten changes nothing"):
        find_read_back(swallowing, {"agent_algorithm.policy_kwargs.forgotten": (1, 2)})


def test_the_networks_shape_is_read_back_from_the_policy() -> None:
    build, path = builder(), "agent_algorithm.policy_kwargs.net_arch"
    names = find_read_back(build, {path: ([8], [16, 16])})
    assert effective_values(build({path: [16, 16]}), names) == {path: [16, 16]}


def test_the_value_network_can_have_layers_of_its_own() -> None:
    build, path = builder(), "agent_algorithm.policy_kwargs.value_net_arch"
    for values, expected in (({}, [64, 64]), ({path: [48]}, [48])):
        made = build(values).algorithm.policy.mlp_extractor
        assert [layer.out_features for layer in made.value_net[::2]] == expected
        assert [layer.out_features for layer in made.policy_net[::2]] == [64, 64]
    with pytest.raises(InputError, match=r"value_net_arch\) must list the sizes .*got 48"):
        build({path: 48})


def test_a_value_rejected_at_both_ends_names_the_key() -> None:
    with pytest.raises(InputError, match=r"every value tried of agent_algorithm.gamma"):
        find_read_back(builder(), {"agent_algorithm.gamma": (1.5, 2.0)})


def test_environment_settings_of_training_are_read_back_too() -> None:
    build = builder()
    names = find_read_back(build, {"training.n_envs": (4, 8)})
    assert effective_values(build({"training.n_envs": 8}), names) in (
        {"training.n_envs": 8},
        {"training.n_envs": 8.0},
    )
