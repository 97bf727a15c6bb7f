"""Named random streams: one integer seed and a path of names give a generator of its own.

A stream's name, not the order of creation, decides its numbers, so that adding a component leaves
every other draw unchanged.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.errors import InputError


def _seed_sequence(seed: int, path: tuple[str | int, ...]) -> np.random.SeedSequence:
    """Return the seed sequence of `path`: entropy is the seed, spawn key a hash of the path."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed must be an integer >= 0, got {seed!r}")
    name = hashlib.sha256()
    for element in path:
        if isinstance(element, str):
            kind, text = b"s", element.encode()
        else:
            kind, text = b"i", str(int(element)).encode()
        name.update(kind + str(len(text)).encode() + b":" + text)
    spawn_key = tuple(int(word) for word in np.frombuffer(name.digest()[:16], dtype="<u4"))
    return np.random.SeedSequence(entropy=int(seed), spawn_key=spawn_key)


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """Return the generator (SFC64) that `seed` and the names in `path` stand for.

    >>> bool(stream(1, "training", "actions").random() == stream(1, "training", "actions").random())
    True
    >>> bool(stream(1, "training", "actions").random() == stream(1, "training", "batches").random())
    False
    """
    return np.random.Generator(np.random.SFC64(_seed_sequence(seed, path)))


def stream_states(seed: int, *path: str | int, count: int) -> NDArray[np.uint64]:
    """Return SFC64 states, shape (count, 4); row i is that of `stream(seed, *path, i)`.

    The compiled clinic draws from such rows, one row per environment.
    """
    return stream_states_at(seed, *path, indices=range(count))


def stream_states_at(seed: int, *path: str | int, indices: Any) -> NDArray[np.uint64]:
    """Return the SFC64 states of the streams `path + (i,)` for i in `indices`, shape (len, 4)."""
    states = [np.random.SFC64(_seed_sequence(seed, (*path, int(i)))).state for i in indices]
    rows = [state["state"]["state"] for state in states]
    return np.array(rows, dtype=np.uint64).reshape(len(rows), 4)
