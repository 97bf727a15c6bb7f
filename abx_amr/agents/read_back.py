"""Proof that a value reached the agent: read it back from the built agent.

A snapshot lists what an agent is made of, name -> plain value. A searched value is read back under
the last part of its name, or under the name that it stands for.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from abx_amr.agents.prescriber import Agent
from abx_amr.errors import InputError

log = logging.getLogger(__name__)

Build = Callable[[Mapping[str, Any]], Agent]


def plain(value: Any) -> Any:
    """Return `value` as comparable, JSON-ready data, or None when it is an object of its own.

    >>> plain({"layers": (64, np.int64(32)), "optimiser": object()})
    {'layers': [64, 32], 'optimiser': None}
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    torch: Any = sys.modules.get("torch")  # where it is not loaded, nothing is of it
    if torch is not None and isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor)):
        return f"{type(value).__name__}{tuple(value.shape)}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None


def _schedule(value: Any) -> Any:
    """Return a schedule's values at the start, middle and end of training; None for no schedule."""
    torch: Any = sys.modules.get("torch")
    is_network = torch is not None and isinstance(value, torch.nn.Module)
    if not callable(value) or isinstance(value, type) or is_network:
        return None
    try:
        points = [float(value(remaining)) for remaining in (1.0, 0.5, 0.0)]
    except (TypeError, ValueError):
        return None
    return points[0] if points[0] == points[1] == points[2] else points


def attributes(thing: object) -> Iterator[tuple[str, Any]]:
    """Yield the plain attributes of an object, and its schedules at three points."""
    for name, value in vars(thing).items():
        if name.startswith("__"):
            continue
        found = plain(value)
        if found is None:
            found = _schedule(value)
        if found is not None:
            yield name, found


def volatile(build: Build) -> set[str]:
    """Return the names that differ between two builds of the same configuration (times, ids)."""
    first, second = build({}).snapshot(), build({}).snapshot()
    return {n for n in first.keys() | second.keys() if first.get(n) != second.get(n)}


def responding(
    build: Build, path: str, values: Sequence[Any], *, ignoring: Collection[str] = ()
) -> list[str]:
    """Return the names in the agent's snapshot that follow the value at `path`.

    Args:
        build: configuration path -> value, to a built agent.
        path: a searched configuration path.
        values: values to try, at least two; those that the algorithm rejects are passed over.
        ignoring: names that are no evidence, see `volatile`.

    Raises:
        InputError: every value is rejected, or the value changes nothing in the built agent.
    """
    first: dict[str, Any] | None = None
    rejection: InputError | None = None
    accepted = 0
    for value in values:
        try:
            current = build({path: value}).snapshot()
        except InputError as error:
            rejection = error
            continue
        accepted += 1
        if first is None:
            first = current
            continue
        names = sorted(
            n
            for n in first.keys() | current.keys()
            if n not in ignoring and first.get(n) != current.get(n)
        )
        if names:
            return names
    if accepted == 0:
        raise InputError(
            f"search_space: every value tried of {path} {list(values)} is rejected: {rejection}"
        )
    if accepted == 1 and len(values) > 1:
        raise InputError(
            f"search_space: only one of {list(values)} is accepted for {path}: {rejection}"
        )
    raise InputError(
        f"search_space: {path} changes nothing in the built agent (tried {list(values)}): "
        "remove it from the search space"
    )


#: A key that stands for another -> the agent's own name, and its value from the one searched.
_STANDS_FOR: dict[str, tuple[str, Callable[[float], float]]] = {
    "one_minus_gamma": ("gamma", lambda complement: 1.0 - complement),
}


def own_name(path: str) -> str:
    """Return what an agent calls the value at a path: its last part, but where it is a transform.

    >>> own_name("training.vec_normalize.clip_obs"), own_name("agent_algorithm.one_minus_gamma")
    ('clip_obs', 'gamma')
    """
    leaf = path.rsplit(".", 1)[-1]
    return _STANDS_FOR[leaf][0] if leaf in _STANDS_FOR else leaf


def meant(path: str, value: Any) -> Any:
    """Return what the agent is to have where `value` is searched at a path.

    >>> meant("agent_algorithm.one_minus_gamma", 0.25), meant("agent_algorithm.gamma", 0.5)
    (0.75, 0.5)
    """
    leaf = path.rsplit(".", 1)[-1]
    return value if value is None or leaf not in _STANDS_FOR else _STANDS_FOR[leaf][1](value)


def name_of_read_back(path: str, names: Iterable[str]) -> str | None:
    """Return the snapshot's name in which the value at `path` is read back; None: in none.

    >>> name_of_read_back("agent_algorithm.learning_rate", ["learning_rate", "optimizer.lr"])
    'learning_rate'
    >>> names = ["policy.layers", "policy.net_arch"]
    >>> name_of_read_back("agent_algorithm.policy_kwargs.net_arch", names)
    'policy.net_arch'
    >>> name_of_read_back("training.vec_normalize.enabled", ["gamma"]) is None
    True
    """
    own = own_name(path)
    section = path.rsplit(".", 2)[-2] if "." in path else ""
    named = [name for name in names if name.rsplit(".", 1)[-1] == own]
    if section == "vec_normalize":
        named = [name for name in named if name.startswith("normalise.")]
    return min(named, key=len, default=None)


def find_read_back(build: Build, probes: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return, for every searched path, where its value is read back in the built agent.

    A path that changes the agent without a value of its own in it is left out, which is said. One
    that has a single value is looked for by its name alone.

    Raises:
        InputError: a path changes nothing, or all its values are rejected.
    """
    noise = volatile(build)
    found: dict[str, str] = {}
    for path, values in probes.items():
        if all(type(value) is type(values[0]) and value == values[0] for value in values):
            every = build({path: values[0]}).snapshot()
            names = [name for name in sorted(every) if name_of_read_back(path, [name])]
        else:
            names = responding(build, path, values, ignoring=noise)
        name = name_of_read_back(path, names)
        if name is None:
            log.warning(
                "%s changes the built agent (%s), which has no value of that name: not read back",
                path,
                ", ".join(sorted(names, key=len)[:3]) or "perhaps",
            )
        else:
            found[path] = name
    return found


def read_back(agent: Agent, paths: Iterable[str]) -> dict[str, Any]:
    """Return path -> the built agent's own value, for the paths of which it has one."""
    built = agent.snapshot()
    names = {path: name_of_read_back(path, built) for path in paths}
    return {path: built[name] for path, name in names.items() if name is not None}


def effective_values(agent: Agent, names: Mapping[str, str]) -> dict[str, Any]:
    """Return searched path -> the value the built agent has."""
    if not names:
        return {}
    built = agent.snapshot()
    return {path: built.get(name) for path, name in names.items()}


def shown(path: str, value: Any, found: Mapping[str, Any]) -> str:
    """Return what is shown of a value that was read back: under its own name where that differs.

    Args:
        path: The searched path.
        value: What was searched.
        found: Searched path -> what the agent has.

    >>> shown("agent_algorithm.one_minus_gamma", 0.25, {"agent_algorithm.one_minus_gamma": 0.75})
    'gamma 0.75'
    >>> shown("agent_algorithm.n_steps", 100, {"agent_algorithm.n_steps": 96})
    '96 (not as searched)'
    >>> shown("a.b", 1, {})
    'not read back'
    """
    if found.get(path) is None:
        return "not read back"
    own, there = own_name(path), found[path]
    text = str(there) if path.endswith(f".{own}") else f"{own} {there}"
    return text if _agree(meant(path, value), there) else f"{text} (not as searched)"


def _agree(wanted: Any, there: Any) -> bool:
    """Say whether two values mean the same, a class under the name it is imported by too."""
    if isinstance(wanted, str) and isinstance(there, str):
        return wanted.rpartition(".")[2] == there.rpartition(".")[2]
    return bool(wanted == there)
