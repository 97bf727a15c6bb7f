"""Commands and Python itself, quick to start: forked from a process that has imported everything.

`python warm.py SOCKET` serves; a `shim` is a program on the PATH that asks it to run a command with
the folder, environment and standard streams of the asker. A signal to the program reaches the
command, and a program that is killed takes its command with it. The commands are those of a page
of docs/, in small sizes and with blank figures; `warm-python` is Python with -c or -m.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
PYTHON = "warm-python"
#: Name of each command -> module:function.
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]["scripts"] | {"python-block": "tests.warm:run_python_block", PYTHON: "tests.warm:run_python"}
#: What commands import only when they work, beside what a training needs.
IMPORTED = (
    *("abx_amr.api", "abx_amr.planning", "abx_amr.studies.best", "sb3_contrib", "pyarrow.parquet"),
    *("hydra_plugins.abx_sweeper._search", "hydra_plugins.abx_sweeper.launchers", "sqlalchemy.orm"),
    *("hydra_plugins.abx_sweeper._set", "abx_amr.comparison.writing", "abx_amr.plots.conditions"),
    *("abx_amr.comparison.comparing", "abx_amr.comparison.conditions", "scipy.stats"),
    *("optuna.storages._rdb.storage", "alembic.command", "alembic.config", "alembic.migration"),
    *("alembic.script", "psycopg2", "torch._dynamo", "tests.pictures"),
)

#: What commands of pages choose, read once: a configuration and what is said of its groups.
CHOICES = (
    *(("train", "experiment=paper_two"), ("evaluate",), ("plan",)),
    *(("tune", "+tuning=ppo_default"), ("tune", "+tuning=ppo_default", "experiment=paper_two")),
)
CLINIC = ("environment.max_time_steps=20",)
TRAINING = (*CLINIC, "training.n_envs=2", "training.num_eval_episodes=2")
STUDY = (
    *("tuning.n_trials=2", "tuning.n_seeds_per_trial=2", "tuning.truncated_episodes=1"),
    "tuning.final=false",
)
MOST = {"tuning.n_workers": 2, "tuning.n_trials": 5}
SHOWING = ("--help", "-h", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc")


def _at_most(argument: str) -> str:
    """Return an argument with a number of workers or trials that a page's test can afford.

    >>> _at_most("tuning.n_trials=60"), _at_most("tuning.n_trials=3"), _at_most("storage=journal")
    ('tuning.n_trials=5', 'tuning.n_trials=3', 'storage=journal')
    """
    key, _, value = argument.partition("=")
    if key not in MOST or not value.isdigit():
        return argument
    return f"{key}={min(int(value), MOST[key])}"


def sized(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with small sizes added for what the page does not set itself.

    Where ABX_PAGE_WHOLE is set they stay as they are.

    >>> sized("abx-train", ["training.total_num_training_episodes=9"])[1:3]
    ['environment.max_time_steps=20', 'training.n_envs=2']
    """
    if command == PYTHON:
        return list(arguments)
    given = {a.lstrip("+~").partition("=")[0]: a.partition("=")[2] for a in arguments}
    added: tuple[str, ...] = ()
    if any(argument in SHOWING for argument in arguments) or "ABX_PAGE_WHOLE" in os.environ:
        pass
    elif command == "abx-train" and "resume_from" in given:
        added = ("training.num_eval_episodes=2",)
    elif command == "abx-train":
        added = (*TRAINING, "training.total_num_training_episodes=2")
        if given.get("agent_algorithm", "").startswith("hrl"):  # of manager's decisions
            added = (*added, "agent_algorithm.n_steps=64")
    elif command == "abx-tune":
        added = (*TRAINING, *(STUDY if "tuning" in given else ()))
        if given.get("tuning", "").startswith("hrl"):
            added = (*added, "tuning.search_space.n_steps.high=128")
    elif command == "abx-evaluate":
        added = ("evaluation.episodes=2", *(() if "run" in given else CLINIC))
    elif command == "abx-plan":
        added = (*CLINIC, "plan.episodes=2")
    if added and command != "abx-plan" and "ABX_PAGE_FIGURES" not in os.environ:
        added = (*added, "figures=false")
    if added:
        added = (*added, "report=false")
    kept = [_at_most(argument) for argument in arguments]
    return [*kept, *(a for a in added if a.partition("=")[0] not in given)]


CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
given = sys.argv[2:] if sys.argv[1:2] == ["-u"] else sys.argv[1:]
if {name!r} == {dies!r} and (
    given[0].startswith("-") and given[0] not in ("-c", "-m")
    or any(library in word for word in given[:2] for library in ("multiprocessing", "joblib"))
):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
served = socket.socket(socket.AF_UNIX)
served.connect({address!r})
asked = dict(argv=[{name!r}, *sys.argv[1:]], cwd=os.getcwd(), environ=dict(os.environ))
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda number, frame: served.send(bytes([number])))
socket.send_fds(served, [b"\\0"], [0, 1, 2])
served.sendall(json.dumps(asked).encode() + b"\\n")
status = int(served.recv(16) or 70)
if status < 0 and {name!r} == {dies!r}:
    if status != -signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status if status >= 0 else 128 - status)
"""


def shim(folder: Path, name: str, address: Path) -> None:
    """Write a program `name` into a folder that has the command run by the server at `address`."""
    program = folder / name
    program.write_text(
        CLIENT.format(python=sys.executable, address=str(address), name=name, dies=PYTHON)
    )
    program.chmod(0o755)


def main_of(name: str) -> Callable[[], Any]:
    """Return the function behind a command."""
    module, _, function = SCRIPTS[name].partition(":")
    found: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return found


def run_python_block() -> None:
    """Run the Python text on the standard input, as a script of this folder."""
    sys.path.insert(0, "")
    exec(compile(sys.stdin.read(), "<block>", "exec"), {"__name__": "__main__"})


def run_python() -> None:
    """Run what `python -c CODE`, `-m MODULE` or `FILE` would, with further arguments."""
    given = sys.argv[2:] if sys.argv[1] == "-u" else sys.argv[1:]
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = list(dict.fromkeys(["", *filter(None, path), *sys.path]))
    if not given[0].startswith("-"):
        sys.argv = given
        sys.path[0] = str(Path(given[0]).parent)
        runpy.run_path(given[0], run_name="__main__")
        return
    option, what, *arguments = given
    sys.argv = [option, *arguments]
    if option == "-m":
        module = importlib.import_module(what)
        if hasattr(module, "main"):
            module.main()
        else:
            runpy.run_module(what, run_name="__main__")
        return
    assert option == "-c", option
    exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def serve(address: str) -> NoReturn:
    """Fork a process for each command that is asked for, for ever."""
    from omegaconf import OmegaConf

    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.groups import conf_dir
    from abx_amr.planning import kept_values
    from tests.once import make_once

    for name in SCRIPTS:
        main_of(name)
    for module in IMPORTED:
        importlib.import_module(module)
    make_once(setattr)
    for file in conf_dir().rglob("*.yaml"):
        OmegaConf.load(file)
    for config_name, *choices in CHOICES:
        compose(config_name, choices)
    # What is known of a clinic is known in every folder.
    kept_values.FOLDER = str(Path(address).with_name("plans"))
    # Once for all: compiled code is loaded. PPO's own trainer starts no threads, as torch's would.
    path = list(sys.path)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.argv = ["abx-train", *sized("abx-train", [])]
        main_of("abx-train")()
        os.chdir("/")
    sys.path[:] = path
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.executable = str(Path(address).with_name(PYTHON))  # for who starts workers
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    gc.freeze()  # what is there now is shared with each process
    while True:
        served, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(served)
        served.close()


def _attend(served: socket.socket) -> NoReturn:
    """Run the command that is asked for in a child; pass signals on and its status back."""
    _, streams, *_ = socket.recv_fds(served, 1, 3)
    text = b""
    while not text.endswith(b"\n"):
        text += served.recv(1 << 16)
    child = os.fork()
    if child == 0:
        served.close()
        _become(streams=streams, **json.loads(text))
    for stream in streams:
        os.close(stream)
    handle = os.pidfd_open(child)
    while True:
        ready, _, _ = select.select([handle, served], [], [])
        if handle in ready:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            served.sendall(str(status).encode())
            os._exit(0)
        signal.pidfd_send_signal(handle, (served.recv(1) or bytes([signal.SIGKILL]))[0])


def _become(*, argv: list[str], cwd: str, environ: dict[str, str], streams: list[int]) -> NoReturn:
    """Run a command as a process of its own would, and end."""
    from tests.pictures import leave_blank

    status = 0
    # Ignored where the tests themselves run in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)
        if "ABX_PAGE_WHOLE" not in environ and argv[0] != PYTHON:
            leave_blank(setattr)
        sys.argv = [argv[0], *sized(argv[0], argv[1:])]
        main_of(argv[0])()
        sys.stdout.flush()
    except BrokenPipeError:
        status = 0  # the page reads the first lines alone
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        sys.stdout.flush()
    except BaseException:
        sys.stdout.flush()
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    serve(sys.argv[1])
