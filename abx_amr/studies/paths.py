"""Whether each searched path is a value of the configurations in which it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, did_you_mean, hint
from abx_amr.studies.contexts import choices_of, context_of
from abx_amr.studies.members import SEARCHED_GROUPS, with_choices
from abx_amr.studies.parameters import path_of, value_of
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.space import flatten

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def check_paths(space: SearchSpace, configuration: Mapping[str, Any]) -> None:
    """Refuse a path that is no value of the configuration in which it counts.

    Args:
        space: What is searched.
        configuration: The study's, plain and resolved; of a choice between configurations, each
            stands in `tuning.members`.

    Raises:
        InputError: naming the path.
    """
    points = choices_of(space)
    leaves = []
    for point in points:
        made, _ = with_choices(configuration, point)
        leaves.append(flatten({key: value for key, value in made.items() if key != "tuning"}))
    for name, distribution in space.items():
        path = path_of(name)
        if path in SEARCHED_GROUPS:
            continue
        lacking = []
        for point, known in zip(points, leaves, strict=True):
            if context_of(space, name, within=point) is None:
                continue
            if path not in known and not _is_section(name, distribution, known, point):
                lacking.append(point)
        having = [point for point, known in zip(points, leaves, strict=True) if path in known]
        if lacking and having:
            raise InputError(_lacked(path, lacking[0], having))
        if lacking:
            raise InputError(_no_value(path, leaves[0]))


def _is_section(
    name: str,
    distribution: BaseDistribution,
    leaves: Mapping[str, Any],
    point: Mapping[str, Any],
) -> bool:
    """Say whether a path is a section of which choices change some values.

    Raises:
        InputError: it is a section, and is to have other values.
    """
    from optuna.distributions import CategoricalDistribution

    path = path_of(name)
    if not any(leaf.startswith(f"{path}.") for leaf in leaves):
        return False
    if isinstance(distribution, CategoricalDistribution):
        choices = [value_of(name, choice) for choice in distribution.choices]
        if all(isinstance(choice, Mapping) for choice in choices):
            _check_sections(path, choices, leaves)
            return True
    where = "".join(f" in {group}={member}" for group, member in point.items())
    raise InputError(
        f"search_space key {path!r} is a section{where}, not a value: name a value in it, or "
        "choices that are sections"
    )


def _check_sections(path: str, choices: list[Mapping[str, Any]], leaves: Mapping[str, Any]) -> None:
    """Refuse a choice that is a section and names what the configuration does not have."""
    known = [leaf.removeprefix(f"{path}.") for leaf in leaves if leaf.startswith(f"{path}.")]
    for choice in choices:
        for key in flatten(choice):
            if key not in known and not any(leaf.startswith(f"{key}.") for leaf in known):
                raise InputError(
                    f"search_space key {path!r}: its choice {dict(choice)} names {key!r}, which "
                    f"does not exist there{hint(key, known, label='known')}"
                )


def _lacked(path: str, point: Mapping[str, Any], having: list[Mapping[str, Any]]) -> str:
    """Return the line about a path that some of the searched configurations do not have."""
    apart = [g for g in point if all(other.get(g) != point[g] for other in having)]
    group = next(iter([*apart, *point]))
    names = list(dict.fromkeys(each[group] for each in having if group in each))
    return (
        f"search_space key {path!r} does not exist for {group}={point[group]}: add "
        f"when: {{{group}: {names[0] if len(names) == 1 else names}}} to its entry (on the command "
        f"line tag('when {group}={'|'.join(map(str, names))}',...)), or leave it out"
    )


def _no_value(path: str, leaves: Mapping[str, Any]) -> str:
    """Return the line about a path that the configuration does not have."""
    if path.startswith("hrl."):
        return (
            f"search_space key {path!r} belongs to an agent that chooses options: choose "
            "+tuning=hrl_ppo_default or hrl_rppo_default, or leave it out"
        )
    guess = did_you_mean(path, leaves) or ": name a value of the configuration (--cfg job)"
    if path.startswith("agent_algorithm."):
        guess += "; a search space goes with its agent: +tuning=ppo_default, a2c_default, ..."
    return f"search_space key {path!r} does not exist{guess}"
