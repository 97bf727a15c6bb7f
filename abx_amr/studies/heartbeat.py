"""The signs of life of a worker at what it has claimed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from abx_amr.studies.records import Heartbeat
from abx_amr.studies.records.writing import write_heartbeat

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

log = logging.getLogger(__name__)


def heartbeats(
    backend: BaseStorage, trial_id: int, interval: float
) -> AbstractContextManager[None]:
    """Count upwards in a trial's attributes while a block runs, whatever the database says.

    Args:
        backend: Optuna's storage.
        trial_id: The trial's, there.
        interval: Seconds between two beats.
    """
    return beating(lambda beat: write_heartbeat(backend, trial_id, beat), interval)


@contextmanager
def beating(write: Callable[[Heartbeat], None], interval: float) -> Iterator[None]:
    """Count upwards while the block runs; a beat that cannot be written is left out.

    Others watch it change by their own clock, so no two clocks are compared and any storage will
    do; the time beside the number is for people.

    Args:
        write: Writes a beat.
        interval: Seconds between two beats.
    """
    is_over = threading.Event()

    def beat_on() -> None:
        count = 0
        while not is_over.wait(interval):
            count += 1
            try:
                write(Heartbeat(count=count, moment=datetime.now(UTC)))
            except Exception as error:  # any database's; the next beat may get through
                log.debug("heartbeat %d failed: %s", count, error)

    thread = threading.Thread(target=beat_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(timeout=interval)
