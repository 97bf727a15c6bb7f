"""abx compile: compile the clinic and the agents now, so that no later command waits for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from abx_amr.errors import InputError

HELP = """
abx compile: compile the clinic and the agents now, so that no later command waits for it.

  abx compile          after an installation; a few minutes, seconds where it is done already

What is compiled is kept beside the package; so is what a first study of a shipped search would have
to build agents for. Whoever installs for others, in a place that they may only read, runs it once
there: their commands read it. Compiled code counts for one kind of processor: on a cluster run it
on a node of each. `make install` does it.
"""


def main(arguments: Sequence[str]) -> int:
    """Compile for each kind of agent; return the exit status.

    Raises:
        InputError: there are no arguments.
    """
    if any(word in ("--help", "-h") for word in arguments):
        print(HELP.strip())
        return 0
    if arguments:
        raise InputError(f"abx compile takes no arguments, got '{arguments[0]}'")
    from abx_amr.runs.compiling import AGENTS, compile_for
    from abx_amr.tuning.compiling import see_through, shipped_searches

    with tempfile.TemporaryDirectory() as folder:
        for agent in AGENTS:
            print(f"compiling what {agent} needs ...", flush=True)
            compile_for(agent, Path(folder))
        print("looking where the values of the shipped searches arrive ...", flush=True)
        with chdir(folder):
            for search in shipped_searches():
                see_through(*search)
    print("compiled")
    return 0
