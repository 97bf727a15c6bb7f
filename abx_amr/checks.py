"""Checks of what the user gave: InputError with one line that names key, value and cure.

`fits(name, value, declared)` checks a value against a type as a signature declares it; limits stand
in the type, `Annotated[float, Range(low=0)]`. The functions below it check one kind each.
"""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from abx_amr.errors import InputError, cure, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Range:
    """The limits of a number, as metadata of its declared type."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False


#: The largest whole number that an array holds.
LARGEST = 2**63 - 1

Share = Annotated[float, Range(low=0.0, high=1.0)]
Count = Annotated[int, Range(low=1)]
Index = Annotated[int, Range(low=0)]
#: What numpy's and torch's generators can be seeded with.
Seed = Annotated[int, Range(low=0, high=2**32 - 1)]
Positive = Annotated[float, Range(low=0.0, open_low=True)]
NotNegative = Annotated[float, Range(low=0.0)]


def fits(name: str, value: Any, declared: Any) -> None:
    """Check a value against a declared type; what a type does not say of plain data is accepted.

    A flag is true or false and nothing else; a whole number is no flag, a number no text, a list no
    text. Classes, and types that cannot be resolved, accept everything.

    Raises:
        InputError: naming the value, what it must be, and the cure where there is one.

    >>> fits("training.n_envs", 8, Count)
    >>> fits("training.seed_batched", "no", bool)
    Traceback (most recent call last):
        ...
    abx_amr.errors.InputError: training.seed_batched must be true or false, got 'no'
    >>> fits("tuning.timeout", -1, Positive | None)
    Traceback (most recent call last):
        ...
    abx_amr.errors.InputError: tuning.timeout must be null or a number above 0, got -1
    """
    limits = Range()
    if get_origin(declared) is Annotated:
        declared, *metadata = get_args(declared)
        limits = next((each for each in metadata if isinstance(each, Range)), limits)
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        _fits_one_of(name, value, get_args(declared))
    elif origin is Literal:
        choice(name, value, get_args(declared))
    elif declared is None or declared is type(None):
        if value is not None:
            raise InputError(f"{name} must be null, got {_short(value)}")
    elif declared is bool:
        flag(name, value)
    elif declared is int:
        whole_number(name, value, limits.low, limits.high)
    elif declared is float:
        number(
            name,
            value,
            limits.low,
            limits.high,
            open_low=limits.open_low,
            open_high=limits.open_high,
        )
    elif declared is str:
        if not isinstance(value, str):
            raise InputError(f"{name} must be text, got {_short(value)}")
    elif (inner := _sequence_of(declared)) is not None:
        for position, each in enumerate(a_list(name, value)):
            fits(f"{name}[{position}]", each, inner)
    elif (inner := _mapping_of(declared)) is not None:
        if not isinstance(value, Mapping):
            raise InputError(f"{name} must be a section (name: value), got {_short(value)}")
        for key, each in value.items():
            fits(f"{name}.{key}", each, inner)
    elif origin is type:
        _fits_class(name, value, get_args(declared)[0])
    elif (origin or declared) is Callable and not callable(value):
        raise InputError(f"{name} must be a function, got {_short(value)}")


def _fits_class(name: str, value: Any, base: Any) -> None:
    """Check a value against `type[base]`."""
    if not isinstance(value, type):
        raise InputError(f"{name} must be a class, got {_short(value)}")
    if isinstance(base, type) and not issubclass(value, base):
        raise InputError(f"{name} must be a class that is a {base.__name__}, got {_short(value)}")


#: What a configuration itself holds: beside one of these, an object of a class is made in Python.
_PLAIN = (bool, int, float, str, list, dict, type(None))


def _fits_one_of(name: str, value: Any, members: Sequence[Any]) -> None:
    """Check a value against a union; null and the one other member are said together."""
    if value is None and any(each in (None, type(None)) for each in members):
        return
    others = [each for each in members if each not in (None, type(None))]
    is_nullable = len(others) < len(members)
    if isinstance(value, _PLAIN) and any(each in _PLAIN for each in others):
        others = [each for each in others if each in _PLAIN or not inspect.isclass(each)]
    refusals: list[InputError] = []
    for member in others:
        try:
            fits(name, value, member)
        except InputError as error:
            refusals.append(error)
        else:
            return
    if not refusals:
        raise InputError(f"{name} must be null, got {_short(value)}")
    nearest = next((e for e in refusals if not str(e).startswith(f"{name} must be")), refusals[0])
    text = str(nearest)
    if is_nullable and text.startswith(start := f"{name} must be "):
        text = f"{start}null or {text.removeprefix(start)}"
    raise InputError(text)


def _sequence_of(declared: Any) -> Any | None:
    """Return what a declared sequence holds, None where it declares none."""
    origin = get_origin(declared) or declared
    if origin not in (list, tuple, Sequence):
        return None
    inner = [each for each in get_args(declared) if each is not Ellipsis]
    return inner[0] if len(set(inner)) == 1 else Any


def _mapping_of(declared: Any) -> Any | None:
    """Return what a declared mapping's values are, None where it declares none."""
    origin = get_origin(declared) or declared
    if origin not in (dict, Mapping):
        return None
    inner = get_args(declared)
    return inner[1] if len(inner) == 2 else Any


def declared_types(made: Callable[..., Any]) -> dict[str, Any]:
    """Return parameter -> declared type of a class or function; Any where it cannot be told.

    >>> declared_types(Range)["open_low"]
    <class 'bool'>
    """
    if not callable(made):
        return {}
    signed = made.__init__ if isinstance(made, type) else made  # type: ignore[misc]
    try:
        parameters = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return {}
    written = {**getattr(signed, "__annotations__", {})}
    names = getattr(inspect.unwrap(signed), "__globals__", {})
    return {name: _resolved(written.get(name, Any), names) for name in parameters}


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the type that one annotation means; Any where it cannot be told.

    One at a time: a name that is imported for a type checker alone costs only what it declares.
    """
    alone = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(alone, globalns=names, include_extras=True)["it"]
    except Exception:  # a name that is not there at run time, or a broken annotation
        return Any


def check_declared(made: Callable[..., Any], arguments: Mapping[str, Any], *, key: str) -> None:
    """Check arguments against the types that a class or function declares.

    Raises:
        InputError: one does not fit, see `fits`.
    """
    declared = declared_types(made)
    for name, value in arguments.items():
        fits(f"{key}.{name}", value, declared.get(name, Any))


def check_fields(settings: Any, *, key: str) -> None:
    """Check the fields of a dataclass against their declared types, for its `__post_init__`.

    Raises:
        InputError: one does not fit, see `fits`.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    check_declared(type(settings), values, key=key)


def a_list(name: str, value: Any) -> Sequence[Any]:
    """Return `value` when it is a list or tuple, else raise."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        cure = f": write {_as_list(value)}" if isinstance(value, str | int | float) else ""
        raise InputError(f"{name} must be a list, such as [1,2,3], got {_short(value)}{cure}")
    return value


def _as_list(value: str | float) -> str:
    """Return a value as the list that was probably meant.

    >>> _as_list(3), _as_list("1-4"), _as_list("1 2 3"), _as_list("1,2")
    ('[3]', '[1,2,3,4]', '[1,2,3]', '[1,2]')
    """
    text = str(value).strip()
    if span := re.fullmatch(r"(\d{1,9})\s*(?:-|\.\.|to|:)\s*(\d{1,9})", text):
        first, last = int(span[1]), int(span[2])
        if first < last <= first + 50:
            return f"[{','.join(map(str, range(first, last + 1)))}]"
    if re.fullmatch(r"\d+(?:[\s;,]+\d+)+", text):
        return f"[{','.join(re.findall('[0-9]+', text))}]"
    return f"[{value}]"


def choice(name: str, value: Any, known: Sequence[Any]) -> Any:
    """Return `value` when it is one of `known`, else raise."""
    if any(value == each and type(value) is type(each) for each in known):
        return value
    texts = [str(each) for each in known]
    raise InputError(
        f"{name} must be {' or '.join(texts)}, got {_short(value)}{did_you_mean(value, texts)}"
    )


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as a float when it is a finite number between `low` and `high`, else raise."""
    is_number = not isinstance(value, bool | str) and hasattr(value, "__float__")
    if is_number and getattr(value, "ndim", 0) == 0:
        try:
            number_given = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number_given = math.inf
        above = number_given > low if open_low else number_given >= low
        below = number_given < high if open_high else number_given <= high
        if math.isfinite(number_given) and above and below:
            return number_given
    raise InputError(
        f"{name} must be {_range(low, high, open_low, open_high)}, got {_short(value)}"
        f"{cure(value, low, high)}"
    )


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    """Return how the range is said: "a number in (0, 1)", "a number above 0"."""
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"a number {'above' if open_low else 'of at least'} {low:g}"
    if math.isinf(low):
        return f"a number {'below' if open_high else 'of at most'} {high:g}"
    return f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"


def whole_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> int:
    """Return `value` as an int when it is a whole number between `low` and `high`, else raise."""
    if not isinstance(value, bool) and hasattr(value, "__index__") and low <= int(value) <= high:
        if abs(int(value)) > LARGEST:
            raise InputError(f"{name} must be at most {LARGEST}, got {_short(value)}")
        return int(value)
    limits = [f"of at least {int(low)}"] if math.isfinite(low) else []
    limits += [f"at most {int(high)}"] if math.isfinite(high) else []
    raise InputError(
        f"{name} must be a whole number{' ' if limits else ''}{' and '.join(limits)}, got "
        f"{_short(value)}{cure(value)}"
    )


def _short(value: Any) -> str:
    """Return a value as it is shown: a long one by its beginning."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number with too many digits"
    return text if len(text) <= 100 else f"{text[:60]}... ({len(text)} characters)"


def flag(name: str, value: Any) -> bool:
    """Return `value` when it is true or false, else raise."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, got {_short(value)}")
    return value


def unique_names(name: str, value: Any) -> tuple[str, ...]:
    """Return a non-empty sequence of distinct names as a tuple, else raise."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"{name} must be a list of names, got {_short(value)}")
    if not value:
        raise InputError(f"{name} must name at least one, got an empty list")
    if not all(isinstance(entry, str) and entry for entry in value):
        raise InputError(f"{name} must be a list of names, got {list(value)!r}")
    repeated = sorted({entry for entry in value if value.count(entry) > 1})
    if repeated:
        raise InputError(f"{name} must name each once, got {list(value)!r} (repeated: {repeated})")
    return tuple(value)


#: What says that there is no drug, and what a reader of tables takes for a missing value.
_NO_DRUG = frozenset(
    ("no_treatment", "treat_none", "no_drug", "no_antibiotic", "none", "null", "nil", "nothing")
) | frozenset(("never", "nan", "na", "n/a", "-nan", "~", "<na>", "#n/a", "#na", "1.#ind"))


def antibiotic_names(value: Any) -> tuple[str, ...]:
    """Return the antibiotics' names in order; `no_treatment` is the name of giving none.

    A name is a part of columns and legends: it may not mean that there is no drug, or be another
    but for its capitals.

    Raises:
        InputError: naming the antibiotic.
    """
    names = unique_names("antibiotics", value)
    by_small: dict[str, str] = {}
    for name in names:
        plain = "_".join(name.casefold().split())
        if plain.replace("-", "_") in _NO_DRUG or plain in _NO_DRUG:
            raise InputError(
                f"antibiotics must not be named {name!r}: it means giving none; write its full "
                "name, such as amoxicillin"
            )
        if (same := by_small.setdefault(plain, name)) != name:
            raise InputError(
                f"antibiotics {same!r} and {name!r} have the same name but for capitals and "
                "blanks: give each a name of its own"
            )
    return names


def one_each(name: str, value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the mapping when its keys are exactly `names`, else raise."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must map each of {list(names)} to a number, got {_short(value)}")
    missing = [entry for entry in names if entry not in value]
    unknown = [entry for entry in value if entry not in names]
    if missing or unknown:
        faults = [f"missing {missing}"] * bool(missing) + [f"unknown {unknown}"] * bool(unknown)
        raise InputError(f"{name} must name each of {list(names)} once: {', '.join(faults)}")
    return value


def known_keys(
    name: str, value: Any, required: Collection[str], optional: Collection[str] = ()
) -> Mapping[str, Any]:
    """Return the mapping when it has every required key and no unknown one, else raise."""
    if not isinstance(value, Mapping):
        raise InputError(
            f"{name} must be a section with {', '.join(sorted(required))}, got {_short(value)}"
        )
    valid = [*required, *optional]
    for key in value:
        if key not in valid:
            hint = did_you_mean(key, valid)
            raise InputError(f"{name} has no key {key!r}{hint} (it has: {', '.join(valid)})")
    for key in required:
        if key not in value:
            raise InputError(f"{name} must have the key {key!r}, got only {sorted(value)}")
    return value
