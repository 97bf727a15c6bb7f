"""abx: lists the commands; `abx NAME ...` runs abx-NAME, `abx doctor` checks the installation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint

from abx_amr.cli.commands import OWN, commands
from abx_amr.cli.door import run_command
from abx_amr.errors import InputError, unknown

HEAD = f"""
abx: antibiotic prescribers that learn in a simulated clinic. The first three commands:

  abx train experiment=paper_two run_name=first           train PPO in a published clinic
  abx evaluate run=first against=greedy                   compare it with a rule
  abx tune -m +tuning=ppo_default run_name=first_study    search for its hyper-parameters

Commands (`abx train ...` is `abx-train ...`, except {", ".join(OWN)}; each has --help):
"""


def overview() -> str:
    """Return the list of commands, one line each."""
    lines = {name: _purpose(script) for name, script in commands().items()} | OWN
    width = max(map(len, lines)) + 2
    return HEAD.strip() + "\n" + "\n".join(f"  {n:<{width}}{text}" for n, text in lines.items())


def _purpose(script: EntryPoint) -> str:
    """Return the first line of the command's module, without its name."""
    line = (import_module(script.module).__doc__ or "").strip().splitlines()[0]
    return line.partition(": ")[2].rstrip(".") or line


def run(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit status.

    Raises:
        InputError: there is no such command.
    """
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        if len(arguments) > 1 and arguments[1] in commands():
            return run([arguments[1], "--help"])
        print(overview())
        return 0
    name, *rest = arguments
    name = name.removeprefix("abx-")
    if name in ("--version", "-V", "version"):
        from importlib.metadata import version

        print(f"abx-amr {version('abx-amr')}")
        return 0
    if name == "doctor":
        from abx_amr.cli.doctor import main as examine

        return examine(rest)
    if name == "compile":
        from abx_amr.cli.compile import main as compile_now

        return compile_now(rest)
    if name == "completion":
        from abx_amr.cli.completion import main as complete

        return complete(rest)
    known = commands()
    if name not in known:
        raise InputError(unknown("command", name, [*known, *OWN]))
    command: Callable[[], None] = known[name].load()
    sys.argv = [f"abx-{name}", *rest]
    command()
    return 0


def main() -> None:
    """Enter through the command line."""
    status = run_command("abx", run, sys.argv[1:])
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    main()
