"""The search space of a study: read from its entries, checked, probed, described."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, hint
from abx_amr.studies.contexts import context_of, probe_values
from abx_amr.studies.entries import condition_of, distribution_of, is_searched_below_one
from abx_amr.studies.members import SEARCHED_GROUPS
from abx_amr.studies.parameters import (
    drawn_of,
    is_below_one,
    parameter_name,
    path_of,
    value_of,
)
from abx_amr.studies.search_space import ParameterValue, SearchSpace, is_same, lies_in

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

REFUSED_FAMILIES = {
    **dict.fromkeys(
        (
            "experiment",
            "environment",
            "antibiotics",
            "amr_dynamics",
            "patient_generator",
            "reward_calculator",
        ),
        "it would change the problem, and trials could not be compared",
    ),
    **dict.fromkeys(("tuning", "storage"), "it says how the study is run, not what is learned"),
}
REFUSED_PATHS = {
    "training.seed": "tuning uses its own seeds (tuning.first_seed)",
    "run_name": "it names the study",
    "study_name": "it names the study",
}
SHORT_NAMES = {"option_gamma": "hrl.option_gamma"}


def full_path(key: str) -> str:
    """Return the configuration path that a search-space key means.

    >>> full_path("gamma"), full_path("option_gamma"), full_path("training.n_envs")
    ('agent_algorithm.gamma', 'hrl.option_gamma', 'training.n_envs')
    """
    if "." in key or key in SEARCHED_GROUPS:
        return key
    return SHORT_NAMES.get(key, f"agent_algorithm.{key}")


def parse_search_space(entries: Mapping[str, Any]) -> SearchSpace:
    """Return path -> distribution for the entries of `tuning.search_space`, in their order.

    An entry is {type: float|int, low, high, step, log, log_below_one} or {type: categorical,
    choices}; `when` says under which values of other keys it counts. Several entries, a list, are
    ways of searching the same key that exclude each other. Sections may be nested, keys may be
    paths; fields that are null do not count, nor do entries that are null.
    """
    distributions: dict[str, BaseDistribution] = {}
    conditions: dict[str, dict[str, list[Any]]] = {}
    written: dict[str, str] = {}
    for keys, ways in _entries(entries, ()):
        key = ".".join(keys)
        path = full_path(key)
        if path in written:
            raise InputError(f"search_space names {path} twice: as {written[path]!r} and {key!r}")
        family = path.split(".")[0]
        reason = REFUSED_FAMILIES.get(family) or REFUSED_PATHS.get(path)
        if reason is not None or key in REFUSED_FAMILIES or key in REFUSED_PATHS:
            reason = reason or REFUSED_FAMILIES.get(key) or REFUSED_PATHS[key]
            raise InputError(f"search_space must not hold {key!r}: {reason}")
        if path in SEARCHED_GROUPS:
            _check_group(key, ways)
        written[path] = key
        for entry in ways:
            when = _condition(key, entry)
            name = parameter_name(
                path,
                is_below_one=is_searched_below_one(entry),
                of=_in_short(when) if len(ways) > 1 else "",
            )
            if name in distributions or (len(ways) > 1 and not when):
                raise InputError(
                    f"search_space.{key} is searched in several ways: each needs a 'when' of "
                    "its own"
                )
            distributions[name] = distribution_of(key, entry)
            if when:
                conditions[name] = when
    space = SearchSpace(distributions, conditions)
    _check_conditions(space, written)
    return space


def _condition(key: str, entry: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return path -> values, as `when` of an entry says.

    Raises:
        InputError: it names a path twice.
    """
    found: dict[str, list[Any]] = {}
    for on, values in condition_of(key, entry).items():
        if full_path(on) in found:
            raise InputError(
                f"search_space.{key}.when names {full_path(on)} twice: join its values"
            )
        found[full_path(on)] = values
    return found


def _check_group(key: str, ways: list[Mapping[str, Any]]) -> None:
    """Refuse what chooses no configurations by their names."""
    for entry in ways:
        choices = entry.get("choices")
        named = isinstance(choices, list) and all(isinstance(each, str) for each in choices)
        if entry["type"] != "categorical" or not named:
            raise InputError(
                f"search_space.{key} is a configuration group: its entry is {{type: categorical, "
                f"choices: [NAME, NAME]}}, values of it are written {key}.NAME"
            )


def _in_short(when: Mapping[str, list[Any]]) -> str:
    """Return what tells a way of searching a key from others: the values it hangs on."""
    return ",".join("|".join(str(drawn_of("", v)) for v in values) for values in when.values())


def _check_conditions(space: SearchSpace, written: Mapping[str, str]) -> None:
    """Refuse a key that hangs on what is not searched, or can be searched in two ways at once.

    Raises:
        InputError: naming the key.
    """
    for name, condition in space.conditions.items():
        key = written[path_of(name)]
        for on, values in condition.items():
            parents = space.names_of(on)
            if not parents:
                others = [path for path in space.paths if path != path_of(name)]
                raise InputError(
                    f"search_space.{key}.when names {on}, which is not searched"
                    f"{hint(on, others, label='searched') if others else ''}"
                )
            for value in values:
                if not any(lies_in(space[p], drawn_of(p, value)) for p in parents):
                    is_list = any(lies_in(space[p], drawn_of(p, values)) for p in parents)
                    raise InputError(
                        f"search_space.{key}.when: {on} is never {value!r} in this search space"
                        f"{f'; the list as one value is written {[values]}' if is_list else ''}"
                    )
            if any(finite_values(space[parent]) is None for parent in parents):
                raise InputError(
                    f"search_space.{key}.when names {on}, which has no end of values: name a key "
                    "with choices or steps"
                )
    for path in space.paths:
        for section in space.paths:
            if path.startswith(f"{section}.") and section not in SEARCHED_GROUPS:
                raise InputError(
                    f"search_space holds {section} and {path}, which lies in it: drop one of them"
                )
    for name in space.conditions:
        if context_of(space, name) is None:
            raise InputError(
                f"search_space.{written[path_of(name)]} can never count: its 'when' "
                f"({space.condition_in_words(name)}) needs values that exclude each other"
            )
    for path in space.paths:
        names = space.names_of(path)
        for i, one in enumerate(names):
            if any(_are_at_once(space, one, other) for other in names[:i]):
                raise InputError(
                    f"search_space.{written[path]}: two of its ways count at once: their 'when' "
                    "must name other values of the same key"
                )


def _are_at_once(space: SearchSpace, one: str, other: str) -> bool:
    here, there = space.conditions[one], space.conditions[other]
    return all(
        any(is_same(value, another) for value in here[on] for another in there[on])
        for on in here.keys() & there.keys()
    )


def written_keys(entries: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return path -> the sections and the key under which an entry is written.

    >>> written_keys({"gamma": {"type": "float"}, "hrl": {"option_gamma": {"type": "float"}}})
    {'agent_algorithm.gamma': ('gamma',), 'hrl.option_gamma': ('hrl', 'option_gamma')}
    """
    return {full_path(".".join(keys)): keys for keys, _ in _entries(entries, ())}


def flatten(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return path -> value for every leaf; lists and empty sections are leaves.

    >>> flatten({"a": {"b": 1, "c": [2, 3]}, "d": {}})
    {'a.b': 1, 'a.c': [2, 3], 'd': {}}
    """
    leaves: dict[str, Any] = {}
    for key, value in configuration.items():
        if isinstance(value, Mapping) and value:
            leaves |= {f"{key}.{path}": leaf for path, leaf in flatten(value).items()}
        else:
            leaves[str(key)] = value
    return leaves


def value_in(configuration: Mapping[str, Any], path: str) -> Any:
    """Return the value, or the section, at a path of a configuration that has it.

    >>> value_in({"a": {"b": {"c": 1}}}, "a.b")
    {'c': 1}
    """
    node: Any = configuration
    for part in path.split("."):
        node = node[part]
    return node


def describe(space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """Return path -> plain fields, the same for every spelling of the same space.

    A path that is searched in several ways has a list of them.
    """
    described: dict[str, Any] = {}
    conditions = getattr(space, "conditions", {})
    for name, distribution in sorted(space.items()):
        path = path_of(name)
        fields = _fields(name, distribution)
        if when := conditions.get(name):
            fields["when"] = {on: list(values) for on, values in sorted(when.items())}
        if path in described:
            earlier = described[path]
            described[path] = [*(earlier if isinstance(earlier, list) else [earlier]), fields]
        else:
            described[path] = fields
    return described


def _fields(name: str, distribution: BaseDistribution) -> dict[str, Any]:
    fields = json.loads(json.dumps(distribution._asdict()))
    kind = type(distribution).__name__.removesuffix("Distribution").lower()
    if "choices" in fields:
        fields["choices"] = [value_of(name, choice) for choice in fields["choices"]]
    if is_below_one(name):
        low, high = probe_values(name, distribution)
        fields |= {"low": low, "high": high, "log": False, "log_below_one": True}
    return {"type": kind, **fields}


def finite_values(distribution: BaseDistribution) -> list[ParameterValue] | None:
    """Return every value of a finite distribution in order, None where there is no end of them."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    if distribution.low == distribution.high:
        return [distribution.low]
    if distribution.step is None:
        return None
    low, high, step = (
        Decimal(str(number)) for number in (distribution.low, distribution.high, distribution.step)
    )
    return [float(low + i * step) for i in range(int((high - low) / step) + 1)]


def ways_in(entries: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return path -> the entries that are written for it, whose `when` names paths.

    >>> ways_in({"gamma": {"type": "float", "when": {"batch_size": 64}}})["agent_algorithm.gamma"]
    [{'type': 'float', 'when': {'agent_algorithm.batch_size': [64]}}]
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for keys, ways in _entries(entries, ()):
        key = ".".join(keys)
        for entry in ways:
            way = {name: value for name, value in entry.items() if value is not None}
            if when := _condition(key, entry):
                way["when"] = when
            found.setdefault(full_path(key), []).append(way)
    return found


def _entries(
    node: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[Mapping[str, Any]]]]:
    """Walk nested sections; a node is an entry when it says its type, a list of such is several."""
    for name, value in node.items():
        path = (*above, str(name))
        key = ".".join(path)
        if value is None:
            continue
        if isinstance(value, list) and value and all(map(_is_entry, value)):
            yield path, value
            continue
        if not isinstance(value, Mapping):
            raise InputError(
                f"search_space.{key} must be a section with a type (float, int, categorical), "
                f"got {value!r}{_as_an_entry(value)}"
            )
        if _is_entry(value):
            yield path, [value]
        elif not value or not all(
            v is None or isinstance(v, Mapping | list) for v in value.values()
        ):
            raise InputError(
                f"search_space.{key} has no type: it must be float, int or categorical"
            )
        else:
            yield from _entries(value, path)


def _is_entry(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("type"), str)


def _as_an_entry(value: Any) -> str:
    """Return how a list or a single value is written as an entry."""
    if isinstance(value, list) and value:
        return f": write {{type: categorical, choices: {value}}}"
    if isinstance(value, int | float | bool | str):
        return f": write {{type: categorical, choices: [{value}]}}, or set it outside search_space"
    return ""
