"""The socket that is listened on, the token and the address, and the server on it."""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from abx_amr.app.access import Access
from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError

LOCAL = "127.0.0.1"
_TOKEN = re.compile(r"[\w-]{43}")


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the application is reached.

    Attributes:
        port: On this machine.
        access: Who may ask.
    """

    port: int
    access: Access

    @property
    def url(self) -> str:
        """What is opened, with the token."""
        return f"http://{LOCAL}:{self.port}{self.access.base_path}/?token={self.access.token}"

    @property
    def tunnel(self) -> str:
        """The line that leads here from one's own machine."""
        user = os.environ.get("USER") or os.environ.get("LOGNAME") or "USER"
        return f"ssh -L {self.port}:{LOCAL}:{self.port} {user}@{socket.gethostname()}"


def listen(port: int) -> socket.socket:
    """Return a socket on this machine alone; port 0: a free one.

    Raises:
        InputError: the port is taken, or may not be used.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((LOCAL, port))
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} is in use, by another abx-app perhaps: --port 0 takes a free one"
            ) from None
        raise InputError(f"port {port} cannot be used ({error.strerror}): --port 0") from None
    return made


def listen_as_before(workplace: Workplace) -> socket.socket:
    """Return a socket on the port of last time where it is free, so that open pages go on."""
    file = workplace.own / "port"
    try:
        return listen(int(file.read_text(encoding="ascii")))
    except (OSError, ValueError, OverflowError):  # an InputError is a ValueError
        return listen(0)


def kept_token(workplace: Workplace) -> str:
    """Return the project's token, made where there is none that is its owner's alone."""
    file = workplace.own / "token"
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii") as stream:
            status = os.fstat(stream.fileno())
            is_private = status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
            token = stream.read(100).strip()
            if is_private and stat.S_ISREG(status.st_mode) and _TOKEN.fullmatch(token):
                return token
    except (OSError, UnicodeDecodeError):
        pass
    token = secrets.token_urlsafe(32)
    write_private(file, token)
    return token


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, in a folder of which that is true, too.

    Raises:
        InputError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(file.parent, 0o700)
        temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(f"{text}\n")
        os.replace(temporary, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def serve(workplace: Workplace, address: Address, listening: socket.socket) -> None:
    """Answer until a signal ends it; what was started goes on."""
    import uvicorn

    from abx_amr.app.application import application
    from abx_amr.app.desk import Desk

    desk = Desk(workplace=workplace, base_path=address.access.base_path)
    settings = uvicorn.Config(
        application(desk, address.access),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    uvicorn.Server(settings).run(sockets=[listening])
