"""What this account has written itself, told from what others sent: signed with a key of its own.

~/.local/state/abx-amr/key    32 random bytes, for this account alone (or below XDG_STATE_HOME)

A digest that lies in a folder beside what it is of proves nothing: who sends the one sends the
other. The key is in no run folder and in no storage.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

_BYTES = 32


def key_file() -> Path:
    """Return where this account's key lies."""
    home = os.environ.get("XDG_STATE_HOME")
    state = Path(home) if home else Path.home() / ".local" / "state"
    return state / "abx-amr" / "key"


def signature(content: bytes) -> bytes | None:
    """Return this account's signature of some bytes, None where it can keep no key."""
    key = _key(makes_one=True)
    return None if key is None else _signed(key, content)


def is_signed(content: bytes, by: bytes) -> bool:
    """Return whether `by` is this account's signature of some bytes."""
    key = _key(makes_one=False)
    return key is not None and hmac.compare_digest(_signed(key, content), by)


def _signed(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode("ascii")


def _key(*, makes_one: bool) -> bytes | None:
    """Return the account's key; one that others may read or write, or is cut off, is none."""
    try:
        file = key_file()
        if makes_one and not file.exists():
            _make(file)
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            key = stream.read(_BYTES + 1)
    except (OSError, RuntimeError):  # RuntimeError: the account has no home
        return None
    is_private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return key if is_private and len(key) == _BYTES else None


def _make(file: Path) -> None:
    """Write a new key; of several processes that do so at once, one wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".key.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)  # unlike a renaming it never takes another one's place
    finally:
        draft.unlink()
