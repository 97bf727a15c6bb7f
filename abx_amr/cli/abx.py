"""abx: lists the commands; `abx NAME ...` runs abx-NAME, `abx doctor` checks the installation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from abx_amr.cli.door import run_command
from abx_amr.errors import InputError, unknown

HEAD = """
abx: antibiotic prescribers that learn in a simulated clinic. The first three commands:

  abx train experiment=paper_two run_name=first           train PPO in a published clinic
  abx evaluate run=first against=greedy                   compare it with a rule
  abx tune -m +tuning=ppo_default run_name=first_study    search for its hyper-parameters

Commands (`abx train ...` is `abx-train ...`; each has --help):
"""

#: What belongs to `abx` alone, and its line in the list.
OWN = {
    "doctor": "check the installation, and print what belongs in a bug report",
    "completion": "print the shell's completion: abx completion bash (zsh, fish)",
}


def commands() -> Mapping[str, EntryPoint]:
    """Return train, tune, ... -> the console script that was installed as abx-train, abx-tune."""
    found = {
        script.name.removeprefix("abx-"): script
        for script in entry_points(group="console_scripts")
        if script.name.startswith("abx-") and script.value.startswith("abx_amr.")
    }
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


#: The order in which a newcomer meets them; others follow by name.
_ORDER = ("init", "train", "evaluate", "tune", "study", "gather", "plan", "postgres")


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


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
