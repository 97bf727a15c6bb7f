"""What Hydra hands to a sweeper, as both sweepers and their launchers use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from abx_amr.configuration.search_space import sweeps_of
from abx_amr.configuration.written import to_the_letter
from abx_amr.errors import InputError

from ._job import Job

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"

Overrides = Sequence[str]


def never() -> bool:
    """Return that a sweep is not complete before its last job has ended."""
    return False


def always(overrides: Overrides) -> bool:
    """Return that a job has left what it was to leave, however it ended."""
    return True


def in_file(params: Any) -> list[str]:
    """Return the overrides that `hydra.sweeper.params` of a file stands for."""
    plain: Any = OmegaConf.to_container(params) if OmegaConf.is_config(params) else params
    return to_the_letter(sweeps_of(plain or {}))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A command line with -m: what reads it, what its jobs are made of.

    Attributes:
        hydra_context: Hydra's.
        task_function: What a job calls.
        config: The composition without the swept values, of which each job composes its own.
        report: Shows a line to the user.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    report: Callable[[str], None]

    def parse(self, arguments: Sequence[str]) -> list[Override]:
        """Return the overrides of a command line; glob(...) is looked up in its folders."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return parser.parse_overrides(list(arguments))

    def compose(self, overrides: Overrides) -> DictConfig:
        """Return the configuration of a job."""
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def job(self, number: int, overrides: Overrides) -> Job:
        """Return a job that another process can run."""
        return Job(
            index=number,
            overrides=list(overrides),
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=self.config,
        )


@dataclass(frozen=True, kw_only=True)
class LauncherChoice:
    """What a command line says of where its jobs run.

    Attributes:
        composed: A composition with hydra.launcher and hydra.sweep.
        n_at_once: How many jobs at a time this machine is to run.
        is_inline_possible: Whether jobs may run in this process, one after the other.
    """

    composed: DictConfig
    n_at_once: int
    is_inline_possible: bool

    @property
    def target(self) -> str:
        """The class that Hydra would launch with."""
        return str(self.composed.hydra.launcher.get("_target_"))

    @property
    def is_basic(self) -> bool:
        """Whether it is the launcher of a command line that chooses none."""
        return self.target == BASIC_LAUNCHER

    @property
    def name(self) -> str:
        """The choice as the user writes it, e.g. hydra/launcher=joblib."""
        choice = OmegaConf.select(self.composed, "hydra.runtime.choices", default=None) or {}
        return f"hydra/launcher={choice.get('hydra/launcher', self.target)}"

    @property
    def options(self) -> dict[str, Any]:
        """The values below hydra.launcher."""
        plain = OmegaConf.to_container(self.composed.hydra.launcher, resolve=True)
        values = cast("dict[str, Any]", plain)
        return {key: value for key, value in values.items() if key != "_target_"}

    def refuse_leaving(self) -> NoReturn:
        """Refuse to leave jobs alone, which the launcher waits for.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"tuning.wait=false: {self.target.rpartition('.')[-1]} waits for its jobs; choose "
            "hydra/launcher=submitit_slurm, or no launcher with tuning.n_workers=2 or more"
        )
