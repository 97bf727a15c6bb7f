"""Where a run comes from: versions, seeds, command, host, commit and start time."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from abx_amr.host.secrets import redacted
from abx_amr.host.versions import versions


def provenance(
    *,
    seeds: Mapping[str, int],
    command: Sequence[str] | None = None,
    started: datetime | None = None,
    folder: Path | str = ".",
) -> dict[str, Any]:
    """Return where a run comes from: versions, seeds, command, host, commit and start time.

    Args:
        seeds: name -> seed, e.g. {"training": 42, "evaluation": 0}.
        command: the command line; this process's unless told.
        started: when the run began; now unless told.
        folder: where the commit is looked up.
    """
    return {
        "command": shlex.join(redacted(list(sys.argv if command is None else command))),
        "started": (started or datetime.now()).astimezone().isoformat(timespec="seconds"),
        "seeds": dict(seeds),
        "versions": versions(),
        "host": {
            "name": platform.node(),
            "platform": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "working_folder": str(Path(folder).resolve()),
        "git": _commit(folder),
    }


def _commit(folder: Path | str) -> dict[str, Any] | None:
    """Return the commit checked out in `folder`, or None where git knows of none."""

    def git(*arguments: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return answer.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "has_local_changes": bool(changed)}
