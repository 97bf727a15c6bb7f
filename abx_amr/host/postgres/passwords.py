"""Passwords in a file of libpq's .pgpass form, readable by its owner alone."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from pathlib import Path

from filelock import FileLock

LOCK_TIMEOUT_SECONDS = 60.0
PASSWORD_BYTES = 24


def new_password() -> str:
    """Return a password that nobody has to remember, without characters that need escaping."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def password_in(file: Path, *, port: int | None, user: str) -> str | None:
    """Return the password of our own entry for this user (any port: None), None without one."""
    for line in _lines(file):
        fields = _fields(line)
        if len(fields) == 5 and fields[3] == user and port in (None, _number(fields[1])):
            return fields[4]
    return None


def write_entry(file: Path, *, port: int, user: str, password: str, replacing: int | None) -> None:
    """Put `*:port:*:user:password` first into the file, mode 0600; other lines stay.

    The entry of the port `replacing`, which the server had before, goes.
    """
    ports = {port, replacing}
    entry = ":".join(map(_escaped, ("*", str(port), "*", user, password)))
    with FileLock(f"{file}.lock", timeout=LOCK_TIMEOUT_SECONDS):
        kept = []
        for line in _lines(file):
            fields = _fields(line)
            is_ours = len(fields) == 5 and (fields[0], fields[2], fields[3]) == ("*", "*", user)
            if not (is_ours and _number(fields[1]) in ports):
                kept.append(line)
        _write_private(file, "\n".join([entry, *kept]) + "\n")


def _write_private(file: Path, text: str) -> None:
    """Write atomically a file that is private from its first byte on."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)  # mkstemp made it 0600
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _fields(line: str) -> list[str]:
    if line.startswith("#"):
        return []
    parts = re.findall(r"((?:\\.|[^:\\])*)(?::|$)", line)[:5]
    return [re.sub(r"\\(.)", r"\1", part) for part in parts]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
