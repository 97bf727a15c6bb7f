"""One entry of `tuning.search_space` as what may be drawn: its fields checked."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.checks import a_list, flag, number, whole_number
from abx_amr.errors import InputError, did_you_mean
from abx_amr.studies.parameters import drawn_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

FIELDS = {
    "float": ("low", "high", "step", "log", "log_below_one", "when"),
    "int": ("low", "high", "step", "log", "when"),
    "categorical": ("choices", "when"),
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


def distribution_of(key: str, entry: Mapping[str, Any]) -> BaseDistribution:
    """Return what may be drawn for an entry; of `log_below_one`, for 1 less its value.

    Raises:
        InputError: a field is missing, unknown or wrong.
    """
    fields = {name: value for name, value in entry.items() if value is not None and name != "when"}
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
    if flag(f"search_space.{key}.log_below_one", fields.pop("log_below_one", False)):
        return _below_one(key, fields)
    return _numeric(key, kind, fields)


def is_searched_below_one(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry searches the distance of its value below 1."""
    return entry.get("log_below_one") is True


def condition_of(key: str, entry: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return key -> values of which it must have one, as `when` of an entry says.

    Raises:
        InputError: it is no mapping, or a key has no value.
    """
    when = entry.get("when")
    if when is None:
        return {}
    if not isinstance(when, Mapping):
        raise InputError(
            f"search_space.{key}.when must say which key has which value, such as "
            f"{{batch_size: 64}} or {{batch_size: [64, 128]}}, got {when!r}"
        )
    found = {str(on): v if isinstance(v, list) else [v] for on, v in when.items()}
    for on, values in found.items():
        if not values:
            raise InputError(f"search_space.{key}.when names no value of {on}")
    return found


def _below_one(key: str, fields: Mapping[str, Any]) -> BaseDistribution:
    """Return the range of 1 - value, on a log scale."""
    from optuna.distributions import FloatDistribution

    if excluded := [name for name in ("log", "step") if fields.get(name)]:
        raise InputError(
            f"search_space.{key}: log_below_one and {excluded[0]} exclude each other, drop one"
        )
    plain = _numeric(key, "float", fields)
    assert isinstance(plain, FloatDistribution)
    if plain.high >= 1:
        raise InputError(f"search_space.{key}: log_below_one needs high below 1, not {plain.high}")
    return FloatDistribution(1.0 - plain.high, 1.0 - plain.low, log=True)


def _categorical(key: str, fields: Mapping[str, Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution

    choices = a_list(f"search_space.{key}.choices", fields.get("choices"))
    if not choices:
        raise InputError(f"search_space.{key}.choices must hold at least one value, got none")
    for choice in choices:
        _check_choice(key, choice)
    seen: set[Any] = set()
    for choice in choices:
        if (setting := _setting(choice)) in seen:
            raise InputError(f"search_space.{key}.choices holds {choice!r} more than once")
        seen.add(setting)
    return CategoricalDistribution([drawn_of("", choice) for choice in choices])


def _check_choice(key: str, choice: Any) -> None:
    """Refuse what is no plain value: numbers, text, true, false, null, lists and sections of it."""
    if isinstance(choice, Mapping):
        for value in choice.values():
            _check_choice(key, value)
    elif isinstance(choice, list):
        for value in choice:
            _check_choice(key, value)
    elif isinstance(choice, int | float) and not isinstance(choice, bool):
        number(f"search_space.{key}.choices", choice)
    elif not isinstance(choice, bool | str | None):
        raise InputError(
            f"search_space.{key}.choices must be numbers, text, true, false, null, lists or "
            f"sections, got {choice!r}"
        )
    elif isinstance(choice, str) and choice[:1] in ("[", "{"):
        raise InputError(
            f"search_space.{key}.choices: write the list or section without quotes, not {choice!r}"
        )


def _setting(choice: Any) -> Any:
    """Return what two choices have in common that mean the same: 3 and 3.0, but not 1 and true.

    >>> _setting([3, {"a": 1.0}]) == _setting([3.0, {"a": 1}]), _setting(1) == _setting(True)
    (True, False)
    """
    if isinstance(choice, Mapping):
        return "section", frozenset((str(key), _setting(value)) for key, value in choice.items())
    if isinstance(choice, list):
        return "list", tuple(map(_setting, choice))
    return isinstance(choice, bool), choice


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
