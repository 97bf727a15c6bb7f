"""abx-app: build clinics, start, watch, look and compare in a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abx_amr.cli.door import enter_without_hydra
from abx_amr.errors import InputError, did_you_mean

HELP = """
abx-app: build clinics, start, watch, look and compare in a browser, on this machine alone.

  abx-app                                in a project: prints the address to open
  abx-app my_project --port 8123
  abx-app --base-path /user/ada/proxy/8123 --allowed-host hub.example.org --port 8123

  --port P           the port of 127.0.0.1; else that of last time, or a free one
  --base-path PATH   what a proxy (JupyterHub, Open OnDemand) puts before every path
  --allowed-host H   a name by which that proxy calls it, beside localhost; several times

DIR is a project or a folder below it (default: the working folder); abx-init makes one. On a login
node, run the printed ssh -L line on your own machine, then open the address there. Ctrl-C ends the
application; what it has started goes on, and is found again. Needs: pip install 'abx-amr[app]'.
"""
FLAGS = ("--port", "--base-path", "--allowed-host")
_GOES_ON = "what was started goes on; the same command opens it again"


def main(arguments: Sequence[str] | None = None) -> None:
    """Enter through the command line."""
    enter_without_hydra(
        "abx-app", HELP, _run, arguments, is_bare_help=False, after_interrupt=_GOES_ON
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command line that was understood; port None: that of last time."""

    folder: Path
    port: int | None
    base_path: str
    hosts: frozenset[str]


def read(arguments: Sequence[str]) -> Asked:
    """Return what the arguments ask for.

    Raises:
        InputError: an unknown flag, one without its value, or a value that is none.
    """
    folders: list[str] = []
    given: dict[str, list[str]] = {flag: [] for flag in FLAGS}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            folders.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        if flag not in given:
            raise InputError(
                f"flag '{flag}' does not exist{did_you_mean(flag, FLAGS)} "
                f"(it takes: {', '.join(FLAGS)})"
            )
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        if not value:
            raise InputError(f"{flag} needs a value: see abx-app --help")
        given[flag].append(value)
    if len(folders) > 1:
        raise InputError(f"one folder at a time, got {' and '.join(folders)}")
    return Asked(
        folder=Path(folders[0] if folders else "."),
        port=_port(given["--port"][-1]) if given["--port"] else None,
        base_path=_base_path(given["--base-path"][-1]) if given["--base-path"] else "",
        hosts=frozenset(_host(name) for name in given["--allowed-host"]),
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise InputError(f"--port must be a whole number from 0 (a free one) to 65535, got {text}")
    return int(text)


def _base_path(text: str) -> str:
    path = text.rstrip("/")
    if path and not re.fullmatch(r"(/[\w.~-]+)+", path):
        raise InputError(f"--base-path must be like /user/ada/proxy/8123, got {text!r}")
    return path


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", text):
        raise InputError(f"--allowed-host must be a name such as hub.example.org, got {text!r}")
    return text.lower()


def _run(arguments: list[str]) -> None:
    asked = read(arguments)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise InputError("abx-app needs two more packages: pip install 'abx-amr[app]'") from None
    from abx_amr.app import serving
    from abx_amr.app.access import Access
    from abx_amr.app.workplace import Workplace

    workplace = Workplace.at(asked.folder)
    os.chdir(workplace.root)
    token = serving.kept_token(workplace)
    before = asked.port is None
    listening = serving.listen_as_before(workplace) if before else serving.listen(asked.port or 0)
    port = int(listening.getsockname()[1])
    access = Access(token=token, base_path=asked.base_path, hosts=asked.hosts)
    address = serving.Address(port=port, access=access)
    serving.write_private(workplace.own / "port", str(port))
    serving.write_private(workplace.own / "address", address.url)
    print(f"project: {workplace.root}")
    print(f"open:    {address.url}")
    print(f"remote:  {address.tunnel}   (run it on your own machine first)")
    print("end:     Ctrl-C; what was started goes on", flush=True)
    serving.serve(workplace, address, listening)


if __name__ == "__main__":
    main()
