"""Environment variables that decide something here or in a library below: read, or refused.

A variable that we read is refused where it says nothing that can be meant; one that a library reads
by itself is told of, since the library passes over it in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from abx_amr.errors import InputError

_COUNT = "a whole number of at least 1"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """What an environment variable may hold.

    Attributes:
        pattern: What fits, as a regular expression.
        right: The same in words.
        is_ours: Whether we read it, or numba, which ends by it; else a library passes over it.
    """

    pattern: str
    right: str
    is_ours: bool


def _count(*, is_ours: bool, more: str = "") -> Variable:
    return Variable(pattern=f"0*[1-9][0-9]{{0,8}}{more}", right=_COUNT, is_ours=is_ours)


#: A number for each level of nesting is OpenMP's own.
_LEVELS = r"(?:\s*,\s*0*[1-9][0-9]*)*"
_SWITCH = Variable(pattern="[01]", right="1, or 0", is_ours=False)

VARIABLES: Mapping[str, Variable] = {
    "OMP_NUM_THREADS": _count(is_ours=True, more=_LEVELS),
    "NUMBA_NUM_THREADS": _count(is_ours=True),
    "SLURM_CPUS_PER_TASK": _count(is_ours=True),
    "SLURM_CPUS_ON_NODE": _count(is_ours=True),
    "SLURM_JOB_END_TIME": Variable(
        pattern="[0-9]{1,15}", right="a time in seconds since 1970", is_ours=False
    ),
    "SOURCE_DATE_EPOCH": Variable(
        pattern="[0-9]{1,15}", right="a time in seconds since 1970", is_ours=True
    ),
    "MKL_NUM_THREADS": _count(is_ours=False, more=_LEVELS),
    "OPENBLAS_NUM_THREADS": _count(is_ours=False),
    "SLURM_NTASKS": _count(is_ours=False),
    "HYDRA_FULL_ERROR": _SWITCH,
}


def misfit(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return what is wrong with a variable, None where it fits, is empty or is not set.

    >>> misfit("OMP_NUM_THREADS", {"OMP_NUM_THREADS": "two"})
    "the environment variable OMP_NUM_THREADS must be a whole number of at least 1, got 'two'"
    >>> misfit("OMP_NUM_THREADS", {"OMP_NUM_THREADS": "4,2"})
    """
    variable, text = VARIABLES[name], environment.get(name, "")
    if not text.strip() or re.fullmatch(variable.pattern, text.strip(), re.ASCII):
        return None
    return f"the environment variable {name} must be {variable.right}, got {text!r}"


def whole_number_of(name: str, environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the number that a variable of `VARIABLES` holds, its first, None where it holds none.

    Raises:
        InputError: it holds something else.
    """
    if (wrong := misfit(name, environment)) is not None:
        raise InputError(f"{wrong}: unset {name}")
    text = environment.get(name, "").strip()
    return int(text.split(",")[0]) if text else None


def check_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a line for each variable that a library will pass over.

    Raises:
        InputError: one that we read holds nothing that can be meant.
    """
    lines = []
    for name, variable in VARIABLES.items():
        if (wrong := misfit(name, environment)) is None:
            continue
        if variable.is_ours:
            raise InputError(f"{wrong}: unset {name}")
        lines.append(f"{wrong}: it is not used")
    return lines
