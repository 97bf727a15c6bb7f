"""How a run of a set is called: what it is, the swept values, the seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from abx_amr.configuration.groups import groups

SEED, SEEDS = "training.seed", "training.seeds"
#: Swept keys that say nothing about what a run is.
_NOT_IN_NAMES = (SEED, SEEDS, "run_name", "results_dir", "optimization_dir", "skip_if_exists")
_LONGEST_VALUE = 40


def run_name_of(
    swept: Mapping[str, str],
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    *,
    seed: object | None,
    is_given: bool = False,
) -> str:
    """Return the name of a run of a set: what it is, the swept values, the seed.

    A run_name that the command line gives (`is_given`) comes first also where a study's best
    parameters are trained with; one that an experiment gives names its plain runs.

    >>> run_name_of(
    ...     {"experiment": "paper_two", "agent_algorithm.gamma": "0.9", "training.seed": "3"},
    ...     {"run_name": None, "best_params_from": None},
    ...     {"experiment": "paper_two", "agent_algorithm": "ppo"},
    ...     seed=3,
    ... )
    'paper_two_ppo_gamma0.9_seed3'
    """
    shown = [key for key in swept if key not in _NOT_IN_NAMES and not key.startswith("hydra")]
    if config.get("best_params_from") is not None and not is_given:
        parts = [f"{config['best_params_from']}_optimized"]
        shown = [key for key in shown if key != "best_params_from"]
    elif config["run_name"] is not None:
        parts = [str(config["run_name"])]
    else:
        parts = [choices["experiment"], choices["agent_algorithm"]]
        shown = [key for key in shown if key not in ("experiment", "agent_algorithm")]
    is_group = {key: key.partition("@")[0] in groups() for key in shown}
    last = [key.rsplit(".", 1)[-1] for key in shown]
    for key, short in zip(shown, last, strict=True):
        word = "" if is_group[key] else short if last.count(short) == 1 else key
        parts.append(_plain(word + swept[key].strip("'\"")))
    if seed is not None:
        parts.append(f"seed{seed}")
    return "_".join(parts)


def _plain(text: str) -> str:
    """Return text that can stand in a folder's name and on a command line."""
    plain = re.sub(r"[^\w.+-]+", "-", text).strip("-")
    if len(plain) <= _LONGEST_VALUE:
        return plain
    return f"{plain[: _LONGEST_VALUE - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
