"""How the settings of two runs differ, in what makes them different runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from abx_amr.configuration.values import value_at
from abx_amr.studies.fingerprint import LATER_DEFAULTS

_COMPARED = (
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
    "agent_algorithm",
    "hrl",
    "option_library",
    "training",
)
#: Beginnings of keys that two runs of the same settings may differ in.
_SAME_RUN_ALL_THE_SAME = (
    *("training.seed", "training.save_freq", "training.torch_threads"),
    "agent_algorithm.default_",  # what counts is the length that comes of it
)
#: Beginnings of keys that a study sets otherwise than the run that takes its best values.
_A_STUDYS_OWN = (
    "training.seed",
    "training.total_num_training_episodes",
    "training.additional_episodes",
    "training.eval_freq",
    "training.save_freq",
    "training.early_stopping",
    "training.torch_threads",
    "agent_algorithm.default_",
)


def differences(own: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return how a run's settings differ from those asked for, '' where they do not.

    >>> differences({"training": {"n_envs": 4, "seed": 1}}, {"training": {"n_envs": 8, "seed": 2}})
    'training.n_envs 4 -> 8'
    """
    paths = dict.fromkeys([*_leaves(own), *_leaves(asked)])
    pairs = {
        path: tuple(value_at(c, path, missing=LATER_DEFAULTS.get(path)) for c in (own, asked))
        for path in paths
        if path.split(".")[0] in _COMPARED and not path.startswith(_SAME_RUN_ALL_THE_SAME)
    }
    return ", ".join(f"{p} {one} -> {two}" for p, (one, two) in pairs.items() if one != two)


def differences_from_study(
    studied: Mapping[str, Any], config: Mapping[str, Any], *, searched: Collection[str]
) -> dict[str, str]:
    """Return path -> 'value -> value' where a run's settings differ from those tuned in.

    >>> studied = {"training": {"n_envs": 4, "seed": 1}}
    >>> differences_from_study(studied, {"training": {"n_envs": 8, "seed": 2}}, searched=())
    {'training.n_envs': '4 -> 8'}
    """
    return {
        path: f"{value_at(studied, path)} -> {value_at(config, path, missing=None)}"
        for path in _leaves(studied)
        if path not in searched
        and path.split(".")[0] in _COMPARED
        and not path.startswith(_A_STUDYS_OWN)
        and value_at(config, path, missing=None) != value_at(studied, path)
    }


def _leaves(config: Mapping[str, Any], above: str = "") -> list[str]:
    found: list[str] = []
    for key, value in config.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            found += _leaves(value, f"{path}.")
        else:
            found.append(path)
    return found
