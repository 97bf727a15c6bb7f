"""Build the training plan, and keep its seeds apart from those of tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.agents.settings import EarlyStopping, TrainingSettings, VecNormalizeSettings
from abx_amr.checks import Count, fits
from abx_amr.configuration.classes import dataclass_arguments
from abx_amr.errors import InputError, first_line

_TUNING_SEEDS = range(1000, 10_000)
#: What agent_algorithm may say of the training plan beside the agent's own arguments.
_DEFAULT_LENGTHS = ("default_training_episodes", "default_evaluation_every")


def take_default_lengths(section: dict[str, Any]) -> None:
    """Take from agent_algorithm the lengths that conf/training/default.yaml reads there.

    Raises:
        InputError: one is no whole number of at least 1.
    """
    for name in _DEFAULT_LENGTHS:
        if name in section:
            fits(f"agent_algorithm.{name}", section.pop(name), Count)


def build_training(config: Mapping[str, Any]) -> TrainingSettings:
    """Return the training plan of a configuration."""
    arguments = dataclass_arguments(TrainingSettings, config.get("training"), key="training")
    for name, made in (("early_stopping", EarlyStopping), ("vec_normalize", VecNormalizeSettings)):
        if name in arguments:
            key = f"training.{name}"
            if isinstance(arguments[name], bool | int):
                is_on = str(bool(arguments[name])).lower()
                raise InputError(
                    f"{key} must be a section, got {arguments[name]}: write {key}.enabled={is_on}"
                )
            try:
                arguments[name] = made(**dataclass_arguments(made, arguments[name], key=key))
            except TypeError as error:
                raise InputError(f"{key}: {first_line(error)}") from error
    return TrainingSettings(**arguments)


def check_training_seed(seed: int) -> None:
    """Refuse a training seed that belongs to tuning.

    Raises:
        InputError: the seed is 0 or in 1000-9999.
    """
    if seed < 1 or seed in _TUNING_SEEDS:
        raise InputError(
            f"training.seed must be 1-999 (training) or 10000 and up (final tests), got {seed}: "
            "1000-9999 belong to tuning"
        )
