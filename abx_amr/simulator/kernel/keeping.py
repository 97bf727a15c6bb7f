"""Where a compiled function is kept on disk: beside its file, or in a folder of the account.

Where the package lies in a place that an account may only read, what was compiled there when it was
installed is read all the same; anything else is kept in the account's own folder.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile


class Kept(FunctionCache):
    """A function's place on disk.

    Args:
        function: As it was written.
        digests: Of all files that it may have been compiled from.
    """

    def __init__(self, function: Callable[..., Any], digests: Sequence[str]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = (self._cache_file._source_stamp, *digests)
        self._cache_file._source_stamp = stamp
        beside = os.path.join(os.path.dirname(function.__code__.co_filename), "__pycache__")
        self._installed: IndexDataCacheFile | None = None
        if os.path.realpath(self._cache_path) != os.path.realpath(beside):
            self._installed = IndexDataCacheFile(  # type: ignore[no-untyped-call]
                cache_path=beside, filename_base=self._impl.filename_base, source_stamp=stamp
            )

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        found = super()._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        if found is not None or self._installed is None or not self._enabled:
            return found
        key = self._index_key(sig, target_context.codegen())  # type: ignore[no-untyped-call]
        try:
            kept = self._installed.load(key)  # type: ignore[no-untyped-call]
        except OSError:  # not even to be read
            return None
        return None if kept is None else self._impl.rebuild(target_context, kept)
