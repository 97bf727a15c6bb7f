"""Who writes a run folder: said in it while that lasts, asked before another goes on from it.

<run folder>/.written_by.json    process, machine and a count that goes up; gone at the run's end
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json
from abx_amr.host.plain_files import read_json
from abx_amr.runs.folder import RunFolder
from abx_amr.studies.heartbeat import beating
from abx_amr.studies.records import GRACE_INTERVALS, Heartbeat, Worker

log = logging.getLogger(__name__)

INTERVAL = 10.0  #: seconds between two signs of life
_LOOK_EVERY = 0.5  #: seconds


@contextmanager
def written_here(folders: Sequence[RunFolder], *, interval: float = INTERVAL) -> Iterator[None]:
    """Say in run folders, while the block runs, that this process writes them."""
    worker = Worker.here(interval=interval, index=None)
    files = [_file(folder) for folder in folders]

    def write(beat: Heartbeat | None = None) -> None:
        for file in files:
            if file.parent.is_dir():
                write_json(file, {**worker.as_record(), "beats": beat.count if beat else 0})

    write()
    try:
        with beating(write, interval):
            yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def check_nobody_writes(folder: RunFolder) -> None:
    """Return once it is known that nobody writes a run folder any more.

    A process of this machine is looked up; one of another machine counts as gone after a silence of
    three beats, watched by this machine's clock.

    Raises:
        InputError: somebody does.
    """
    found = _read(folder)
    if found is None or found[0].process.has_died:
        return
    worker, beats = found
    if not worker.process.is_alive:  # of another machine, or before this one was started
        wait = GRACE_INTERVALS * (worker.interval or INTERVAL)
        log.info(
            "%s: watching for %.0f s whether %s still writes it", folder.path, wait, worker.place
        )
        if _is_silent(folder, worker, beats, wait):
            log.warning("%s was being written by %s, which is silent", folder.path, worker.place)
            return
    raise InputError(
        f"{folder.path} is being written by {worker.place}: wait for its end, or stop it, then run "
        "the same command again"
    )


def _is_silent(folder: RunFolder, worker: Worker, beats: object, seconds: float) -> bool:
    """Return whether a writer gives no sign of life for so long, or has come to its end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(_LOOK_EVERY, seconds))
        found = _read(folder)
        if found is None:
            return True
        if found != (worker, beats):
            return False
    return True


def _read(folder: RunFolder) -> tuple[Worker, object] | None:
    """Return who says that it writes a folder and its beats, None where nobody does."""
    try:
        record = read_json(_file(folder))
        return Worker.from_record(record), record.get("beats")
    except (InputError, ValueError, TypeError):  # not there, or damaged
        return None


def _file(folder: RunFolder) -> Path:
    return folder.path / ".written_by.json"
