"""From the command line to running workers.

The arguments are split into fixed overrides and search-space entries. Every worker gets the fixed
ones, the entries as one override of `tuning.search_space` and its number as `tuning.worker`, and
composes its configuration itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from abx_amr.errors import InputError
from abx_amr.host.exit_codes import of_signal
from abx_amr.host.signals import CommandInterruptError
from abx_amr.studies.space import full_path, written_keys

from ._outcome import values_of
from ._sweep import LauncherChoice, Overrides, Sweep
from .launchers import Launcher, launcher_for

log = logging.getLogger(__name__)

FIELDS = ("type", "low", "high", "step", "log", "choices")

Entry = dict[str, Any]


def run_study(
    arguments: Sequence[str],
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> list[Any]:
    """Prepare the study, run its workers or its jobs, finish it; return what the workers returned.

    What runs in processes of its own writes what it has to say: it returns nothing here.
    """
    prepare = _hook(task_function, "prepare")
    finish = _hook(task_function, "finish")
    sweep = Sweep(
        hydra_context=hydra_context,
        task_function=task_function,
        config=config,
        report=_hook(task_function, "report"),
    )
    fixed, entries = split_arguments(arguments, hydra_context)
    if entries:
        written = _plain(sweep.compose(fixed)).get("tuning", {}).get("search_space")
        fixed = [*fixed, search_space_override(entries, written=written or {})]
    composed = sweep.compose(fixed)
    job_config = _without_hydra(composed)
    asked = OmegaConf.select(composed, "tuning.n_workers", default=None)
    n_workers = asked if type(asked) is int and asked > 0 else 1  # `prepare` refuses anything else
    has_jobs = OmegaConf.select(composed, "tuning.parallel", default=None) == "jobs"
    choice = LauncherChoice(
        composed=composed,
        n_at_once=n_workers,
        is_inline_possible=n_workers == 1 and not has_jobs,
    )
    launcher = launcher_for(sweep, choice)
    wait = OmegaConf.select(composed, "tuning.wait", default=None) is not False
    launcher.check(wait=wait)
    if prepare(job_config) is False:
        return []
    local = n_workers if launcher.is_on_this_machine else 1
    shared = [*fixed, f"++tuning.local_workers={local}"]
    jobs = {worker: [*shared, f"++tuning.worker={worker}"] for worker in range(n_workers)}
    if not wait:
        lines = launcher.submit(jobs)
        _hook(task_function, "submitted")(job_config, lines)
        return []
    returned: list[Any] = []
    with _hook(task_function, "watching")(job_config) as is_complete:
        if has_jobs:

            def launch(changes: Sequence[Overrides]) -> None:
                values_of_study(launcher, {i: [*shared, *c] for i, c in enumerate(changes)})

            _hook(task_function, "search")(job_config, launch)
        else:
            returned = values_of_study(launcher, jobs, is_complete)
    finish(job_config)
    return returned


def values_of_study(
    launcher: Launcher,
    jobs: Mapping[int, Overrides],
    is_complete: Callable[[], bool] = lambda: False,
) -> list[Any]:
    """Return what the jobs returned that returned anything.

    Raises:
        SystemExit: A signal came, every job refused the user's settings, or one had no time left.
    """
    try:
        return values_of(launcher.run(jobs, is_complete=is_complete))
    except CommandInterruptError as interrupt:
        log.warning("stopped: run the same command again to go on")
        raise SystemExit(of_signal(interrupt.number)) from None


def split_arguments(
    arguments: Sequence[str], hydra_context: HydraContext
) -> tuple[list[str], dict[str, Entry]]:
    """Return the overrides to pass on and path -> search-space entry for those that sweep."""
    loader = hydra_context.config_loader
    fixed: list[str] = []
    entries: dict[str, Entry] = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(arguments)):
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
            continue
        key = override.key_or_group
        if "@" in override.get_key_element() or loader.get_group_options(key):
            raise InputError(
                f"{override.input_line}: {key} is a configuration group, a search space holds "
                "values; run one study for each choice"
            )
        if "." not in key:
            raise InputError(
                f"{override.input_line}: a search space holds full paths such as "
                "agent_algorithm.learning_rate"
            )
        entries[full_path(key)] = entry_of(override)
    return fixed, entries


def entry_of(override: Override) -> Entry:
    """Return the search-space entry that a sweeping override means.

    interval(a, b): numbers between, whole ones with int(...); tag(log, ...): on a log scale;
    range(a, b, step): a, a + step, ... below b; choice(...) and a,b,c: one of these.
    """
    value = override.value()
    if isinstance(value, ChoiceSweep):
        return _choices(override, value.list)
    if isinstance(value, RangeSweep):
        if "log" in value.tags:
            raise InputError(f"{override.input_line}: a range has steps, log needs an interval")
        if getattr(value, "transformers", ()):
            return _choices(override, list(override.sweep_iterator()))
        return _range(override, value)
    if isinstance(value, IntervalSweep):
        is_log = "log" in value.tags
        low, high = value.start, value.end
        is_whole = isinstance(low, int) and isinstance(high, int)
        return {"type": "int" if is_whole else "float", "low": low, "high": high, "log": is_log}
    raise InputError(f"{override.input_line}: a search space takes interval, range or choice")


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
    return f"++tuning.search_space={_encode(tree)}"


def _choices(override: Override, values: Sequence[Any]) -> Entry:
    choices = [value.text if isinstance(value, QuotedString) else value for value in values]
    for choice in choices:
        if not isinstance(choice, str | int | float | bool | None):
            raise InputError(
                f"{override.input_line}: choices must be numbers, text, true, false or null, "
                f"not {choice!r}"
            )
    return {"type": "categorical", "choices": choices}


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


def _encode(value: Any) -> str:
    """Return a value in Hydra's grammar, text always in quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_encode(item) for item in value) + "]"
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single).with_quotes()
    return repr(value)


def _hook(task_function: TaskFunction, name: str) -> Any:
    hook = getattr(task_function, name, None)
    if not callable(hook):
        raise TypeError(
            f"hydra/sweeper=abx needs a task function with a method {name}(config): "
            f"{task_function!r} has none"
        )
    return hook


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast("dict[str, Any]", OmegaConf.to_container(_without_hydra(config), resolve=True))
