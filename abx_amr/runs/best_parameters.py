"""A run's configuration with what a study found: its best values, and the agent that was tuned."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abx_amr.configuration.groups import groups
from abx_amr.configuration.overrides import keys_of, settings_of
from abx_amr.configuration.values import (
    AGENT_SECTIONS,
    CLINIC_SECTIONS,
    Plain,
    value_at,
    with_values,
)
from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_json
from abx_amr.runs.differences import differences_from_study
from abx_amr.runs.trust import check_named_classes
from abx_amr.studies.best import episodes_with_best, read_best
from abx_amr.studies.folder import StudyFolder

log = logging.getLogger(__name__)

_MOST_SAID = 3  # differing values
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
    if best.unlike_summary is not None:
        log.warning("%s", best.unlike_summary)
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
    different = differences_from_study(studied, config, searched=best.values)
    for line in _how_it_differs(different, best.folder):
        log.warning("%s", line)
    return with_values(config, tuned), tuned


def _how_it_differs(different: Mapping[str, str], folder: Path) -> list[str]:
    """Return what to say where a run is not set up as the study was: of the clinic, of the rest.

    Args:
        different: Path -> how the values differ.
        folder: The study's, whose command names its clinic.
    """
    lines = []
    clinic = sorted({path.split(".")[0] for path in different} & set(CLINIC_SECTIONS))
    if clinic:
        own = _clinic_of_study(folder)
        cure = "leave the clinic's settings out" if own == "" else f"give{own or ' its settings'}"
        named = [f"{p} {how}" for p, how in different.items() if p.split(".")[0] in clinic]
        said = ", ".join(clinic if len(named) > _MOST_SAID else named)
        lines.append(f"another clinic than that of the study ({said}): to train in its own, {cure}")
    rest = [f"{p} {how}" for p, how in different.items() if p.split(".")[0] not in clinic]
    if rest:
        more = f" and {len(rest) - _MOST_SAID} more" if len(rest) > _MOST_SAID else ""
        said = ", ".join(rest[:_MOST_SAID])
        lines.append(f"the configuration differs from the one that was tuned in: {said}{more}")
    return lines


def _clinic_of_study(folder: Path) -> str | None:
    """Return what a study's command said of its clinic, None where its folder holds no command."""
    try:
        provenance = read_json(StudyFolder(folder).provenance_file)
        words = shlex.split(str(provenance["command"]))
    except (InputError, KeyError, TypeError, ValueError):
        return None
    return settings_of(("experiment", *CLINIC_SECTIONS), words[1:])


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
    if "agent_algorithm" not in keys and "training" not in keys:
        length = {k: studied["training"][k] for k in _LENGTHS if f"training.{k}" not in keys}
        adopted["training"] = {**adopted["training"], **length}
    given = [k for k in keys if k.split(".")[0] in sections and "." in k]
    return with_values(adopted, {k: value_at(config, k) for k in given})


def _as_long_as_a_trial(
    config: Plain, trial_episodes: int | None, overrides: Sequence[str]
) -> Plain:
    """Return the configuration with a training no shorter than a trial's, unless it is given."""
    key = "total_num_training_episodes"
    episodes = int(config["training"][key])
    if f"training.{key}" not in keys_of(overrides):
        episodes = episodes_with_best(config, trial_episodes)
    if said := lengths_in_words(trial_episodes, episodes):
        log.info("%s", said)
    return {**config, "training": {**config["training"], key: episodes}}


def lengths_in_words(trial_episodes: int | None, episodes: int) -> str | None:
    """Return what to say where a run is not as long as the trials that chose its values.

    >>> lengths_in_words(300, 1000)
    'the trials of the study trained for 300 episodes each, this run trains for 1000'
    """
    if trial_episodes in (None, episodes):
        return None
    return (
        f"the trials of the study trained for {trial_episodes} episodes each, "
        f"this run trains for {episodes}"
    )
