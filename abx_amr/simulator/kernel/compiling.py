"""How the laws are compiled: kept on disk until a file changes that went into them.

numba renews a kept function when its own file changes, not when a file changes whose functions or
constants were compiled into it. The packages of compiled code are therefore renewed as one.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

KERNEL = Path(__file__).parent
RENEWED_AS_ONE = (KERNEL.name, "compiled")  # names of folders that hold compiled code alone

# Sums may be taken in any order and products fused, so that they run on vector units; what is
# infinite or not a number stays so.
REORDERED = frozenset({"contract", "reassoc", "nsz", "arcp"})


class Compiled(Generic[P, R]):
    """A function that is compiled when it is first called; numba is loaded no earlier.

    Compiled code calls it as it calls a function of numba.

    Attributes:
        py_func: The function as it was written.
    """

    def __init__(self, function: Callable[P, R], **options: Any) -> None:
        self.py_func = function
        self._options = options
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> R:
        """Return what the function returns, compiled."""
        return self.now(*arguments, **named)

    @functools.cached_property
    def now(self) -> Callable[P, R]:
        """The function of numba, for those who call it so often that this class counts."""
        import numba

        from abx_amr.simulator.kernel.keeping import Kept

        function = self.py_func
        dispatcher = numba.njit(nogil=True, error_model="numpy", **self._options)(function)
        if hasattr(dispatcher, "_cache"):  # not where numba is told to compile nothing
            own = Path(function.__code__.co_filename)
            folders = {KERNEL, own.parent} if own.parent.name in RENEWED_AS_ONE else {KERNEL}
            digests = [_digest(folder) for folder in sorted(folders)]
            dispatcher._cache = Kept(function, digests)
        return cast("Callable[P, R]", dispatcher)

    @property
    def _numba_type_(self) -> Any:
        """What numba takes it for where compiled code names it."""
        return cast("Any", self.now)._numba_type_

    def __reduce__(self) -> str:
        return self.py_func.__qualname__


@functools.cache
def _digest(folder: Path) -> str:
    """Return a digest of the Python files of a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def compiled(function: Callable[P, R]) -> Compiled[P, R]:
    """Return `function` compiled on its first call, kept on disk, free of the interpreter lock."""
    return Compiled(function)


def compiled_polynomial(function: Callable[P, R]) -> Compiled[P, R]:
    """Return `function` compiled with products and sums fused into one rounding (FMA)."""
    return Compiled(function, fastmath={"contract"})


def compiled_sums(function: Callable[P, R]) -> Compiled[P, R]:
    """Return `function` compiled with sums in any order and products fused."""
    return Compiled(function, fastmath=set(REORDERED))
