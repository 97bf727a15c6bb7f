"""Checks of what the user gave: InputError with one line that names key, value and cure."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from abx_amr.errors import InputError, cure, did_you_mean


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
        number_given = float(value)
        above = number_given > low if open_low else number_given >= low
        below = number_given < high if open_high else number_given <= high
        if math.isfinite(number_given) and above and below:
            return number_given
    raise InputError(
        f"{name} must be {_range(low, high, open_low, open_high)}, got {value!r}"
        f"{cure(value, low, high)}"
    )


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    """Return how the range is said: "in (0, 1)", ">= 0", "a finite number"."""
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"a finite number {'>' if open_low else '>='} {low:g}"
    if math.isinf(low):
        return f"a finite number {'<' if open_high else '<='} {high:g}"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"


def whole_number(name: str, value: Any, low: int) -> int:
    """Return `value` as an int when it is a whole number >= `low`, else raise."""
    if not isinstance(value, bool) and hasattr(value, "__index__") and int(value) >= low:
        return int(value)
    raise InputError(f"{name} must be a whole number >= {low}, got {value!r}{cure(value)}")


def flag(name: str, value: Any) -> bool:
    """Return `value` when it is true or false, else raise."""
    if not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, got {value!r}")
    return value


def unique_names(name: str, value: Any) -> tuple[str, ...]:
    """Return a non-empty sequence of distinct names as a tuple, else raise."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"{name} must be a list of names, got {value!r}")
    if not value:
        raise InputError(f"{name} must name at least one, got an empty list")
    if not all(isinstance(entry, str) and entry for entry in value):
        raise InputError(f"{name} must be a list of names, got {list(value)!r}")
    repeated = sorted({entry for entry in value if value.count(entry) > 1})
    if repeated:
        raise InputError(f"{name} must name each once, got {list(value)!r} (repeated: {repeated})")
    return tuple(value)


def antibiotic_names(value: Any) -> tuple[str, ...]:
    """Return the antibiotics' names in order; `no_treatment` is the name of giving none."""
    names = unique_names("antibiotics", value)
    if "no_treatment" in names:
        raise InputError("antibiotics must not be named 'no_treatment': it means giving none")
    return names


def one_each(name: str, value: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the mapping when its keys are exactly `names`, else raise."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must map each of {list(names)} to a number, got {value!r}")
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
            f"{name} must be a section with {', '.join(sorted(required))}, got {value!r}"
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
