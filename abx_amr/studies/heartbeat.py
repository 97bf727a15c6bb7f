"""The signs of life of a trial that is being run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from abx_amr.studies.records import Heartbeat
from abx_amr.studies.records.writing import write_heartbeat

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

log = logging.getLogger(__name__)


@contextmanager
def heartbeats(backend: BaseStorage, trial_id: int, interval: float) -> Iterator[None]:
    """Count upwards in the trial's attributes while the block runs, whatever the database says.

    Others watch it change by their own clock, so no two clocks are compared and any storage will
    do; the time beside the number is for people.

    Args:
        backend: Optuna's storage.
        trial_id: The trial's, there.
        interval: Seconds between two beats.
    """
    is_over = threading.Event()

    def beat_on() -> None:
        count = 0
        while not is_over.wait(interval):
            count += 1
            try:
                write_heartbeat(backend, trial_id, Heartbeat(count=count, moment=datetime.now(UTC)))
            except Exception as error:  # any database's; the next beat may get through
                log.debug("heartbeat %d of trial id %d failed: %s", count, trial_id, error)

    thread = threading.Thread(target=beat_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=interval)
