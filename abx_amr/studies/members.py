"""Configurations between which a study chooses: what each member of a searched group brings.

They stand in `tuning.members`, {group: {member: {section: values}}}, composed as the command line
composes each of them: a study, and whoever reads it later, composes nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.checks import whole_number
from abx_amr.errors import InputError

AGENT = "agent_algorithm"
#: Groups whose choice may be searched: they say what learns, not what is learned from.
SEARCHED_GROUPS = (AGENT, "option_library", "hrl")


def with_choices(
    configuration: Mapping[str, Any], point: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration that a point's choices compose, and the values to be set in it.

    Args:
        configuration: A plain one, with the section `tuning` of the study.
        point: Configuration path -> value; a group -> its choice.

    Raises:
        InputError: the study has no such member.
    """
    made = dict(configuration)
    chosen = [group for group in SEARCHED_GROUPS if group in point]
    if not chosen:
        return made, dict(point)
    members = members_in(configuration.get("tuning") or {})
    for group in chosen:
        sections = members.get(group, {}).get(point[group])
        if sections is None:
            raise InputError(f"the study has no configuration of {group}={point[group]}")
        if group == AGENT:
            # What the agent that is chosen does not bring is not there.
            made = {name: found for name, found in made.items() if name not in SEARCHED_GROUPS}
        made |= sections
        if "training" in sections:  # threads are those of the worker
            own = {"torch_threads": configuration["training"].get("torch_threads")}
            made["training"] = {**sections["training"], **own}
    return made, {path: value for path, value in point.items() if path not in chosen}


def members_in(tuning: Mapping[str, Any]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return group -> member -> section -> values; empty where no group is searched."""
    return tuning.get("members") or {}


def trial_episodes(tuning: Mapping[str, Any], point: Mapping[str, Any]) -> Any:
    """Return how long an agent of a point is trained in a trial: as long as all, or as its kind.

    >>> trial_episodes({"truncated_episodes": {"ppo": 300, "a2c": 50}}, {"agent_algorithm": "a2c"})
    50
    """
    written = tuning.get("truncated_episodes")
    if not isinstance(written, Mapping):
        return written
    return written.get(point.get(AGENT), next(iter(written.values()), None))


def check_trial_episodes(written: Any, agents: Sequence[str]) -> None:
    """Refuse lengths that are no whole numbers, or are not those of the agents that are searched.

    Args:
        written: `tuning.truncated_episodes`.
        agents: The choices of agent_algorithm that are searched.

    Raises:
        InputError: naming the value.
    """
    key = "tuning.truncated_episodes"
    if not isinstance(written, Mapping):
        whole_number(key, written, 1)
        return
    if set(written) != set(agents):
        example = ", ".join(f"{agent}: 100" for agent in agents)
        raise InputError(
            f"{key} must be a number, or say one for each choice of {AGENT} "
            f"({{{example}}}), got {dict(written)}"
            if agents
            else f"{key} must be a whole number where {AGENT} is not searched, got {dict(written)}"
        )
    for agent, episodes in written.items():
        whole_number(f"{key}.{agent}", episodes, 1)
