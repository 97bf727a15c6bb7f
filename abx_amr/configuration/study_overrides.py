"""What every worker of a study composes: what is set, what is searched, what is chosen between.

A group whose choice is searched is composed here once for each of its members; each worker gets
them as `tuning.members`, in JSON, since Hydra's grammar has no place for some of their keys.
Where the command line chooses between agents, each is searched as the tuning file of its own says,
MEMBER_default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from abx_amr.configuration.composing import Composition
from abx_amr.configuration.mistakes import explain
from abx_amr.configuration.overrides import key_of
from abx_amr.configuration.search_space import (
    encode,
    search_space_override,
    split_arguments,
)
from abx_amr.configuration.written import quoted
from abx_amr.errors import InputError
from abx_amr.studies.contexts import choices_of
from abx_amr.studies.members import AGENT, SEARCHED_GROUPS
from abx_amr.studies.space import full_path, parse_search_space, ways_in

Compose = Callable[[Sequence[str]], Composition]
Ways = list[dict[str, Any]]

#: The sections that an agent's configuration changes.
_OF_AN_AGENT = (*SEARCHED_GROUPS, "training")


def study_overrides(
    arguments: Sequence[str],
    *,
    loader: ConfigLoader,
    compose: Compose,
    say: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return the overrides of a study's workers, without sweeps.

    Args:
        arguments: The overrides of a command line.
        loader: Hydra's, which knows the groups.
        compose: Composes overrides without sweeps.
        say: Told how the agents of a choice are searched.

    Raises:
        InputError: an override sweeps over what cannot be searched, or a choice cannot be composed.
    """
    overrides, entries = split_arguments(arguments, loader)
    if AGENT in entries:
        overrides += _each_as_its_own(entries, overrides, loader=loader, compose=compose, say=say)
    elif entries:
        overrides.append(search_space_override(entries, written=_space(compose(overrides))))
    composition = compose(overrides)
    written = _space(composition)
    if not any(full_path(group) in _keys(written) for group in SEARCHED_GROUPS):
        return overrides
    return overrides + _members(written, overrides, compose=compose)


def _members(written: Mapping[str, Any], overrides: list[str], *, compose: Compose) -> list[str]:
    """Return what chooses the default of each searched group, and all members as they compose."""
    points = choices_of(parse_search_space(written))
    members: dict[str, dict[str, Any]] = {}
    for point in points:
        for group, member in point.items():
            if member in members.setdefault(group, {}):
                continue
            own = [*overrides, *_chosen(point, upto=group)]
            try:
                plain = compose(own).plain
            except (HydraException, OmegaConfBaseException, InputError) as error:
                raise InputError(_not_composed(error, own, f"{group}={member}")) from error
            sections = _OF_AN_AGENT if group == AGENT else (group,)
            members[group][member] = {name: plain[name] for name in sections if name in plain}
    return [*_chosen(points[0]), f"++tuning.members={quoted(json.dumps(members))}"]


def _not_composed(error: Exception, overrides: Sequence[str], choice: str) -> str:
    """Return in one line why a member does not compose with the rest of a command line."""
    line = str(error) if isinstance(error, InputError) else explain(error, "tune", overrides)
    key = re.search(rf"({AGENT}\.[\w.]+)", line)
    cure = ""
    if key and any(key_of(override) == key[1] for override in overrides):
        member = choice.partition("=")[2]
        cure = (
            f"; a value that {member} does not have is given to the others by "
            f"{key[1]}=tag('when {AGENT}=NAME',choice(VALUE))"
        )
    return f"{choice}: {line}{cure}"


def _chosen(point: Mapping[str, Any], *, upto: str | None = None) -> list[str]:
    """Return the overrides that choose the members of a point, up to one of its groups."""
    chosen = []
    for group in SEARCHED_GROUPS:
        if group in point:
            chosen.append(f"{group}={point[group]}")
        if group == upto:
            break
    return chosen


def _each_as_its_own(
    entries: Mapping[str, dict[str, Any]],
    settings: Sequence[str],
    *,
    loader: ConfigLoader,
    compose: Compose,
    say: Callable[[str], None],
) -> list[str]:
    """Return overrides by which each agent of a choice is searched as its own tuning file says.

    The entries of the chosen tuning file are those of the agent that it names, and of agents that
    have no file of their own. What the command line searches counts for all, or where its `when`
    says; it replaces what files say of the same key.
    """
    agents = [str(choice) for choice in entries[AGENT].get("choices", ())]
    composition = compose(settings)
    files = loader.get_group_options("tuning")
    given = {key_of(override) for override in settings}
    start = "tuning.search_space."
    removed = {
        full_path(key_of(override).removeprefix(start))
        for override in settings
        if override.startswith(f"~{start}")
    }
    spaces: dict[str, Mapping[str, Any]] = {}
    lengths: dict[str, Any] = {}
    for agent in agents:
        own, file = composition, f"{agent}_default"
        if agent != composition.choices.get(AGENT) and file in files:
            own = compose([f"+tuning={file}"])
            say(f"{agent} is searched as +tuning={file} says")
        elif agent != composition.choices.get(AGENT):
            chosen = composition.choices.get("tuning")
            say(f"{agent}: there is no +tuning={file}, it is searched as +tuning={chosen} says")
        ways = ways_in(_space(own))
        spaces[agent] = {path: found for path, found in ways.items() if path not in removed}
        lengths[agent] = own.plain["tuning"]["truncated_episodes"]
    whole = {AGENT: entries[AGENT], **_together(spaces, entries)}
    overrides = ["~tuning.search_space", f"++tuning.search_space={encode(whole)}"]
    if "tuning.truncated_episodes" not in given and len(set(map(str, lengths.values()))) > 1:
        said = ", ".join(f"{agent} {episodes}" for agent, episodes in lengths.items())
        say(f"episodes of a trial's agents: {said} (tuning.truncated_episodes)")
        overrides.append(f"++tuning.truncated_episodes={encode(lengths)}")
    return overrides


def _together(
    spaces: Mapping[str, Mapping[str, Ways]], entries: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return path -> entries of all agents, each with the agents for which it counts."""
    found: dict[str, list[tuple[dict[str, Any], list[str]]]] = {}

    def add(path: str, entry: dict[str, Any], agents: list[str]) -> None:
        of_path = found.setdefault(path, [])
        for same, of in of_path:
            if same == entry:
                of += agents
                return
        of_path.append((entry, agents))

    for path, entry in entries.items():
        if path == AGENT:
            continue
        plain, agents = _without_agents(entry)
        add(path, plain, [agent for agent in spaces if agents is None or agent in agents])
    given = {path: [a for _, of in ways for a in of] for path, ways in found.items()}
    for agent, space in spaces.items():
        for path, ways in space.items():
            if path != AGENT and agent not in given.get(path, ()):
                for way in ways:
                    add(path, way, [agent])
    return {
        path: [_for_agents(entry, of, every=[*spaces]) for entry, of in ways]
        for path, ways in found.items()
    }


def _without_agents(entry: Mapping[str, Any]) -> tuple[dict[str, Any], list[str] | None]:
    """Return an entry without what its `when` says of agents, and those; None: of all."""
    when = dict(entry.get("when") or {})
    agents = when.pop(AGENT, None)
    plain = {key: value for key, value in entry.items() if key != "when" and value is not None}
    if when:
        plain["when"] = when
    listed = agents if isinstance(agents, list) or agents is None else [agents]
    return plain, listed


def _for_agents(
    entry: Mapping[str, Any], agents: Sequence[str], *, every: Sequence[str]
) -> dict[str, Any]:
    if set(agents) == set(every):
        return dict(entry)
    return {**entry, "when": {AGENT: list(agents), **(entry.get("when") or {})}}


def _space(composition: Composition) -> Mapping[str, Any]:
    """Return the search space of a composition, empty where there is none."""
    return (composition.plain.get("tuning") or {}).get("search_space") or {}


def _keys(written: Mapping[str, Any]) -> set[str]:
    """Return the paths that are searched; none where they cannot be read, which is said later."""
    try:
        return set(ways_in(written))
    except InputError:
        return set()
