"""How a worker that is gone is known: its process, its machine's silence, or its own trial lost."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Protocol

from abx_amr.studies.records import GRACE_INTERVALS, Heartbeat, Worker


class Claimed(Protocol):
    """What a worker has claimed: a trial, or a training of a final."""

    @property
    def id(self) -> Hashable:
        """What tells it from others in its study."""

    @property
    def owner(self) -> Worker | None:
        """Who works on it."""

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The last sign of life of its worker."""


class DeathWatch:
    """Watches the workers of what is being run, by this process's own clock."""

    def __init__(self, observer: Worker, *, interval: float) -> None:
        """Watch for a worker.

        Args:
            observer: Who watches.
            interval: Seconds between heartbeats of a worker that does not say its own.
        """
        self._observer = observer
        self._interval = interval
        self._seen: dict[Hashable, tuple[Heartbeat | None, float]] = {}

    def reason_to_reap(self, claimed: Claimed) -> str | None:
        """Return why the worker of what runs is taken for dead, None where it may live."""
        owner = claimed.owner
        if owner is None:
            return "its worker died while drawing it"
        if owner.process.has_died:
            return f"its worker ({owner.place}) is gone"
        if owner.token is not None and owner.token == self._observer.token:
            return "the storage was lost while it was claimed"  # claimed, but the answer was lost
        silence = self._silence(claimed)
        grace = GRACE_INTERVALS * (owner.interval or self._interval)
        if silence <= grace:
            return None
        return f"its worker ({owner.place}) has been silent for {silence:.0f} s"

    def _silence(self, claimed: Claimed) -> float:
        """Return for how many seconds the heartbeat has been seen unchanged."""
        now = time.monotonic()
        beat = claimed.heartbeat
        if claimed.id not in self._seen or self._seen[claimed.id][0] != beat:
            self._seen[claimed.id] = (beat, now)
        return now - self._seen[claimed.id][1]
