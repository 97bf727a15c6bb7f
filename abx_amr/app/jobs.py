"""Commands that were started here: processes of their own, which go on without the application.

Nothing of them is kept in memory: who opens the application again reads the same folders.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json
from abx_amr.host.exit_codes import USER_ERROR
from abx_amr.host.plain_files import read_json
from abx_amr.host.processes import ProcessIdentity

State = Literal["runs", "complete", "refused", "stopped", "failed", "lost"]

_NAME = re.compile(r"\d{8}_\d{6}_[0-9a-f]{6}")
_LOG_BYTES = 60_000
_ERROR = re.compile(r"^abx-[a-z]+: error: (.*)$", re.MULTILINE)
_MODULES = {"evaluate", "gather", "plan", "study", "train", "tune"}
_INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM)
#: A terminal's commands to move and colour; a bar writes its line anew after a return.
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


@dataclass(frozen=True)
class Job:
    """A command that was started, by its folder."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called in an address."""
        return self.path.name

    @cached_property
    def asked(self) -> Mapping[str, Any]:
        """What was asked for."""
        return _read(self.path / "job.json")

    @property
    def words(self) -> list[str]:
        """The command as it is typed."""
        return [str(word) for word in self.asked.get("words") or ()]

    @property
    def command(self) -> str:
        """The command in one line, to paste."""
        return shlex.join(self.words)

    @property
    def started(self) -> str:
        """When it was started."""
        return str(self.asked.get("started", ""))

    @property
    def run_name(self) -> str:
        """The name that the command gives to what it makes; "" where it gives none."""
        given = [word for word in self.words if word.startswith("run_name=")]
        return given[-1].partition("=")[2].strip("'\"") if given else ""

    @property
    def kind(self) -> str:
        """Which command it is: train, tune, ..."""
        return self.words[0].removeprefix("abx-") if self.words else ""

    def state(self) -> State:
        """Return how it stands."""
        ended = _read(self.path / "ended.json")
        if "status" in ended:
            status = ended["status"]
            if status == 0:
                return "complete"
            if status == USER_ERROR:
                return "refused"
            return "stopped" if status in _INTERRUPTED else "failed"
        watcher = _read(self.path / "process.json").get("watcher")
        if watcher is None:
            return "runs" if _is_young(self.path) else "lost"
        return "lost" if ProcessIdentity.from_record(watcher).has_died else "runs"

    def log(self) -> str:
        """Return the end of what it has printed, as a terminal would show it."""
        try:
            with (self.path / "log.txt").open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - _LOG_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
        if size > _LOG_BYTES:
            text = text.partition("\n")[2]
        lines = _TERMINAL.sub("", text).replace("\r\n", "\n").split("\n")
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)

    def error(self) -> str | None:
        """Return the one line with which it was refused."""
        found = _ERROR.findall(self.log())
        return found[-1] if found else None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Interrupt it, as Ctrl-C on a terminal does."""
        process = _read(self.path / "process.json")
        group, watcher = process.get("group"), process.get("watcher")
        if not isinstance(group, int) or watcher is None or self.state() != "runs":
            return
        if ProcessIdentity.from_record(watcher).is_alive:
            try:
                os.killpg(group, how)
            except ProcessLookupError:  # it has just ended
                return


@dataclass(frozen=True)
class Jobs:
    """All commands that were started in a project."""

    workplace: Workplace

    @property
    def folder(self) -> Path:
        """Where their folders lie."""
        return self.workplace.own / "jobs"

    def start(self, words: Sequence[str], form: Mapping[str, Any] | None = None) -> Job:
        """Start a command, without a shell; return it at once.

        Args:
            words: The command as it is typed: abx-train, experiment=paper_two, ...
            form: What the form held that it was made of, to fill it in again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now().astimezone()
        path = self.folder / f"{moment:%Y%m%d_%H%M%S}_{secrets.token_hex(3)}"
        path.mkdir(mode=0o700)
        asked = {
            "words": list(words),
            "arguments": [*_program(words[0]), *words[1:]],
            "root": str(self.workplace.root),
            "started": moment.isoformat(timespec="seconds"),
            "form": dict(form or {}),
        }
        write_json(path / "job.json", asked)
        subprocess.run(
            [sys.executable, "-m", "abx_amr.app.detached", str(path)],
            cwd=self.workplace.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
        )
        return Job(path)

    def all(self) -> list[Job]:
        """Return them, the newest first."""
        if not self.folder.is_dir():
            return []
        names = [entry.name for entry in os.scandir(self.folder) if _NAME.fullmatch(entry.name)]
        return [Job(self.folder / name) for name in sorted(names, reverse=True)]

    def named(self, name: str) -> Job:
        """Return the one of a name.

        Raises:
            InputError: there is none.
        """
        path = self.folder / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            raise InputError("this command is not known here (any more)")
        return Job(path)


def _program(command: str) -> list[str]:
    """Return what runs a command: its installed script, or its module."""
    name = command.removeprefix("abx-")
    if name not in _MODULES:
        raise InputError(f"{command} is not started from here")
    script = Path(sysconfig.get_path("scripts")) / command
    if os.access(script, os.X_OK):
        return [str(script)]
    return [sys.executable, "-m", f"abx_amr.cli.{name}"]


def _is_young(path: Path, seconds: float = 30.0) -> bool:
    return datetime.now().timestamp() - path.stat().st_mtime < seconds


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except InputError:
        return {}
