"""A track that never stops a training: what goes wrong is one warning, then it is silent."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping

from abx_amr.errors import first_line
from abx_amr.tracking.tracker import NoTracker, Status, Track, TrackedSeed, Tracker

log = logging.getLogger(__name__)


class GuardedTrack(Track):
    """Hands on what is finite, until the track behind it fails."""

    def __init__(self, tracker: Tracker, tracked: TrackedSeed) -> None:
        """Open a track of the tracker."""
        self.tracked = tracked
        self._track: Track | None = None
        self._try(lambda: self._open(tracker))

    @property
    def is_followed(self) -> bool:
        """Whether anything is kept of what it is given."""
        return self._track is not None

    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        """Hand on values by their names, after so many transitions."""
        track = self._track
        if track is not None and (kept := _finite(values)):
            self._try(lambda: track.log(kept, transitions=transitions))

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        """Hand on what the whole training is worth, and close; only once."""
        track = self._track
        if track is not None:
            self._try(lambda: track.end(_finite(values), status=status))
        self._track = None

    def _open(self, tracker: Tracker) -> None:
        if not isinstance(tracker, NoTracker):
            self._track = tracker.open(self.tracked)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._track = None
            log.warning(
                "%s is no longer tracked, its training goes on: %s: %s",
                self.tracked.place,
                type(error).__name__,
                first_line(error),
            )
            log.debug("a tracker failed", exc_info=True)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
