"""Who runs a trial: host, boot, process and its start, by which a dead one is known."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def this_owner() -> dict[str, Any]:
    """Return what identifies this process on this machine until the machine boots again."""
    pid = os.getpid()
    return {**_machine(), "pid": pid, "started": _start_of(pid)}


def has_died(owner: Mapping[str, Any]) -> bool:
    """Say whether the owner is a process of this machine that is gone, False for other machines."""
    if any(owner.get(key) != value for key, value in _machine().items()):
        return False
    return not _is_running(int(owner["pid"]), owner.get("started"))


def live_owner(owner: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the owner where it is a running process of this machine, else None."""
    if owner is None or any(owner.get(key) != value for key, value in _machine().items()):
        return None
    return owner if _is_running(int(owner["pid"]), owner.get("started")) else None


def _machine() -> dict[str, Any]:
    """Identify machine and container: process numbers mean nothing outside either."""
    return {"host": socket.gethostname(), "boot": _boot(), "container": _container()}


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


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
    if not Path("/proc/self/stat").exists():
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


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the command, which may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rsplit(")", 1)[-1].split()
