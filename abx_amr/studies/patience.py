"""Waiting out a storage that restarts, is full or overloaded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from abx_amr.host.signals import Interrupts
from abx_amr.studies.storages import StorageError, StorageGoneError, StudyStorage

T = TypeVar("T")

log = logging.getLogger(__name__)

SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.1, 5.0
PATIENCE_SECONDS = 300.0  # with a storage that does not answer: a restart, a full disk


class Patience:
    """Repeats what a storage could not do, until it can or the user interrupts."""

    def __init__(
        self, storage: StudyStorage, interrupts: Interrupts, *, check_study: Callable[[], None]
    ) -> None:
        """Wait for a storage.

        Args:
            storage: It says of an error whether it is trouble that may pass.
            interrupts: An interrupt ends the waiting.
            check_study: Raises where the study itself is gone.
        """
        self._storage = storage
        self._interrupts = interrupts
        self._check_study = check_study

    def get(self, work: Callable[[], T]) -> T:
        """Return what `work` returns.

        Raises:
            StorageError: it does not answer for PATIENCE_SECONDS, or until the user interrupts.
        """
        began: float | None = None
        pause = SHORTEST_WAIT_SECONDS
        while True:
            try:
                return work()
            except Exception as error:
                if isinstance(error, KeyError):  # what a storage says of what it does not hold
                    self._check_study()
                trouble = self._storage.trouble(error)
                if trouble is None or isinstance(error, StorageGoneError):
                    raise
                self._storage.check_is_there()
                if began is None:
                    began = time.monotonic()
                    log.warning("waiting for the study's storage: %s", trouble)
                if (
                    self._interrupts.number is not None
                    or time.monotonic() - began > PATIENCE_SECONDS
                ):
                    raise StorageError(
                        f"{trouble} (nothing is lost: run the same command again to go on)"
                    ) from error
            self.sleep(pause)
            pause = min(pause * 1.5, LONGEST_WAIT_SECONDS)

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is over or the user interrupts."""
        end = time.monotonic() + seconds
        while self._interrupts.number is None and time.monotonic() < end:
            time.sleep(min(0.1, seconds))
