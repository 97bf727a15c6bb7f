"""Runs one command to its end, whatever becomes of the application: python -m ... FOLDER.

<folder>/job.json       what was asked for: `arguments`, and where: `root`
<folder>/process.json   the command's process, by which a dead one is known
<folder>/log.txt        what it has printed
<folder>/ended.json     its exit status, written last
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from abx_amr.host.atomic_files import write_json
from abx_amr.host.processes import ProcessIdentity


def main() -> None:
    """Run the command of a folder, as nobody's child: who started this need not wait for it."""
    if os.fork():
        os._exit(0)
    # Who is started in the background of a script ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            job["arguments"],
            cwd=job["root"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # what a terminal interrupts: the command and its workers
            env={**os.environ, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"},
        )
    own = ProcessIdentity.of_this_process().as_record()
    write_json(folder / "process.json", {"watcher": own, "group": process.pid})
    status = process.wait()
    ended = datetime.now().astimezone().isoformat(timespec="seconds")
    write_json(folder / "ended.json", {"status": status, "at": ended})


if __name__ == "__main__":
    main()
