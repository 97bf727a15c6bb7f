"""The file behind a journal storage: whole lines only, whatever dies or fills up while writing."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from abx_amr.studies.storages.lease import LeaseLock
from abx_amr.studies.storages.member import StorageError

log = logging.getLogger(__name__)

_FIRST_BYTES = b'{"op_code":'


class JournalFile(BaseJournalBackend):
    """Optuna's journal format, one JSON object a line."""

    def __init__(self, path: Path, *, lock: LeaseLock, fence: Callable[[], None]) -> None:
        """Name the file, which is made when missing; a StorageError where it is of another kind.

        Args:
            path: the file.
            lock: what is held while a line is written.
            fence: raises where this thread may not write any more; asked under the lock.
        """
        self.path = path
        self.lock = lock
        self.fence = fence
        self._read_to = (0, 0)  # so many lines, which end at this byte
        with lock.hold():
            _check_is_journal(path)
            with self._writable(os.O_CREAT):
                pass

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the records from this number on; a line that is no JSON is warned of and skipped.

        An unterminated last line is being written, or was left by a death: it does not count.
        """
        number, offset = self._read_to if self._read_to[0] <= log_number_from else (0, 0)
        with self.path.open("rb") as file:
            file.seek(offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            record = _record(line)
            if record is None:
                log.warning("%s: the line that ends at byte %d is damaged", self.path, offset)
                self._read_to = (number, offset)
                continue
            number += 1
            self._read_to = (number, offset)
            if number > log_number_from:
                yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append the records; either all of them are in the file, or an OSError says why not."""
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in logs)
        with self.lock.hold():
            self.fence()
            with self._writable() as descriptor:
                end = os.lseek(descriptor, 0, os.SEEK_END)
                try:
                    rest = memoryview(text.encode())
                    while rest:
                        rest = rest[os.write(descriptor, rest) :]
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, end)
                    raise

    @contextlib.contextmanager
    def _writable(self, made_by: int = 0) -> Iterator[int]:
        """Open the file for appending, behind its last whole line; one that is gone stays gone."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | made_by, 0o666)
        try:
            _cut_torn_line(descriptor, self.path)
            yield descriptor
        finally:
            os.close(descriptor)


def _record(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line, None for a line that holds none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_record = isinstance(found, dict) and isinstance(found.get("op_code"), int)
    return found if is_record else None


def _check_is_journal(path: Path) -> None:
    """Refuse a file of another kind, before anything in it is cut.

    Raises:
        StorageError: its first line is no record of a journal.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return
    if first.startswith(_FIRST_BYTES) or (
        not first.endswith(b"\n") and _FIRST_BYTES.startswith(first[: len(_FIRST_BYTES)])
    ):
        return
    raise StorageError(f"{path} is no journal of Optuna: give another storage.path")


def _cut_torn_line(descriptor: int, path: Path) -> None:
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end == 0 or os.pread(descriptor, 1, end - 1) == b"\n":
        return
    keep, block = end, b""
    while keep > 0 and b"\n" not in block:
        start = max(0, keep - 4096)
        block = os.pread(descriptor, keep - start, start)
        keep = start + block.rfind(b"\n") + 1
    log.warning("%s: its last line was cut short, %d bytes are removed", path, end - keep)
    os.ftruncate(descriptor, keep)
