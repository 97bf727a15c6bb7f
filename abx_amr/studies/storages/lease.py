"""A lock file that holds between machines and outlives no one: it is leased, and renewed at work.

flock may be local to a node; making a hard link is atomic on every file system, NFS included. The
file says who holds it. Whoever finds a holder of its own machine dead breaks the lock at once; a
holder elsewhere loses it when the file has not changed for a lease, by the finder's own clock.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abx_amr.host.processes import ProcessIdentity
from abx_amr.studies.storages.member import StorageError

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
LOCK_TIMEOUT_SECONDS = 600.0
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.001, 0.1


@dataclass(frozen=True)
class Lease:
    """A lock that was taken."""

    path: Path
    token: str

    def is_mine(self) -> bool:
        """Say whether it is still held; False after somebody has broken it."""
        holder = _holder(self.path)
        return holder is not None and holder.get("token") == self.token


@dataclass(frozen=True)
class LeaseLock:
    """Mutual exclusion by a file; each `hold` takes it anew, a thread never twice at once.

    Args:
        path: the lock file.
        lease: how long a holder that shows no life keeps it, in seconds.
        breaker: what is held while the lock is broken, so that only one does it.
        is_renewed: whether a holder shows life: for work that may take longer than a lease.
    """

    path: Path
    lease: float = LEASE_SECONDS
    breaker: LeaseLock | None = None
    is_renewed: bool = False

    @contextlib.contextmanager
    def hold(self) -> Iterator[Lease]:
        """Wait for the lock, hold it, give it back.

        Raises:
            StorageError: the file cannot be made, or others hold it for ten minutes.
        """
        lease = Lease(self.path, uuid.uuid4().hex)
        content = json.dumps(
            {**ProcessIdentity.of_this_process().as_record(), "token": lease.token}
        ).encode()
        offer = self.path.with_name(f".{self.path.name}.{lease.token}")
        try:
            offer.write_bytes(content)
            try:
                self._wait_for(offer)
            finally:
                offer.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from error
        is_over = threading.Event()
        if self.is_renewed:
            threading.Thread(target=self._renew, args=(lease, is_over), daemon=True).start()
        try:
            yield lease
        finally:
            is_over.set()
            if lease.is_mine():
                self.path.unlink(missing_ok=True)

    def _wait_for(self, offer: Path) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        wait = SHORTEST_WAIT_SECONDS
        known: tuple[int, int] | None = None
        since = time.monotonic()
        while True:
            try:
                os.link(offer, self.path)
            except FileExistsError:
                if _links(offer) == 2:  # an answer that a network disk has lost: it was ours
                    return
            else:
                return
            mark, now = _mark(self.path), time.monotonic()
            if mark != known:
                known, since = mark, now
            if mark is not None and (_holder_has_died(self.path) or now - since > self.lease):
                self._break(mark)
                continue
            if now > deadline:
                raise StorageError(
                    f"{self.path}: others have held this lock for {LOCK_TIMEOUT_SECONDS:.0f} s"
                )
            time.sleep(wait)
            wait = min(wait * 1.5, LONGEST_WAIT_SECONDS)

    def _break(self, mark: tuple[int, int]) -> None:
        """Remove the lock file, unless another has done it meanwhile."""
        with self.breaker.hold() if self.breaker is not None else contextlib.nullcontext():
            if _mark(self.path) == mark:
                log.info("%s: its holder shows no life, the lock is broken", self.path)
                self.path.unlink(missing_ok=True)
                for offer in self.path.parent.glob(f".{self.path.name}.*"):
                    if _holder_has_died(offer):
                        offer.unlink(missing_ok=True)

    def _renew(self, lease: Lease, is_over: threading.Event) -> None:
        while not is_over.wait(self.lease / 4):
            with contextlib.suppress(OSError):
                if lease.is_mine():
                    os.utime(self.path)


def _links(path: Path) -> int:
    try:
        return path.stat().st_nlink
    except FileNotFoundError:
        return 0


def _mark(path: Path) -> tuple[int, int] | None:
    """Return what changes when the lock changes hands or is renewed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _holder_has_died(path: Path) -> bool:
    holder = _holder(path)
    return holder is not None and ProcessIdentity.from_record(holder).has_died


def _holder(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
