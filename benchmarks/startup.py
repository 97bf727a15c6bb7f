"""Start-up of the commands in processor seconds, beside another installation's where one is named.

python -m benchmarks startup 5                 5 runs (3 unless told)
BEFORE=PYTHON python -m benchmarks startup     PYTHON: the interpreter of that installation
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from statistics import median

from abx_amr.errors import counted

RUNS = 3
BEFORE = "BEFORE"

#: Ends abx-train as its agent is about to make its first transitions.
FIRST_TRANSITION = """
import os, sys
from abx_amr.simulator.clinic import Clinic
Clinic.step = lambda *_: os._exit(0)
from abx_amr.cli.train import main
sys.argv = ["abx-train"]
main()
"""

SEARCH = ("-m", "+tuning=ppo_default")


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is measured.

    Attributes:
        name: What the table calls it.
        arguments: Of the interpreter.
        until: What begins the line of the output by which it has started; None: it ends by itself.
        is_first: Whether the account has never seen these agents.
    """

    name: str
    arguments: tuple[str, ...]
    until: str | None = None
    is_first: bool = False


def _of(command: str, *words: str) -> tuple[str, ...]:
    return ("-u", "-m", f"abx_amr.cli.{command}", *words)


def _refused(command: str, *words: str) -> Start:
    return Start(name=f"`abx-{command} {' '.join(words)}`, refused", arguments=_of(command, *words))


STARTS = (
    Start(
        name="`abx-tune -m +tuning=ppo_default`, study ready, the first time",
        arguments=_of("tune", *SEARCH),
        until="study ",
        is_first=True,
    ),
    Start(name="the same from then on", arguments=_of("tune", *SEARCH), until="study "),
    Start(name="`abx-train`, first transition", arguments=("-c", FIRST_TRANSITION)),
    *(Start(name=f"`abx-{c} --help`", arguments=_of(c, "--help")) for c in ("train", "tune")),
    Start(name="`abx-train --cfg job`", arguments=_of("train", "--cfg", "job")),
    _refused("train", "agent_algorithm.learning_rate=-1"),
    _refused("train", "trainin.seed=1"),
    _refused("tune", *SEARCH, "tuning.n_trials=0"),
    _refused("evaluate", "run=nowhere"),
    _refused("plan", "experiment=paper_tow"),
    _refused("gather", "runs=[nowhere]"),
    _refused("report", "nowhere"),
    _refused("study", "show", "nowhere"),
    _refused("init", "--chek"),
    _refused("app", "--prt=1"),
    _refused("postgres", "strt"),
)


def seconds(python: str, start: Start, state: str) -> float:
    """Return the processor seconds that a start takes.

    Args:
        python: The interpreter.
        start: What is started.
        state: Where the account keeps what it has seen of agents.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = os.path.join(folder, "state") if start.is_first else state
        process = subprocess.Popen(
            [python, *start.arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "XDG_STATE_HOME": own},
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if start.until is not None and line.startswith(start.until):
                process.kill()
                break
        process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(arguments: list[str]) -> str:
    """Return the table."""
    runs = int(arguments[0]) if arguments else RUNS
    pythons = [sys.executable, *filter(None, [os.environ.get(BEFORE)])]
    rows = [
        f"Processor seconds, medians of {counted(runs, 'run')} after one that warms the disk.",
        "",
        f"| start | now |{' before |' * (len(pythons) - 1)}",
        f"|---|---:|{'---:|' * (len(pythons) - 1)}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for start in STARTS:
            found = [  # in turn, so that all meet the same machine
                [seconds(python, start, f"{folder}/{i}") for i, python in enumerate(pythons)]
                for _ in range(runs + 1)
            ]
            cells = [f"{median(values):.2f}" for values in zip(*found[1:], strict=True)]
            rows.append(f"| {start.name} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    return "\n".join(rows)
