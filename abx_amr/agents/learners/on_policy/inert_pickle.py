"""A pickle read as data: no class is found, nothing in it is called.

What a pickle would import and call becomes a `Placeholder` that keeps what it would have been
called with and the state it would have been given. Arrays and numbers of NumPy are made from their
bytes here.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: NumPy's functions that give an array or a number from bytes, by any release's module.
_NUMPY = ("numpy", "numpy.core", "numpy._core")
_KINDS = "biuf"


class Placeholder:
    """What stands in an unpickled tree where an object of a class would.

    Attributes:
        name: The dotted path of the class or function that was not found.
        arguments: What it was not called with.
        state: The attributes, or whatever else, that the object was to be given; None: none.
    """

    name = ""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Placeholder:
        """Keep the arguments alone."""
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        return made

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments: tuple[Any, ...]
        self.state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *arguments: Any, **keywords: Any) -> Placeholder:
        """Return another one: a call of what a call returned calls nothing either."""
        return Placeholder(*arguments)

    def append(self, item: Any) -> None:
        """Pass over the items of a list of one's own."""

    def extend(self, items: Any) -> None:
        """Pass over them."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Pass over the items of a mapping of one's own."""


def read_inert(content: bytes) -> Any:
    """Return what a pickle holds, with placeholders for all but plain values and NumPy's arrays.

    Raises:
        ValueError: it is no pickle, or builds its objects in a way that cannot be passed over.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(content)).load())
    except Exception as error:  # a damaged pickle makes the machine that reads it raise anything
        raise ValueError(f"no pickle that can be read as data: {error}") from error


class _Unpickler(pickle.Unpickler):
    """Finds placeholders for all classes and functions."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a placeholder class of this name, and import nothing."""
        return type("Placeholder", (Placeholder,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        """Return a placeholder for what is kept elsewhere."""
        return Placeholder(pid)


def _plain(value: Any) -> Any:
    """Return a tree in which arrays and numbers of NumPy are no placeholders."""
    if isinstance(value, Placeholder):
        made = _of_numpy(value)
        if made is value and isinstance(value.state, dict | tuple):
            value.state = _plain(value.state)
        return made
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not _is_odd(key)}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _is_odd(key: Any) -> bool:
    return not isinstance(key, str | int | float | bool | None)


def _of_numpy(value: Placeholder) -> Any:
    """Return the array or number that a placeholder stands for; itself where it is for another."""
    package, _, name = value.name.rpartition(".")
    if not package.startswith(_NUMPY):
        return value
    if name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, is_fortran, content = value.state
        return _array(content, dtype, shape, "F" if is_fortran else "C")
    if name == "_frombuffer" and len(value.arguments) == 4:
        content, dtype, shape, order = value.arguments
        return _array(content, dtype, shape, order)
    if name == "scalar" and len(value.arguments) == 2:
        dtype, content = value.arguments
        return _array(content, dtype, (), "C")[()]
    return value


def _array(content: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    found = _dtype(dtype)
    if not isinstance(content, bytes | bytearray) or len(content) != found.itemsize * math.prod(
        shape
    ):
        raise ValueError("an array was cut off, or is of objects")
    flat = np.frombuffer(content, dtype=found)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy()


def _dtype(value: Any) -> np.dtype[Any]:
    """Return the type of numbers that a placeholder of numpy.dtype stands for."""
    code = value.arguments[0] if isinstance(value, Placeholder) and value.arguments else None
    if not isinstance(code, str) or code[:1] not in _KINDS:
        raise ValueError(f"arrays of {code!r} are not read")
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "="
    return np.dtype(code).newbyteorder(">" if order == ">" else "=")
