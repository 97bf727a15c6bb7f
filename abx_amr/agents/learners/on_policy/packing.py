"""Plain values with arrays in them as JSON beside named arrays, and back.

Lists, tuples, queues, mappings, numbers and text keep their types; an array or a tensor is named in
the JSON and kept beside it. Anything else is `NotPlainError`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class NotPlainError(TypeError):
    """A value is an object of its own."""


def pack(name: str, value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value as JSON; its arrays go into `arrays` under names that begin with `name`.

    >>> arrays = {}
    >>> packed = pack("seen", (1, np.zeros(2)), arrays)
    >>> packed, list(arrays)
    ({'tuple': [1, {'array': 'seen.1'}]}, ['seen.1'])
    >>> unpack(packed, arrays)
    (1, array([0., 0.]))

    Raises:
        NotPlainError: there is an object of its own in it.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        arrays[name] = value.detach().cpu().numpy().copy()
        return {"tensor": name}
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        arrays[name] = np.array(value)
        return {"number" if isinstance(value, np.generic) else "array": name}
    if type(value) in (list, tuple, deque):
        items = [pack(f"{name}.{i}", item, arrays) for i, item in enumerate(value)]
        packed: dict[str, Any] = {type(value).__name__: items}
        return packed | ({"longest": value.maxlen} if isinstance(value, deque) else {})
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        items = [[key, pack(f"{name}.{key}", item, arrays)] for key, item in value.items()]
        return {"dict": items}
    raise NotPlainError(f"{name} is a {type(value).__name__}")


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the value that `pack` packed.

    Raises:
        ValueError: it was not packed so; KeyError: an array is missing.
    """
    if not isinstance(packed, dict):
        return packed
    for kind, content in packed.items():
        if kind == "tensor":
            return torch.from_numpy(arrays[content].copy())
        if kind == "array":
            return arrays[content].copy()
        if kind == "number":
            return arrays[content][()]
        if kind == "dict":
            return {key: unpack(item, arrays) for key, item in content}
        if kind == "list":
            return [unpack(item, arrays) for item in content]
        if kind == "tuple":
            return tuple(unpack(item, arrays) for item in content)
        if kind == "deque":
            items = (unpack(item, arrays) for item in content)
            return deque(items, maxlen=packed.get("longest"))
    raise ValueError(f"not packed: {packed}")
