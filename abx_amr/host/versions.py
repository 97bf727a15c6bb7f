"""Which packages are told with their versions, of a result and of an installation."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata

#: Packages that the numbers of a run follow from.
DECIDE_RESULTS = (
    *("abx-amr", "numpy", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numba"),
    *("hydra-core", "omegaconf", "optuna"),
)
#: Packages whose version a bug report needs.
REPORTED = (
    *("abx-amr", "torch", "numpy", "numba", "stable-baselines3", "sb3-contrib", "gymnasium"),
    *("hydra-core", "omegaconf", "optuna", "sqlalchemy", "psycopg2-binary", "submitit", "pandas"),
)


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(packages: Sequence[str] = DECIDE_RESULTS) -> dict[str, str | None]:
    """Return name -> version of Python and of packages; None for one that is not installed."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in packages}}
