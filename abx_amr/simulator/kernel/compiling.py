"""How the laws are compiled: kept on disk until a file changes that went into them.

numba renews a kept function when its own file changes, not when a file changes whose functions or
constants were compiled into it. The packages of compiled code are therefore renewed as one.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache

_Function = TypeVar("_Function", bound=Callable[..., Any])

KERNEL = Path(__file__).parent
RENEWED_AS_ONE = (KERNEL.name, "compiled")  # names of folders that hold compiled code alone

# Sums may be taken in any order and products fused, so that they run on vector units; what is
# infinite or not a number stays so.
REORDERED = frozenset({"contract", "reassoc", "nsz", "arcp"})


class _Kept(FunctionCache):
    """A function's place on disk, stamped with all files it may have been compiled from."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        own = Path(function.__code__.co_filename)
        folders = {KERNEL, own.parent} if own.parent.name in RENEWED_AS_ONE else {KERNEL}
        digests = [_digest(folder) for folder in sorted(folders)]
        self._cache_file._source_stamp = (self._cache_file._source_stamp, *digests)


@cache
def _digest(folder: Path) -> str:
    """Return a digest of the Python files of a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _kept(function: _Function, **options: Any) -> _Function:
    dispatcher = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if hasattr(dispatcher, "_cache"):  # not where numba is told to compile nothing
        dispatcher._cache = _Kept(function)
    return cast(_Function, dispatcher)


def compiled(function: _Function) -> _Function:
    """Return `function` compiled on its first call, kept on disk, free of the interpreter lock."""
    return _kept(function)


def compiled_polynomial(function: _Function) -> _Function:
    """Return `function` compiled with products and sums fused into one rounding (FMA)."""
    return _kept(function, fastmath={"contract"})


def compiled_sums(function: _Function) -> _Function:
    """Return `function` compiled with sums in any order and products fused."""
    return _kept(function, fastmath=set(REORDERED))


def interpreted(function: _Function) -> _Function:
    """Return a compiled function as it was written, for arguments that are no arrays."""
    return cast(_Function, getattr(function, "py_func", function))
