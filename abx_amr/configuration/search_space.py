"""What a command line searches: its overrides, split into settings and search-space entries.

Every worker of a study gets the settings as they are and the entries as one override of
`tuning.search_space`; it composes its configuration itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from abx_amr.errors import InputError
from abx_amr.studies.members import AGENT, SEARCHED_GROUPS
from abx_amr.studies.space import REFUSED_FAMILIES, flatten, full_path, written_keys

FIELDS = ("type", "low", "high", "step", "log", "log_below_one", "choices", "when")

Entry = dict[str, Any]


_PARAMS = "hydra.sweeper.params"


def without_sweeper_params(arguments: Sequence[str]) -> list[str]:
    """Return the overrides with those of `hydra.sweeper.params` as the sweeps that they mean.

    >>> without_sweeper_params(["hydra.sweeper.params.training.seed=1,2", "run_name=a"])
    ['training.seed=1,2', 'run_name=a']
    >>> without_sweeper_params(["+hydra.sweeper.params={training.seed: 'range(1,3)'}"])
    ['training.seed=range(1,3)']
    """
    found: list[str] = []
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if key.startswith(f"{_PARAMS}."):
            found.append(f"{key.removeprefix(f'{_PARAMS}.')}={value.strip(_QUOTES)}")
        elif key == _PARAMS:
            found += sweeps_of(_mapping_in(argument))
        else:
            found.append(argument)
    return found


_QUOTES = "'\""


def _mapping_in(argument: str) -> Mapping[str, Any]:
    """Return the mapping that an override gives.

    Raises:
        InputError: it gives something else.
    """
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException as error:
        raise InputError(f"'{argument}' cannot be read: write KEY=VALUE,VALUE with -m") from error
    if not isinstance(value, Mapping):
        raise InputError(f"'{argument}' must be a section: write KEY=VALUE,VALUE with -m instead")
    return value


def sweeps_of(params: Mapping[str, Any]) -> list[str]:
    """Return the overrides that `hydra.sweeper.params` of a file stands for.

    >>> sweeps_of({"agent_algorithm": {"gamma": "choice(0.9,0.99)"}, "training.seed": 3})
    ['agent_algorithm.gamma=choice(0.9,0.99)', 'training.seed=3']
    """
    texts = {
        path: value.text if isinstance(value, QuotedString) else value
        for path, value in flatten(params).items()
    }
    return [
        f"{path}={text if isinstance(text, str) else encode(text)}" for path, text in texts.items()
    ]


def split_arguments(
    arguments: Sequence[str], loader: ConfigLoader
) -> tuple[list[str], dict[str, Entry]]:
    """Return the overrides to pass on and path -> search-space entry for those that sweep."""
    fixed: list[str] = []
    entries: dict[str, Entry] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(arguments)):
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
            continue
        key = override.key_or_group
        is_group = bool(loader.get_group_options(key))
        if "@" in override.get_key_element() or (is_group and not _is_searched(override)):
            raise InputError(f"{override.input_line}: {_no_search(override)}")
        if "." not in key and not is_group:
            raise InputError(
                f"{override.input_line}: a search space holds full paths such as "
                "agent_algorithm.learning_rate"
            )
        entries[full_path(key)] = entry_of(override)
    return fixed, entries


def _is_searched(override: Override) -> bool:
    """Say whether an override searches over the choices of a group."""
    value = override.value()
    is_choice = isinstance(value, ChoiceSweep) and not value.simple_form
    return is_choice and override.key_or_group in SEARCHED_GROUPS


def _no_search(override: Override) -> str:
    """Return why the choices of a group are not searched, and what to write."""
    group, value = override.key_or_group, override.value()
    names = [str(_unquoted(name)) for name in value.list] if isinstance(value, ChoiceSweep) else []
    listed = ",".join(names) or "NAME,NAME"
    if "@" in override.get_key_element():
        return f"{group} is a configuration group: leave out what follows @"
    if group == AGENT:
        return (
            f"to search over agents in one study, write {group}=choice({listed}); a study for each "
            f"is +tuning={','.join(f'{name}_default' for name in names) or 'NAME,NAME'}"
        )
    reason = REFUSED_FAMILIES.get(group)
    if reason is None:
        known = f"{', '.join(SEARCHED_GROUPS[:-1])} and {SEARCHED_GROUPS[-1]}"
        reason = f"{group} is a configuration group, of which {known} alone are searched"
    else:
        reason = f"{group} is not searched: {reason}"
    return f"{reason}; a study for each choice is {group}={listed}"


def entry_of(override: Override) -> Entry:
    """Return the search-space entry that a sweeping override means.

    interval(a, b): numbers between, whole ones with int(...); tag(log, ...): on a log scale,
    tag(log_below_one, ...): 1 - value on one; range(a, b, step): a, a + step, ... below b;
    choice(...) and a,b,c: one of these; tag('when KEY=VALUE|VALUE', ...): counts only there.
    """
    entry = _unconditional_entry(override)
    tags = sorted(getattr(override.value(), "tags", ()))
    when: dict[str, list[Any]] = {}
    for tag in tags:
        if tag.split(" ")[0] == "when":
            key, values = _condition(override, tag)
            if key in when:
                raise InputError(
                    f"{override.input_line}: two tags say when of {key}: write 'when {key}=A|B'"
                )
            when[key] = values
    return {**entry, "when": when} if when else entry


def _condition(override: Override, tag: str) -> tuple[str, list[Any]]:
    """Return a key and the values of which it must have one, from 'when KEY=VALUE|VALUE'."""
    key, equals, values = tag.removeprefix("when").strip().partition("=")
    if not (key.strip() and equals and values.strip()):
        raise InputError(
            f"{override.input_line}: {tag!r} must say which key has which value, such as "
            "'when batch_size=64|128'"
        )
    parser = OverridesParser.create()
    try:
        read = [
            parser.parse_override(f"key={value.strip()}").value() for value in values.split("|")
        ]
    except HydraException as error:
        raise InputError(f"{override.input_line}: {values!r} cannot be read as values") from error
    return key.strip(), [_unquoted(value) for value in read]


def _unconditional_entry(override: Override) -> Entry:
    value = override.value()
    scales = sorted({"log", "log_below_one"} & set(getattr(value, "tags", ())))
    if scales and isinstance(value, ChoiceSweep | RangeSweep):
        has = "steps" if isinstance(value, RangeSweep) else "no order"
        kind = "range" if isinstance(value, RangeSweep) else "choice"
        raise InputError(
            f"{override.input_line}: a {kind} has {has}, {scales[0]} needs an interval"
        )
    if isinstance(value, ChoiceSweep):
        return _choices(override, value.list)
    if isinstance(value, RangeSweep):
        if getattr(value, "transformers", ()):
            return _choices(override, list(override.sweep_iterator()))
        return _range(override, value)
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        is_whole = isinstance(low, int) and isinstance(high, int)
        entry = {"type": "int" if is_whole else "float", "low": low, "high": high}
        if "log_below_one" in scales:
            entry = {**entry, "type": "float", "log_below_one": True}
        return {**entry, "log": "log" in scales}
    raise InputError(f"{override.input_line}: a search space takes interval, range or choice")


def values_of_range(sweep: RangeSweep, values: Sequence[str]) -> list[str]:
    """Return the values of a range as its ends and its step are written: 0.3, not 0.30000000000004.

    Args:
        sweep: The range.
        values: Its values as Hydra counts them.
    """
    numbers = [Decimal(str(number)) for number in (sweep.start, sweep.step)]
    places = max(0, *(-int(number.as_tuple().exponent) for number in numbers))
    return [
        text if text.lstrip("+-").isdigit() else str(round(float(text), places)) for text in values
    ]


def search_space_override(entries: Mapping[str, Entry], *, written: Mapping[str, Any]) -> str:
    """Return the override that adds `entries` to `tuning.search_space` or replaces what is there.

    `written` is the space as composed. An entry that it has already is named as it is named there,
    with nulls for the fields it no longer has, since mappings are merged.
    """
    keys = written_keys(written)
    tree: dict[str, Any] = {}
    for path, entry in entries.items():
        node = tree
        *sections, last = keys.get(path, (path,))
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = {name: entry.get(name) for name in FIELDS}
    return f"++tuning.search_space={encode(tree)}"


def _choices(override: Override, values: Sequence[Any]) -> Entry:
    return {"type": "categorical", "choices": [_unquoted(value) for value in values]}


def _unquoted(value: Any) -> Any:
    """Return a value of Hydra's grammar as plain data."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, Mapping):
        return {_unquoted(key): _unquoted(item) for key, item in value.items()}
    return [_unquoted(item) for item in value] if isinstance(value, list) else value


def _range(override: Override, sweep: RangeSweep) -> Entry:
    """Return the ends of what the range holds: Hydra leaves out its stop, a study includes high."""
    assert sweep.start is not None
    assert sweep.stop is not None
    if sweep.step == 0:
        raise InputError(f"{override.input_line}: the step must not be 0")
    numbers = (sweep.start, sweep.stop, sweep.step)
    is_whole = all(isinstance(number, int) for number in numbers)
    start, stop, step = (Decimal(str(number)) for number in numbers)
    count = ceil((Fraction(stop) - Fraction(start)) / Fraction(step))
    if count <= 0:
        raise InputError(f"{override.input_line}: the range holds no value")
    low, high = sorted((start, start + (count - 1) * step))
    cast_number: type[int] | type[float] = int if is_whole else float
    return {
        "type": "int" if is_whole else "float",
        "low": cast_number(low),
        "high": cast_number(high),
        "step": cast_number(abs(step)),
    }


def encode(value: Any) -> str:
    """Return a value in Hydra's grammar, text always in quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(encode(item) for item in value) + "]"
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single).with_quotes()
    return repr(value)
