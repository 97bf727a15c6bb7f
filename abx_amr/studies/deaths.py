"""How a worker that is gone is known: its process, its machine's silence, or its own trial lost."""

from __future__ import annotations

import time

from abx_amr.studies.records import GRACE_INTERVALS, Heartbeat, TrialRecord, Worker


class DeathWatch:
    """Watches the workers of running trials, by this process's own clock."""

    def __init__(self, observer: Worker, *, interval: float) -> None:
        """Watch for a worker.

        Args:
            observer: Who watches.
            interval: Seconds between heartbeats of a worker that does not say its own.
        """
        self._observer = observer
        self._interval = interval
        self._seen: dict[int, tuple[Heartbeat | None, float]] = {}

    def reason_to_reap(self, trial: TrialRecord) -> str | None:
        """Return why a running trial's worker is taken for dead, None where it may live."""
        owner = trial.owner
        if owner is None:
            return "its worker died while drawing it"
        if owner.process.has_died:
            return f"its worker ({owner.place}) is gone"
        if owner.token is not None and owner.token == self._observer.token:
            return "the storage was lost while it was claimed"  # claimed, but the answer was lost
        silence = self._silence(trial)
        grace = GRACE_INTERVALS * (owner.interval or self._interval)
        if silence <= grace:
            return None
        return f"its worker ({owner.place}) has been silent for {silence:.0f} s"

    def _silence(self, trial: TrialRecord) -> float:
        """Return for how many seconds the trial's heartbeat has been seen unchanged."""
        now = time.monotonic()
        beat = trial.heartbeat
        if trial.id not in self._seen or self._seen[trial.id][0] != beat:
            self._seen[trial.id] = (beat, now)
        return now - self._seen[trial.id][1]
