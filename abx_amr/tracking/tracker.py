"""What a tracker is: it opens a track for each seed that is trained, and takes its numbers.

A member is one file here with a `Tracker`, and one in conf/tracker/ whose `_target_` names it. It
may raise whatever its library raises: `tracking.guarded` keeps that from the training.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from abx_amr.errors import InputError

Setting = str | bool | int | float
Status = Literal["finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrackedSeed:
    """Whose numbers a track holds.

    Attributes:
        study: The study, or what the runs of a command are called.
        trial: The trial (or the final's point) of a study; None: a run of its own.
        name: What the track is called.
        seed: The training seed.
        settings: Configuration path -> value.
    """

    study: str
    trial: str | None
    name: str
    seed: int
    settings: Mapping[str, Setting] = field(repr=False)

    @property
    def place(self) -> str:
        """A folder of its own below a tracker's: study/trial/name."""
        return "/".join(part for part in (self.study, self.trial, self.name) if part)

    @property
    def tags(self) -> dict[str, str]:
        """What it is grouped by."""
        trial = {} if self.trial is None else {"trial": self.trial}
        return {"study": self.study, **trial, "seed": str(self.seed)}


class Track(ABC):
    """The numbers of one seed's training."""

    @abstractmethod
    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        """Take values by their names, after so many transitions."""

    @abstractmethod
    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        """Take what the whole training is worth, and close."""


class Tracker(ABC):
    """Opens tracks."""

    @abstractmethod
    def open(self, tracked: TrackedSeed) -> Track:
        """Return a new track, with the settings of its training written."""


@dataclass(frozen=True)
class NoTracker(Tracker):
    """Follows nothing."""

    def open(self, tracked: TrackedSeed) -> Track:
        """Return a track that takes everything and keeps nothing."""
        return _NoTrack()


class _NoTrack(Track):
    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        pass

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        pass


def require(module: str, *, member: str) -> None:
    """Refuse a member whose library is not installed.

    Raises:
        InputError: with what installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"tracker={member} needs {module}, which is not installed: "
            f"pip install 'abx-amr[{member}]', or choose tracker=csv"
        )
