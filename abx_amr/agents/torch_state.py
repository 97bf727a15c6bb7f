"""What torch and NumPy keep for a whole process: threads, and generators that SB3 draws from.

An agent without torch never loads it: where it is not loaded there is nothing to keep apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np


def set_threads(threads: int) -> None:
    """Let torch, where it is loaded, use so many threads for one operation."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


@contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """Keep what an evaluation draws from torch apart from what training draws."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def random_state() -> dict[str, np.ndarray]:
    """Return the state of the global generators that SB3 draws from."""
    import torch

    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    assert name == "MT19937"
    return {
        "torch": torch.get_rng_state().numpy().copy(),
        "numpy_keys": np.asarray(keys),
        "numpy_rest": np.array([position, has_gauss, cached], dtype=np.float64),
    }


def set_random_state(state: Mapping[str, np.ndarray]) -> None:
    """Put the global generators where `random_state` found them."""
    import torch

    torch.set_rng_state(torch.from_numpy(state["torch"].copy()))
    position, has_gauss, cached = state["numpy_rest"]
    np.random.set_state(  # noqa: NPY002
        ("MT19937", state["numpy_keys"], int(position), int(has_gauss), float(cached))
    )
