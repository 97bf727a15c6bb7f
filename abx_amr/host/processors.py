"""How many processors a process may use."""

from __future__ import annotations

import os

from abx_amr.host.variables import whole_number_of


def available() -> int:
    """Return the processors that this process was given, at least 1.

    OMP_NUM_THREADS where it is set, else what SLURM gave to the task, else those it may run on.

    Raises:
        InputError: such a variable holds no whole number of at least 1.
    """
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        given = whole_number_of(name)
        if given is not None:
            return min(given, os.cpu_count() or 1)
    return len(os.sched_getaffinity(0))


def threads_for(workers: int) -> int:
    """Return the threads of each of `workers` processes that share this machine, at least 1."""
    return max(1, available() // workers)
