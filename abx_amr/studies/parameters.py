"""How Optuna has a value of the configuration: under which name, written as what.

A storage keeps numbers, texts, true, false and null. A list or a mapping is its JSON there, a value
that is searched by its distance below 1 is that distance, and a value that is searched in several
ways is drawn under several names, by what they hang on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: A parameter whose name begins so is 1 less the value.
BELOW_ONE = "1 - "


def parameter_name(path: str, *, is_below_one: bool = False, of: str = "") -> str:
    """Return the name under which a value is drawn.

    Args:
        path: The value's in the configuration.
        is_below_one: Whether its distance below 1 is drawn.
        of: What tells it from other ways of searching the same path.

    >>> parameter_name("agent_algorithm.gamma", is_below_one=True)
    '1 - agent_algorithm.gamma'
    >>> parameter_name("agent_algorithm.n_steps", of="ppo")
    'ppo: agent_algorithm.n_steps'
    """
    return f"{of}{': ' if of else ''}{BELOW_ONE if is_below_one else ''}{path}"


def path_of(name: str) -> str:
    """Return the configuration path that a parameter is drawn for.

    >>> path_of("ppo: 1 - agent_algorithm.gamma"), path_of("training.n_envs")
    ('agent_algorithm.gamma', 'training.n_envs')
    """
    return name.rpartition(" ")[2]


def is_below_one(name: str) -> bool:
    """Say whether a parameter is the distance of a value below 1."""
    return name.rpartition(": ")[2].startswith(BELOW_ONE)


def value_of(name: str, drawn: Any) -> Any:
    """Return the value of the configuration that a drawn parameter means.

    >>> value_of("1 - agent_algorithm.gamma", 0.25), value_of("a.net_arch", "[64, 64]")
    (0.75, [64, 64])
    """
    if isinstance(drawn, str) and drawn[:1] in ("[", "{"):
        try:
            return json.loads(drawn)
        except ValueError:
            return drawn
    is_number = isinstance(drawn, int | float) and not isinstance(drawn, bool)
    return 1.0 - drawn if is_number and is_below_one(name) else drawn


def drawn_of(name: str, value: Any) -> Any:
    """Return what is drawn where a value of the configuration is meant.

    >>> drawn_of("1 - agent_algorithm.gamma", 0.75), drawn_of("a.net_arch", [64, 64])
    (0.25, '[64, 64]')
    """
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, sort_keys=True)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return 1.0 - value if is_number and is_below_one(name) else value


def point_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return configuration path -> value for what Optuna has of a trial."""
    return {path_of(name): value_of(name, drawn) for name, drawn in params.items()}
