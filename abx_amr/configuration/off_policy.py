"""Build a Q-learner of SB3 or sb3-contrib with its checked arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.on_policy import checked_arguments, refuse_options
from abx_amr.configuration.training import take_default_lengths
from abx_amr.configuration.values import section_of
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from abx_amr.agents.learners.off_policy.learner import QLearner


def is_off_policy(algorithm: Any) -> bool:
    """Return whether a class is an algorithm of SB3 that learns from a buffer."""
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

    return isinstance(algorithm, type) and issubclass(algorithm, OffPolicyAlgorithm)


def build_off_policy(algorithm: Any, config: Mapping[str, Any]) -> QLearner:
    """Return a configured Q-learner with its checked arguments.

    Args:
        algorithm: what agent_algorithm._target_ names.
        config: the configuration.

    Raises:
        InputError: it acts in real numbers, an unknown hyper-parameter, a value out of range.
    """
    from abx_amr.agents.learners.off_policy.learner import QLearner

    # Noise is added to actions that are real numbers.
    if "action_noise" in inspect.signature(algorithm).parameters:
        raise InputError(
            f"agent_algorithm._target_: {algorithm.__name__} acts in real numbers, a prescription "
            "is one of a list: choose stable_baselines3.DQN or sb3_contrib.QRDQN"
        )
    refuse_options(config, algorithm.__name__)
    section = section_of(config, "agent_algorithm")
    section.pop("_target_")
    take_default_lengths(section)
    arguments = checked_arguments(algorithm, section)
    for name, value, right in (
        ("train_freq", arguments.get("train_freq"), "a number of steps"),
        ("gradient_steps", arguments.get("gradient_steps"), "a number of steps, or -1"),
    ):
        if value is not None and (type(value) is not int or value == 0):
            raise InputError(f"agent_algorithm.{name} must be {right}, got {value!r}")
    for name in ("optimize_memory_usage", "replay_buffer_class", "replay_buffer_kwargs"):
        if arguments.get(name):
            raise InputError(
                f"agent_algorithm.{name}: the library's plain buffer is what is resumed: leave it "
                "out"
            )
    return QLearner(algorithm=algorithm, arguments=arguments)
