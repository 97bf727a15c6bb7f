"""From the command line to the runs of an experiment set.

Every combination of the swept values is a job. Nothing is believed of a job but what it wrote, so
that one that is killed costs only itself, whatever its launcher makes of that.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from abx_amr.errors import InputError
from abx_amr.host.processors import available
from abx_amr.host.signals import CommandInterruptError

from ._job import Job
from ._places import BASIC_LAUNCHER, SLURM_LAUNCHER
from ._search import _hook as hook

log = logging.getLogger(__name__)

LOCAL_LAUNCHER = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
JOBLIB_LAUNCHER = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
#: Their jobs run on this machine.
_HERE = (LOCAL_LAUNCHER, JOBLIB_LAUNCHER)
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
        task_function: An object with the methods that `SetSweeper` names.
        config: The composition without the swept values.
        at_once: Jobs handed to the launcher together; None: all.
    """

    def compose(overrides: Sequence[str]) -> DictConfig:
        return hydra_context.config_loader.load_sweep_config(config, list(overrides))

    parser = OverridesParser.create(config_loader=hydra_context.config_loader)
    wanted = combinations(arguments, parser=parser)
    jobs: list[list[str]] = hook(task_function, "prepare")(wanted, compose)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    size = max(1, len(jobs)) if at_once is None else at_once
    try:
        for first in range(0, len(jobs), size):
            _launch(
                jobs[first : first + size],
                first=first,
                hydra_context=hydra_context,
                task_function=task_function,
                config=config,
            )
    except KeyboardInterrupt as interrupt:
        advice = "the same command with skip_if_exists=true goes on"
        raise CommandInterruptError.of(interrupt, advice) from interrupt
    hook(task_function, "finish")()
    return []


def combinations(arguments: Sequence[str], *, parser: OverridesParser) -> list[SetJob]:
    """Return the jobs of a command line in the order of Hydra's basic sweeper.

    Args:
        arguments: The command line.
        parser: Hydra's, with the config loader that glob(...) looks for choices in.

    Raises:
        InputError: an override sweeps over an interval, which has no end of values.
    """
    values: dict[str, list[str]] = {}
    swept: list[str] = []
    for override in parser.parse_overrides(list(arguments)):
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
        if not texts:
            empty = (
                "no choice fits"
                if isinstance(override.value(), Glob)
                else "the range holds no value"
            )
            raise InputError(f"{override.input_line}: {empty}")
        values[key] = [f"{key}={text}" for text in texts]
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


def _launch(
    jobs: Sequence[Sequence[str]],
    *,
    first: int,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> None:
    """Run jobs through the chosen launcher until all have ended.

    Raises:
        InputError: the launcher could not start a job (n_jobs=0, a wrong option of its own).
    """
    target = config.hydra.launcher.get("_target_")
    if target == SLURM_LAUNCHER:
        from ._slurm import SlurmPlace

        def make(index: int, overrides: Sequence[str]) -> Job:
            return Job(
                index=first + index,
                overrides=list(overrides),
                hydra_context=hydra_context,
                task_function=task_function,
                config=config,
            )

        place = SlurmPlace(make, launcher=config.hydra.launcher)
        place.check(wait=True)
        place.run(jobs, lambda: False)
        return
    numbered = list(enumerate(jobs, first))
    with tempfile.TemporaryDirectory(prefix="abx-set-") as folder:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context,
            task_function=_Noting(task_function, folder) if target in _HERE else task_function,
            config=config,
        )

        def refuse_if_none_has_begun(reasons: Sequence[str | None]) -> None:
            if target in _HERE and all(reasons) and not any(Path(folder).iterdir()):
                choice = config.hydra.runtime.choices.get("hydra/launcher", target)
                raise InputError(f"hydra/launcher={choice} could not start a job: {reasons[0]}")

        if target == BASIC_LAUNCHER:
            launcher.launch(jobs, initial_job_idx=first)
        elif target == LOCAL_LAUNCHER:
            # It gives up all jobs where one is killed: each is launched for itself.
            with ThreadPoolExecutor(available()) as pool:
                reasons = list(pool.map(lambda job: _launch_some(launcher, [job]), numbered))
            refuse_if_none_has_begun(reasons)
        elif reason := _launch_some(launcher, numbered):
            refuse_if_none_has_begun([reason])
            is_ended = hook(task_function, "is_ended")
            lost = [job for job in numbered if not is_ended(job[1])]
            log.warning(
                "a job was killed and took others with it: %d are launched again", len(lost)
            )
            for job in lost:
                _launch_some(launcher, [job])


@dataclass(frozen=True)
class _Noting:
    """A task function that leaves a file in a folder of this machine when it is called."""

    task_function: TaskFunction
    folder: str

    def __call__(self, config: DictConfig) -> Any:
        """Note it, and do the task."""
        with contextlib.suppress(OSError):
            os.close(tempfile.mkstemp(dir=self.folder)[0])
        return self.task_function(config)


def _launch_some(launcher: Any, jobs: Sequence[tuple[int, Sequence[str]]]) -> str | None:
    """Launch jobs; return None, or in a line why the launcher did not come to its end."""
    try:
        launcher.launch([overrides for _, overrides in jobs], initial_job_idx=jobs[0][0])
    except Exception as error:  # each launcher has its own for a job that was killed
        line: str = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.debug("%s: %s", type(launcher).__name__, line)
        return line
    return None
