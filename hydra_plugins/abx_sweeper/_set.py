"""From the command line to the runs of an experiment set.

Every combination of the swept values is a job. Nothing is believed of a job but what it wrote, so
that one that is killed costs only itself, whatever its launcher makes of that.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from abx_amr.configuration.search_space import values_of_range
from abx_amr.configuration.written import to_the_letter
from abx_amr.errors import InputError
from abx_amr.host.processors import available
from abx_amr.host.signals import CommandInterruptError

from ._sweep import LauncherChoice, Overrides, Sweep
from .launchers import launcher_for

#: They name every job once more when they launch it.
_TALKATIVE = (
    "hydra._internal.core_plugins.basic_launcher",
    "hydra_plugins.hydra_joblib_launcher._core",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
)


@dataclass(frozen=True, kw_only=True)
class SetJob:
    """One combination: all its overrides, and key -> value of those that sweep."""

    overrides: tuple[str, ...]
    swept: dict[str, str]


@runtime_checkable
class SetTask(Protocol):
    """What hydra/sweeper=abx_set needs of a task function, which is an object."""

    def __call__(self, config: DictConfig) -> Any:
        """Be one run, as composed."""

    def prepare(
        self, jobs: Sequence[SetJob], compose: Callable[[Overrides], DictConfig]
    ) -> list[list[str]]:
        """Name the runs; return the overrides of those to launch."""

    def is_ended(self, overrides: Overrides) -> bool:
        """Return whether a run has left a result or a failure."""

    def report(self, line: str) -> None:
        """Show a line to the user."""

    def finish(self) -> None:
        """Say what came of the set."""


def run_set(
    arguments: Sequence[str],
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    at_once: int | None = None,
) -> list[Any]:
    """Launch the jobs that `prepare` lets through, then `finish`; nothing is returned.

    Args:
        arguments: The command line.
        hydra_context: Hydra's.
        task_function: A `SetTask`.
        config: The composition without the swept values.
        at_once: Jobs handed to the launcher together; None: all.

    Raises:
        InputError: The launcher cannot start here (before anything is composed), or the command
            line describes no set.
    """
    if not isinstance(task_function, SetTask):
        raise TypeError(f"hydra/sweeper=abx_set needs a SetTask, {task_function!r} is none")
    task = task_function
    sweep = Sweep(
        hydra_context=hydra_context, task_function=task, config=config, report=task.report
    )
    choice = LauncherChoice(composed=config, n_at_once=available(), is_inline_possible=True)
    launcher = launcher_for(sweep, choice)
    launcher.check(wait=True)
    jobs = dict(enumerate(task.prepare(combinations(sweep.parse(arguments)), sweep.compose)))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    numbers = list(jobs)
    size = at_once or max(1, len(jobs))
    try:
        for first in range(0, len(jobs), size):
            batch = {number: jobs[number] for number in numbers[first : first + size]}
            launcher.run(batch, is_ended=task.is_ended)
    except KeyboardInterrupt as interrupt:
        advice = "the same command with skip_if_exists=true goes on"
        raise CommandInterruptError.of(interrupt, advice) from interrupt
    task.finish()
    return []


def combinations(overrides: Sequence[Override]) -> list[SetJob]:
    """Return the jobs of a command line in the order of Hydra's basic sweeper.

    Raises:
        InputError: an override sweeps over an interval, which has no end of values.
    """
    values: dict[str, list[str]] = {}
    swept: list[str] = []
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [str(override.input_line)]
            continue
        if not override.is_discrete_sweep():
            raise InputError(
                f"{override.input_line}: an interval cannot be run through; list values (a,b,c) or "
                "give range(first, after the last)"
            )
        texts = list(override.sweep_string_iterator())
        sweep = override.value()
        if isinstance(sweep, RangeSweep):
            texts = values_of_range(sweep, texts)
        if not texts:
            empty = "no choice fits" if isinstance(sweep, Glob) else "the range holds no value"
            raise InputError(f"{override.input_line}: {empty}")
        values[key] = to_the_letter([f"{key}={text}" for text in texts])
        swept.append(key)
    jobs = []
    for chosen in itertools.product(*values.values()):
        pairs = dict(zip(values, chosen, strict=True))
        jobs.append(
            SetJob(
                overrides=tuple(chosen),
                swept={k.lstrip("+"): pairs[k].partition("=")[2] for k in values if k in swept},
            )
        )
    return jobs
