"""Files that survive crashes and crowds: atomic writes, folders of one's own, a locked registry."""

import contextlib
import csv
import io
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from abx_amr.errors import InputError

log = logging.getLogger(__name__)

LOCK_TIMEOUT_SECONDS = 120.0


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` so that a reader sees the old file or the new one, never a part.

    The bytes go to a temporary file in the same folder, are flushed to the disk and renamed onto
    `path`.

    Raises:
        InputError: the folder is not there, or was removed meanwhile.
    """
    path = Path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except FileNotFoundError as error:
        raise InputError(
            f"{path.name} cannot be written: {path.parent} is not there (any more); run again"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8, atomically (see `write_bytes`)."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented JSON, atomically; non-finite numbers become null."""
    write_text(path, json.dumps(jsonable(value), indent=2, allow_nan=False) + "\n")


def jsonable(value: Any) -> Any:
    """Return `value` in JSON's own types: mappings, lists, text, finite numbers, true, false, null.

    Infinite and undefined numbers become null, paths and unknown objects text, arrays lists.

    >>> jsonable({"best": float("-inf"), 1: (1, 2.5)})
    {'best': None, '1': [1, 2.5]}
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return str(value)


def claim_folder(parent: Path | str, name: str, *, moment: datetime | None = None) -> Path:
    """Create and return `parent/<name>_<timestamp>`, a folder that nobody else was given.

    A second claim within the same second gets `_2` at the end, a third `_3`. `moment` is now unless
    told, and never before that of an earlier folder of the name: a clock may be set back, and
    those of two machines differ.
    """
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    stamp = f"{(moment or datetime.now()):%Y%m%d_%H%M%S}"
    if moment is None:
        of_the_name = re.compile(re.escape(name) + r"_(\d{8}_\d{6})(_\d+)?")
        found = (of_the_name.fullmatch(entry.name) for entry in os.scandir(parent))
        stamp = max([stamp, *(match[1] for match in found if match is not None)])
    stem = f"{name}_{stamp}"
    attempt = 1
    while True:
        folder = parent / (stem if attempt == 1 else f"{stem}_{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder


class CompletionRegistry:
    """A CSV file with a header and one row per completed run, shared by many processes.

    Every change is made under a lock file beside it and replaces the file atomically.
    """

    def __init__(self, path: Path | str, *, columns: Sequence[str]) -> None:
        """Name the file, which need not exist, and its columns in order."""
        self.path = Path(path)
        self.columns = tuple(columns)

    def rows(self) -> list[dict[str, str]]:
        """Return all rows, oldest first; none where there is no file.

        One that is damaged is put aside, with a warning: what it registered is found incomplete.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
            reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            if reader.fieldnames is not None and tuple(reader.fieldnames) != self.columns:
                raise InputError(
                    f"{self.path} has the columns {list(reader.fieldnames)}, "
                    f"not {list(self.columns)}: move the file away and run again"
                )
            return [{column: row.get(column) or "" for column in self.columns} for row in reader]
        except FileNotFoundError:
            return []
        except (UnicodeDecodeError, csv.Error) as error:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with contextlib.suppress(OSError):
                os.replace(self.path, aside)
            log.warning("%s is damaged (%s): it is now %s", self.path, error, aside.name)
            return []

    def add(self, row: Mapping[str, Any], *, replacing: str | None = None) -> None:
        """Append `row`; rows with the same value in the column `replacing` go first."""
        unknown, missing = set(row) - set(self.columns), set(self.columns) - set(row)
        if unknown or missing:
            raise ValueError(
                f"a row must have the columns {list(self.columns)}: "
                f"missing {sorted(missing)}, unknown {sorted(unknown)}"
            )
        new = {column: "" if row[column] is None else str(row[column]) for column in self.columns}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock():
            kept = self.rows()
            if replacing is not None:
                kept = [old for old in kept if old[replacing] != new[replacing]]
            self._replace([*kept, new])

    def prune(self, is_alive: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
        """Remove and return the rows for which `is_alive` is false, e.g. whose folder is gone."""
        if all(is_alive(row) for row in self.rows()):
            return []
        with self._lock():
            rows = self.rows()
            gone = [row for row in rows if not is_alive(row)]
            self._replace([row for row in rows if row not in gone])
        return gone

    def _lock(self) -> FileLock:
        return FileLock(f"{self.path}.lock", timeout=LOCK_TIMEOUT_SECONDS)

    def _replace(self, rows: Iterable[Mapping[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, fieldnames=self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, text.getvalue())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
