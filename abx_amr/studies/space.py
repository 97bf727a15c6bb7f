"""The search space: configuration paths and the values that a trial may draw for them."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from abx_amr.checks import a_list, flag, number, whole_number
from abx_amr.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

ParameterValue = None | bool | int | float | str
SearchSpace = dict[str, "BaseDistribution"]

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
FIELDS = {
    "float": ("low", "high", "step", "log"),
    "int": ("low", "high", "step", "log"),
    "categorical": ("choices",),
}


_FLOAT, _INT = "float, low: LOW, high: HIGH", "int, low: LOW, high: HIGH"
#: What other tools call a type -> the fields that say it here.
_ELSEWHERE = {
    **dict.fromkeys(("uniform", "real"), _FLOAT),
    **dict.fromkeys(
        ("loguniform", "log_uniform", "log_uniform_values", "log"), f"{_FLOAT}, log: true"
    ),
    **dict.fromkeys(("quniform", "q_uniform", "discrete_uniform"), f"{_FLOAT}, step: STEP"),
    **dict.fromkeys(("integer", "randint", "int_uniform"), _INT),
    **dict.fromkeys(("logint", "log_int", "lograndint"), f"{_INT}, log: true"),
    **dict.fromkeys(("choice", "choices", "values", "constant"), "categorical, choices: [A, B]"),
}


def full_path(key: str) -> str:
    """Return the configuration path that a search-space key means.

    >>> full_path("gamma"), full_path("option_gamma"), full_path("training.n_envs")
    ('agent_algorithm.gamma', 'hrl.option_gamma', 'training.n_envs')
    """
    return key if "." in key else SHORT_NAMES.get(key, f"agent_algorithm.{key}")


def parse_search_space(entries: Mapping[str, Any]) -> SearchSpace:
    """Return path -> distribution for the entries of `tuning.search_space`, in their order.

    An entry is {type: float|int, low, high, step, log} or {type: categorical, choices}. Sections
    may be nested, keys may be paths; fields that are null do not count, nor do entries that are
    null.
    """
    space: SearchSpace = {}
    written: dict[str, str] = {}
    for keys, entry in _entries(entries, ()):
        key = ".".join(keys)
        path = full_path(key)
        if path in space:
            raise InputError(f"search_space names {path} twice: as {written[path]!r} and {key!r}")
        family = path.split(".")[0]
        reason = REFUSED_FAMILIES.get(family) or REFUSED_PATHS.get(path)
        if reason is not None or key in REFUSED_FAMILIES or key in REFUSED_PATHS:
            reason = reason or REFUSED_FAMILIES.get(key) or REFUSED_PATHS[key]
            raise InputError(f"search_space must not hold {key!r}: {reason}")
        space[path] = _distribution(key, entry)
        written[path] = key
    return space


def written_keys(entries: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return path -> the sections and the key under which an entry is written.

    >>> written_keys({"gamma": {"type": "float"}, "hrl": {"option_gamma": {"type": "float"}}})
    {'agent_algorithm.gamma': ('gamma',), 'hrl.option_gamma': ('hrl', 'option_gamma')}
    """
    return {full_path(".".join(keys)): keys for keys, _ in _entries(entries, ())}


def check_paths(space: Mapping[str, BaseDistribution], configuration: Mapping[str, Any]) -> None:
    """Raise an InputError for a path that is no value of the plain, resolved `configuration`."""
    leaves = flatten(configuration)
    for path in space:
        if path in leaves:
            continue
        if any(leaf.startswith(f"{path}.") for leaf in leaves):
            raise InputError(f"search_space key {path!r} is a section, not a value")
        if path.startswith("hrl."):
            raise InputError(
                f"search_space key {path!r} belongs to an agent that chooses options: choose "
                "+tuning=hrl_ppo_default or hrl_rppo_default, or leave it out"
            )
        guess = did_you_mean(path, leaves) or ": name a value of the configuration (--cfg job)"
        raise InputError(f"search_space key {path!r} does not exist{guess}")


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


def probe_values(distribution: BaseDistribution) -> tuple[ParameterValue, ParameterValue]:
    """Return two values far apart: low and high, or the first and the last choice."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0], distribution.choices[-1]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low, distribution.high


def probe_points(
    space: Mapping[str, BaseDistribution],
) -> dict[str, tuple[ParameterValue, ParameterValue]]:
    """Return path -> the two values at which the key is to be tried before the first trial."""
    return {path: probe_values(distribution) for path, distribution in space.items()}


def describe(space: Mapping[str, BaseDistribution]) -> dict[str, dict[str, Any]]:
    """Return path -> plain fields, the same for every spelling of the same space."""
    described = {}
    for path, distribution in sorted(space.items()):
        fields = json.loads(json.dumps(distribution._asdict()))
        kind = type(distribution).__name__.removesuffix("Distribution").lower()
        described[path] = {"type": kind, **fields}
    return described


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


def _entries(
    node: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Walk nested sections; a node is an entry when it says its type."""
    for name, value in node.items():
        path = (*above, str(name))
        key = ".".join(path)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise InputError(
                f"search_space.{key} must be a section with a type (float, int, categorical), "
                f"got {value!r}{_as_an_entry(value)}"
            )
        if isinstance(value.get("type"), str):
            yield path, value
        elif not value or not all(v is None or isinstance(v, Mapping) for v in value.values()):
            raise InputError(
                f"search_space.{key} has no type: it must be float, int or categorical"
            )
        else:
            yield from _entries(value, path)


def _as_an_entry(value: Any) -> str:
    """Return how a list or a single value is written as an entry."""
    if isinstance(value, list) and value:
        return f": write {{type: categorical, choices: {value}}}"
    if isinstance(value, int | float | bool | str):
        return f": write {{type: categorical, choices: [{value}]}}, or set it outside search_space"
    return ""


def _distribution(key: str, entry: Mapping[str, Any]) -> BaseDistribution:
    fields = {name: value for name, value in entry.items() if value is not None}
    kind = str(fields.pop("type"))
    if kind.lower() in _ELSEWHERE:
        raise InputError(
            f"search_space.{key}.type {kind!r} does not exist: write "
            f"{{type: {_ELSEWHERE[kind.lower()]}}}"
        )
    if kind not in FIELDS:
        raise InputError(
            f"search_space.{key}.type {kind!r} does not exist{did_you_mean(kind, FIELDS)} "
            f"(known: {', '.join(FIELDS)})"
        )
    allowed = FIELDS[kind]
    for name in fields:
        if name not in allowed:
            raise InputError(
                f"search_space.{key} (type {kind}) has no field {name!r}"
                f"{did_you_mean(name, allowed)} (known: {', '.join(allowed)})"
            )
    if kind == "categorical":
        return _categorical(key, fields)
    return _numeric(key, kind, fields)


def _categorical(key: str, fields: Mapping[str, Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution

    choices = a_list(f"search_space.{key}.choices", fields.get("choices"))
    if not choices:
        raise InputError(f"search_space.{key}.choices must hold at least one value, got none")
    for choice in choices:
        is_number = isinstance(choice, int | float) and not isinstance(choice, bool)
        if is_number:
            number(f"search_space.{key}.choices", choice)
        elif not isinstance(choice, bool | str | None):
            raise InputError(
                f"search_space.{key}.choices must be numbers, text, true, false or null, "
                f"got {choice!r}"
            )
    repeated = [c for i, c in enumerate(choices) if any(_same(c, d) for d in choices[:i])]
    if repeated:
        raise InputError(f"search_space.{key}.choices holds {repeated[0]!r} more than once")
    return CategoricalDistribution(list(choices))


def _same(first: Any, second: Any) -> bool:
    return type(first) is type(second) and bool(first == second)


def _numeric(key: str, kind: str, fields: Mapping[str, Any]) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    for name in ("low", "high"):
        if name not in fields:
            raise InputError(f"search_space.{key} (type {kind}) needs {name}")
    is_log = flag(f"search_space.{key}.log", fields.get("log", False))
    numbers = {
        name: _number(key, name, kind, value) for name, value in fields.items() if name != "log"
    }
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    if low > high:
        raise InputError(f"search_space.{key}: low {low} is above high {high}: swap them")
    if is_log and low <= 0:
        raise InputError(f"search_space.{key}: log needs low above 0, not {low}")
    if step is not None and step <= 0:
        raise InputError(f"search_space.{key}.step must be above 0, not {step}")
    if is_log and step is not None and not (kind == "int" and step == 1):
        raise InputError(f"search_space.{key}: log and step exclude each other, drop one of them")
    distribution: FloatDistribution | IntDistribution
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the line below says it
        if kind == "int":
            distribution = IntDistribution(int(low), int(high), step=int(step or 1), log=is_log)
        else:
            distribution = FloatDistribution(low, high, step=step, log=is_log)
    if distribution.high != high:
        log.warning(
            "search_space.%s: step %s does not divide %s..%s, the highest value is %s",
            key,
            step,
            low,
            high,
            distribution.high,
        )
    return distribution


def _number(key: str, name: str, kind: str, value: Any) -> float:
    check = whole_number if kind == "int" else number
    if kind == "int" and isinstance(value, float) and value.is_integer():
        value = int(value)
    return check(f"search_space.{key}.{name}", value)
