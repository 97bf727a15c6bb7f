"""Proof that a value reached the agent: read it back from the built agent.

A snapshot lists what an agent is made of: attributes of the algorithm, its buffer, its policy (with
the initial weights), its optimiser and its environment. The constructor's own record of what it was
told (`policy_kwargs`) is left out: an echo proves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.errors import InputError

Build = Callable[[Mapping[str, Any]], OnPolicyAlgorithm]

# What differs between two builds of the same configuration, or only echoes the arguments.
_NOT_EVIDENCE = frozenset({"policy_kwargs", "start_time", "rollout_buffer_kwargs"})


def _plain(value: Any) -> Any:
    """Return `value` as comparable, JSON-ready data, or None when it is an object of its own."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"{type(value).__name__}{tuple(value.shape)}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None


def _schedule(value: Any) -> Any:
    """Return a schedule's values at the start, middle and end of training; None for no schedule."""
    if not callable(value) or isinstance(value, type | torch.nn.Module):
        return None
    try:
        points = [float(value(remaining)) for remaining in (1.0, 0.5, 0.0)]
    except (TypeError, ValueError):
        return None
    return points[0] if points[0] == points[1] == points[2] else points


def _attributes(prefix: str, thing: object) -> Iterable[tuple[str, Any]]:
    for name, value in vars(thing).items():
        if name in _NOT_EVIDENCE or name.startswith("__"):
            continue
        plain = _plain(value)
        if plain is None:
            plain = _schedule(value)
        if plain is not None:
            yield f"{prefix}{name}", plain


def snapshot(agent: OnPolicyAlgorithm) -> dict[str, Any]:
    """Return what the built agent is made of: name -> plain value."""
    policy = agent.policy
    weights = hashlib.sha256()
    for parameter in policy.parameters():
        weights.update(parameter.detach().cpu().numpy().tobytes())
    found = dict(_attributes("", agent))
    if "n_steps" in found:  # as configured: transitions over all environments
        found["n_steps"] = agent.n_steps * agent.n_envs
    found.update(_attributes("buffer.", agent.rollout_buffer))
    found.update(
        (name, value)
        for name, value in _attributes("policy.", policy)
        if not name.startswith("policy._")
    )
    found["policy.layers"] = str(policy)
    found["policy.initial_weights"] = weights.hexdigest()
    optimizer = policy.optimizer
    found["optimizer"] = _plain(type(optimizer))
    group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
    found.update((f"optimizer.{k}", _plain(v)) for k, v in group.items())
    env = agent.get_env()
    while env is not None:
        kind = "normalise." if isinstance(env, VecNormalize) else "environment."
        found.update(_attributes(kind, env))
        env = getattr(env, "venv", None)
    return found


def volatile(build: Build) -> set[str]:
    """Return the names that differ between two builds of the same configuration (times, ids)."""
    first, second = snapshot(build({})), snapshot(build({}))
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
            current = snapshot(build({path: value}))
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


def receipt_name(path: str, names: Sequence[str]) -> str:
    """Return the snapshot's name in which the value at `path` is read back.

    >>> receipt_name("agent_algorithm.learning_rate", ["learning_rate", "optimizer.lr"])
    'learning_rate'
    >>> receipt_name("agent_algorithm.policy_kwargs.net_arch", ["policy.layers", "policy.net_arch"])
    'policy.net_arch'
    """
    leaf = path.rsplit(".", 1)[-1]
    named = [n for n in names if n.rsplit(".", 1)[-1] == leaf]
    parent = [n for n in names if n in path.split(".")]
    return min(named or parent or list(names), key=len)


def find_receipts(build: Build, probes: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return, for every searched path, where its value is read back in the built agent.

    Raises:
        InputError: a path changes nothing, or all its values are rejected.
    """
    noise = volatile(build)
    return {
        path: receipt_name(path, responding(build, path, values, ignoring=noise))
        for path, values in probes.items()
    }


def read_back(agent: OnPolicyAlgorithm, paths: Iterable[str]) -> dict[str, Any]:
    """Return path -> the built agent's attribute of the same name, None where it has none."""
    built = snapshot(agent)
    found = {}
    for path in paths:
        leaf = path.rsplit(".", 1)[-1]
        names = [n for n in built if n.rsplit(".", 1)[-1] == leaf]
        found[path] = built[min(names, key=len)] if names else None
    return found


def effective_values(agent: OnPolicyAlgorithm, receipts: Mapping[str, str]) -> dict[str, Any]:
    """Return searched path -> the value the built agent has."""
    if not receipts:
        return {}
    built = snapshot(agent)
    return {path: built.get(name) for path, name in receipts.items()}
