"""Plain data of a configuration: sections, and values at dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.errors import InputError, unknown

Plain = dict[str, Any]

#: Sections that describe the clinic: what is learned from, not what learns.
CLINIC_SECTIONS = (
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
)

#: Sections that describe what learns.
AGENT_SECTIONS = ("agent_algorithm", "hrl", "option_library")


def section_of(config: Mapping[str, Any], name: str) -> Plain:
    """Return a copy of a section.

    Raises:
        InputError: it is missing, or a value.
    """
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise InputError(
            f"{name} must be a section of the configuration (name: value), got {section!r}"
        )
    return dict(section)


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> Plain:
    """Return a copy of a plain configuration with values set at dotted paths.

    >>> with_values({"a": {"b": 1}}, {"a.b": 2})
    {'a': {'b': 2}}
    >>> with_values({"a": {"b": 1, "c": 3}}, {"a": {"b": 2}})  # into a section, what it names
    {'a': {'b': 2, 'c': 3}}
    """
    copy: Plain = {k: _copy(v) for k, v in config.items()}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = copy
        for part in parents:
            child = node.get(part)
            if not isinstance(child, dict):
                raise InputError(f"{path} does not exist in the configuration")
            node = child
        if leaf not in node:
            raise InputError(
                unknown(f"key in {'.'.join(parents) or 'the configuration'}", leaf, node)
            )
        is_section = isinstance(value, Mapping) and isinstance(node[leaf], dict)
        node[leaf] = with_values(node[leaf], value) if is_section else value
    return copy


_REQUIRED: Any = object()


def value_at(config: Mapping[str, Any], path: str, *, missing: Any = _REQUIRED) -> Any:
    """Return the value at a dotted path, or `missing`.

    >>> value_at({"a": {"b": 1}}, "a.b"), value_at({}, "a.b", missing=None)
    (1, None)
    """
    node: Any = config
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            if missing is _REQUIRED:
                raise InputError(f"{path} does not exist in the configuration")
            return missing
        node = node[part]
    return node


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(v) for v in value]
    return value
