"""Who runs a trial: host, boot, process and its start, by which a dead one is known."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ProcessIdentity:
    """What tells a process from all others until its machine boots again.

    Process numbers mean nothing outside a machine and a container. What is not known is None.
    """

    host: str | None = None
    boot: str | None = None
    container: str | None = None
    pid: int | None = None
    started: str | None = None  #: clock ticks since boot

    @classmethod
    def of_this_process(cls) -> ProcessIdentity:
        """Return the identity of the process that asks."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot=_boot(),
            container=_container(),
            pid=pid,
            started=_start_of(pid),
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ProcessIdentity:
        """Return the identity that `as_record` has written, beside whatever else."""
        text = partial(_text, record)
        pid = record.get("pid")
        return cls(
            host=text("host"),
            boot=text("boot"),
            container=text("container"),
            pid=None if pid is None else int(pid),
            started=text("started"),
        )

    def as_record(self) -> dict[str, Any]:
        """Return plain values for a file or a database."""
        return asdict(self)

    @property
    def is_here(self) -> bool:
        """Whether the process belongs, or belonged, to this machine and container."""
        return (self.host, self.boot, self.container) == (
            socket.gethostname(),
            _boot(),
            _container(),
        )

    @property
    def is_alive(self) -> bool:
        """Whether it is a running process of this machine; False for other machines."""
        return self.pid is not None and self.is_here and _is_running(self.pid, self.started)

    @property
    def has_died(self) -> bool:
        """Whether it is a process of this machine that is gone; False for other machines."""
        return self.pid is not None and self.is_here and not _is_running(self.pid, self.started)


def _text(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    return None if value is None else str(value)


@functools.cache
def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


@functools.cache
def _container() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """Return when the process started, in clock ticks since boot, None where that is not known."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _is_running(pid: int, started: str | None) -> bool:
    if not _has_proc():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":  # a zombie runs nothing
        return False
    return started is None or fields[19] == started


@functools.cache
def _has_proc() -> bool:
    return Path("/proc/self/stat").exists()


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the command, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    return text.rsplit(")", 1)[-1].split()
