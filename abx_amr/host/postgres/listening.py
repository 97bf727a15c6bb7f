"""Which addresses the server listens on, and which clients it lets in."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from abx_amr.errors import InputError

LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::", "*")
# pg_hba's word for every address in a network that this machine is directly connected to.
SAME_NETWORK = "samenet"


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Addresses to listen on beside loopback, the clients allowed, and the name to give them."""

    address: str | None = None
    allowed: str | None = None
    host: str = LOOPBACK

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the server binds to: loopback always, so that this machine is served too."""
        if self.address is None:
            return (LOOPBACK,)
        if self.address in ANY:
            return (self.address,)
        return (LOOPBACK, self.address)

    @property
    def warning(self) -> str | None:
        """What a user who opens the server to a network should know, None for loopback."""
        if self.address is None:
            return None
        who = "networks of this machine" if self.allowed == SAME_NETWORK else self.allowed
        return (
            f"the server is open to {who}, with a password (scram-sha-256) but without TLS (the "
            "pip-installed server has none): the network can read what is stored, not the password"
        )

    @classmethod
    def parse(cls, text: str | None) -> Listening:
        """Return what `--listen ADDRESS[/RANGE]` means.

        RANGE is a number of bits (the address's own network) or a network; without it the
        machine's own networks are let in.

        >>> Listening.parse("10.1.2.3/16").allowed
        '10.1.0.0/16'
        >>> Listening.parse("10.1.2.3/10.0.0.0/8").allowed
        '10.0.0.0/8'
        >>> Listening.parse("10.1.2.3").allowed
        'samenet'

        Raises:
            InputError: the address or the range is none.
        """
        if text is None:
            return cls()
        name, slash, given = text.partition("/")
        if not name:
            raise InputError(f"--listen {text}: write ADDRESS[/RANGE], such as 10.1.2.3/16")
        address = _address(name)
        if name in ANY:
            if slash and "/" not in given:
                raise InputError(
                    f"--listen {text}: name the network that is let in, such as {name}/10.0.0.0/8"
                )
            host = socket.gethostname()
        else:
            host = name
        if address not in ANY and ipaddress.ip_address(address).is_loopback:
            raise InputError(
                f"--listen {text}: {name} is this machine's loopback ({address}), which others "
                "cannot reach: give the address of a network interface (hostname -I shows them)"
            )
        if not slash:
            return cls(address=address, allowed=SAME_NETWORK, host=host)
        try:
            written = given if "/" in given else f"{address}/{given}"
            network = ipaddress.ip_network(written, strict=False)
        except ValueError:
            raise InputError(
                f"--listen {text}: '{given}' is no range: write bits (16) or a network (10.0.0.0/8)"
            ) from None
        return cls(address=address, allowed=str(network), host=host)

    def rules(self) -> list[str]:
        """Return the lines of pg_hba.conf for clients over TCP: passwords always, scram-sha-256."""
        ranges = ["127.0.0.1/32", "::1/128", *([self.allowed] if self.allowed else [])]
        return [f"host all all {each} scram-sha-256" for each in ranges]


def is_free(addresses: tuple[str, ...], port: int) -> bool:
    """Say whether a server could listen on the port at each of these addresses.

    Raises:
        InputError: an address is not one of this machine.
    """
    for address in addresses:
        try:
            with _socket_for(address) as listener:
                listener.bind((_bindable(address), port))
        except OSError as error:
            if "assign" in str(error.strerror):
                raise InputError(f"--listen: {address} is no address of this machine") from None
            if isinstance(error, PermissionError):
                raise InputError(
                    f"port {port} is reserved for root: choose one above 1023"
                ) from None
            return False
    return True


def free_port(addresses: tuple[str, ...]) -> int:
    """Return a port that is free at each of these addresses just now."""
    while True:
        with _socket_for(addresses[0]) as listener:
            listener.bind((_bindable(addresses[0]), 0))
            port = int(listener.getsockname()[1])
        if is_free(addresses, port):
            return port


def _socket_for(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
    return made


def _bindable(address: str) -> str:
    return "0.0.0.0" if address == "*" else address


def _address(name: str) -> str:
    """Return a name's first address; an address is its own."""
    if name in ANY:
        return name
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise InputError(f"--listen: '{name}' is neither an address nor a known host") from None
