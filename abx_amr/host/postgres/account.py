"""Who the server runs as: the caller, or for root another user, since PostgreSQL refuses root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError

FOR_ROOT = ("postgres", "nobody")
# Settings of other servers and secrets: neither belongs into the server's environment.
LEFT_OUT = ("PG", "DB_NAME", "ABX_")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of this machine and what it may do."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def is_caller(self) -> bool:
        """Whether it is the user of this process."""
        return self.uid == os.geteuid()

    def is_kept_out_of(self, path: Path) -> Path | None:
        """Return the first folder on the way to `path` (or `path`) that is closed to it, or None.

        >>> caller().is_kept_out_of(Path("/usr/bin")) is None
        True
        """
        if self.uid == 0:
            return None
        real = Path(os.path.realpath(path))
        for step in [*reversed(real.parents), real]:
            try:
                status = step.stat()
            except FileNotFoundError:
                return None
            except PermissionError:
                return step.parent
            if status.st_uid == self.uid:
                allowed = status.st_mode & 0o100
            elif status.st_gid in self.groups:
                allowed = status.st_mode & 0o010
            else:
                allowed = status.st_mode & 0o001
            if not allowed:
                return step
        return None

    def own(self, folder: Path) -> None:
        """Make a folder, or take one, that this user alone may enter (and root)."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if not self.is_caller:
            os.chown(folder, self.uid, self.gid)

    def run(self, command: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, in / and with no settings or secrets of the caller.

        Raises:
            InputError: it cannot be started, or takes longer than `timeout` seconds.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith(LEFT_OUT)}
        environment |= {"LC_ALL": "C", "LANGUAGE": "C"}
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                cwd="/",
                env=environment,
                check=False,
                user=None if self.is_caller else self.uid,
                group=None if self.is_caller else self.gid,
                extra_groups=None if self.is_caller else self.groups,
            )
        except OSError as error:
            raise InputError(f"{command[0]} does not start: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            raise InputError(f"{command[0]} has not ended after {timeout:.0f} s") from None


def caller() -> Account:
    """Return the user of this process, who may have no name."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name=name, uid=uid, gid=os.getegid(), groups=(os.getegid(), *os.getgroups()))


def server_account(told: str | None = None) -> Account:
    """Return who runs the server: the caller; for root `told`, else postgres, else nobody.

    Raises:
        InputError: the user is not in the passwd file, or may not be chosen.
    """
    uid = os.geteuid()
    if uid == 0:
        if told == "root":
            raise InputError("account must not be root: PostgreSQL refuses to run as root")
        for name in (told,) if told else FOR_ROOT:
            try:
                return _account(pwd.getpwnam(name))
            except KeyError:
                continue
        raise InputError(
            f"there is no user {told or ' or '.join(FOR_ROOT)} to run the server, which must not "
            "be root: add one (useradd --system postgres) or choose one with account=NAME"
        )
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise InputError(
            f"user number {uid} has no entry in /etc/passwd, without which PostgreSQL does not "
            "start: add one (in a container, --user with a known name), or use storage=journal"
        ) from None
    if told not in (None, entry.pw_name):
        raise InputError(f"account={told}: only root can run the server as another user")
    return _account(entry)


def _account(entry: pwd.struct_passwd) -> Account:
    if entry.pw_uid == 0:
        raise InputError(f"account={entry.pw_name} is root: PostgreSQL refuses to run as root")
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(
        name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, groups=tuple(sorted(set(groups)))
    )
