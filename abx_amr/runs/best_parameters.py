"""A run's configuration with what a study found: its best values, and the agent that was tuned."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.configuration.groups import groups
from abx_amr.configuration.overrides import keys_of
from abx_amr.configuration.values import AGENT_SECTIONS, Plain, value_at, with_values
from abx_amr.errors import InputError
from abx_amr.runs.differences import differences_from_study
from abx_amr.runs.trust import check_named_classes
from abx_amr.studies.best import episodes_with_best, read_best

log = logging.getLogger(__name__)

#: Keys of `training` for which an agent can bring a default of its own.
_LENGTHS = (
    "total_num_training_episodes",
    "eval_freq_every_n_episodes",
    "save_freq_every_n_episodes",
)


def with_best_parameters(
    config: Plain, overrides: Sequence[str], *, trust: bool = False
) -> tuple[Plain, Mapping[str, Any]]:
    """Return the composition with a study's best values, and searched path -> value taken.

    Values that the command line gives are kept. `trust` lets the study name classes of any origin.

    Raises:
        InputError: there is no such study, it has no best parameters, it tuned another agent, or
            names classes of unknown origin.
    """
    best = read_best(config["optimization_dir"], str(config["best_params_from"]))
    studied = best.configuration
    for read in ({name: studied.get(name) for name in AGENT_SECTIONS}, best.values):
        check_named_classes(read, where=best.folder, trust=trust)
    config = _with_the_studys_agent(config, studied, overrides)
    ours = config["agent_algorithm"].get("_target_")
    theirs = studied["agent_algorithm"].get("_target_")
    if ours != theirs:
        raise InputError(
            f"best_params_from: the study tuned {theirs}, this run trains {ours}: "
            "choose the same agent_algorithm, or leave it out"
        )
    explicit = keys_of(overrides) - set(groups())  # a choice in a group is no value of its own
    kept = [p for p in best.values if any(p == e or p.startswith(f"{e}.") for e in explicit)]
    tuned = {p: v for p, v in best.values.items() if p not in kept}
    if kept:
        log.warning("given on the command line, not taken from the study: %s", ", ".join(kept))
    config = _as_long_as_a_trial(config, best.trial_episodes, overrides)
    if different := differences_from_study(studied, config, searched=best.values):
        log.warning("the configuration differs from the one that was tuned in: %s", different)
    return with_values(config, tuned), tuned


def _with_the_studys_agent(
    config: Plain, studied: Mapping[str, Any], overrides: Sequence[str]
) -> Plain:
    """Return the composition with the agent that was tuned, where none is chosen here.

    A manager's library and settings are the study's too, section by section, where none is chosen,
    and so is the length of training that the agent brings. Single values that the command line
    gives are kept.
    """
    keys = keys_of(overrides)
    sections = [name for name in AGENT_SECTIONS if name not in keys]
    same = config["agent_algorithm"].get("_target_") == studied["agent_algorithm"].get("_target_")
    if not same and "agent_algorithm" in keys:
        return config  # another one is chosen
    if not same:
        log.info("trains the agent that was tuned: %s", studied["agent_algorithm"]["_target_"])
    rest = {name: value for name, value in config.items() if name not in sections}
    adopted = {**rest, **{name: studied[name] for name in sections if name in studied}}
    if not same and "training" not in keys:
        length = {k: studied["training"][k] for k in _LENGTHS if f"training.{k}" not in keys}
        adopted["training"] = {**adopted["training"], **length}
    given = [k for k in keys if k.split(".")[0] in sections and "." in k]
    return with_values(adopted, {k: value_at(config, k) for k in given})


def _as_long_as_a_trial(
    config: Plain, trial_episodes: int | None, overrides: Sequence[str]
) -> Plain:
    """Return the configuration with a training no shorter than a trial's, unless it is given."""
    key = "total_num_training_episodes"
    episodes = episodes_with_best(config, trial_episodes)
    if f"training.{key}" in keys_of(overrides) or config["training"][key] == episodes:
        return config
    log.info("trains for %s episodes, as the trials of the study did", episodes)
    return {**config, "training": {**config["training"], key: episodes}}
