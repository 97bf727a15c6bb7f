"""Where the jobs of a sweep run: one file a launcher, found by the hydra/launcher it fits.

A launcher runs jobs and comes back when they have ended. Nothing is believed of a job but what it
wrote, so that one that is killed costs only itself.

To add one: a file here with a class of this Protocol's methods that `fits` what conf/ (or another
package) offers as hydra/launcher=NAME. Its name begins with an underscore: Hydra loads every other
module of a plugin with every command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from .._outcome import Outcome
from .._sweep import LauncherChoice, Overrides, Sweep, always, never


class Launcher(Protocol):
    """What every launcher offers."""

    def __init__(self, sweep: Sweep, choice: LauncherChoice) -> None:
        """Take what the jobs are made of; start nothing."""

    @classmethod
    def fits(cls, choice: LauncherChoice) -> bool:
        """Return whether the command line means this launcher."""

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the jobs share the processors of this machine."""

    def check(self, *, wait: bool) -> None:
        """Raise an InputError where jobs cannot be run here, or not be left alone (not `wait`)."""

    def run(
        self,
        jobs: Mapping[int, Overrides],
        *,
        is_complete: Callable[[], bool] = never,
        is_ended: Callable[[Overrides], bool] = always,
    ) -> list[Outcome]:
        """Run jobs until all have ended; return how, in their order.

        Args:
            jobs: Number in the sweep -> overrides.
            is_complete: Whether jobs that have not begun need not begin.
            is_ended: Whether a job has left what it was to leave; one that has not, and was lost
                with another job, is run again.

        Raises:
            InputError: The launcher could start none.
            CommandInterruptError: A signal came, which the jobs were told; they have ended.
        """

    def submit(self, jobs: Mapping[int, Overrides]) -> list[str]:
        """Start jobs and do not wait for them; return lines on how to watch and to stop them."""


def launcher_for(sweep: Sweep, choice: LauncherChoice) -> Launcher:
    """Return the launcher that a command line means; most of Hydra's need no file of their own."""
    from ._behind_hydra import BehindHydra

    fitting = (member for member in members() if member.fits(choice))
    return next(fitting, BehindHydra)(sweep, choice)


def members() -> Iterator[type[Launcher]]:
    """Give every launcher that stands in this folder."""
    for module in iter_modules(__path__, f"{__name__}."):
        for member in vars(import_module(module.name)).values():
            if getattr(member, "__module__", None) == module.name and hasattr(member, "fits"):
                yield member
